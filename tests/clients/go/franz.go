// franz-go, with its administration package kadm, as an adapter; see main.go.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type franz struct {
	bootstrap string
	admin     *kadm.Client
}

func newFranz(bootstrap string) (client, string, error) {
	shared, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, "", err
	}
	return &franz{bootstrap, kadm.NewClient(shared)}, "github.com/twmb/franz-go", nil
}

func (f *franz) createTopic(ctx context.Context, topic string, partitions int32, configs map[string]string) error {
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	_, err := f.admin.CreateTopic(ctx, partitions, 1, values, topic)
	return err
}

func (f *franz) listTopics(ctx context.Context) ([]string, error) {
	details, err := f.admin.ListTopics(ctx)
	return details.Names(), err
}

func (f *franz) describeTopic(ctx context.Context, topic string) (map[int32]int32, error) {
	details, err := f.admin.ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	leaders := map[int32]int32{}
	for _, part := range details[topic].Partitions {
		leaders[part.Partition] = part.Leader
	}
	return leaders, details[topic].Err
}

func (f *franz) deleteTopic(ctx context.Context, topic string) error {
	_, err := f.admin.DeleteTopic(ctx, topic)
	return err
}

func (f *franz) addPartitions(ctx context.Context, topic string, total int32) error {
	answers, err := f.admin.UpdatePartitions(ctx, int(total), topic)
	if err != nil {
		return err
	}
	return answers[topic].Err
}

func (f *franz) configs(ctx context.Context, topic string) (map[string]string, error) {
	described, err := f.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, entry := range described[0].Configs {
		values[entry.Key] = entry.MaybeValue()
	}
	return values, described[0].Err
}

func (f *franz) alterConfig(ctx context.Context, topic, key, value string) error {
	answers, err := f.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
	if err != nil {
		return err
	}
	return answers[0].Err
}

func (f *franz) produce(ctx context.Context, topic, codec string, idempotent bool, records []produced) ([]place, error) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	options := []kgo.Opt{kgo.SeedBrokers(f.bootstrap), kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20 * time.Millisecond)}
	if !idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	if len(records) > 0 && records[0].Partition != nil {
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	producer, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	batch := make([]*kgo.Record, len(records))
	for i, r := range records {
		batch[i] = &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		if r.Partition != nil {
			batch[i].Partition = *r.Partition
		}
		for _, h := range r.Headers {
			batch[i].Headers = append(batch[i].Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
	}
	places := make([]place, len(records))
	if err := producer.ProduceSync(ctx, batch...).FirstErr(); err != nil {
		return nil, err
	}
	for i, r := range batch { // filled in by the client
		places[i] = place{int64(r.Partition), r.Offset}
	}
	return places, nil
}

func (f *franz) consume(ctx context.Context, topic string, partition int32, offset int64, count int) ([]consumed, error) {
	reader, err := kgo.NewClient(kgo.SeedBrokers(f.bootstrap), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(offset)}}))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	found := []consumed{}
	for len(found) < count {
		fetches := reader.PollRecords(ctx, count-len(found))
		if err := fetches.Err(); err != nil {
			return found, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			headers := []header{}
			for _, h := range r.Headers {
				headers = append(headers, header{h.Key, h.Value})
			}
			found = append(found, consumed{r.Offset, r.Key, r.Value, headers, r.Timestamp.UnixMilli()})
		})
	}
	return found, nil
}

func (f *franz) offset(ctx context.Context, topic string, partition int32, at any) (int64, error) {
	var listed kadm.ListedOffsets
	var err error
	switch at := at.(type) {
	case float64:
		listed, err = f.admin.ListOffsetsAfterMilli(ctx, int64(at), topic)
	default:
		if at == "earliest" {
			listed, err = f.admin.ListStartOffsets(ctx, topic)
		} else {
			listed, err = f.admin.ListEndOffsets(ctx, topic)
		}
	}
	if err != nil {
		return 0, err
	}
	one, ok := listed.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("no offset of partition %d", partition)
	}
	return one.Offset, one.Err
}

func (f *franz) deleteRecords(ctx context.Context, topic string, partition int32, offset int64) error {
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset, LeaderEpoch: -1})
	answers, err := f.admin.DeleteRecords(ctx, offsets)
	if err != nil {
		return err
	}
	return answers.Error()
}

func (f *franz) listGroups(ctx context.Context) ([]string, error) {
	groups, err := f.admin.ListGroups(ctx)
	return groups.Groups(), err
}

func (f *franz) describeGroup(ctx context.Context, group string) (described, error) {
	groups, err := f.admin.DescribeGroups(ctx, group)
	if err != nil {
		return described{}, err
	}
	result := described{groups[group].State, [][]int32{}}
	for _, member := range groups[group].Members {
		partitions := []int32{}
		if assignment, ok := member.Assigned.AsConsumer(); ok {
			for _, topic := range assignment.Topics {
				partitions = append(partitions, topic.Partitions...)
			}
		}
		result.Members = append(result.Members, partitions)
	}
	return result, groups[group].Err
}

func (f *franz) committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	offsets, err := f.admin.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	next := map[int32]int64{}
	for partition, one := range offsets[topic] {
		if one.Err != nil {
			return nil, one.Err
		}
		next[partition] = one.At
	}
	return next, nil
}

func (f *franz) deleteGroup(ctx context.Context, group string) error {
	_, err := f.admin.DeleteGroup(ctx, group)
	return err
}

func franzMember(ctx context.Context, bootstrap, topic, group string, session time.Duration, name string) error {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ClientID(name), kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(heartbeat()), kgo.RebalanceTimeout(10*time.Second), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.BlockRebalanceOnPoll())
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		fetches := consumer.PollFetches(ctx)
		next := map[int32]int64{}
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil {
				write(map[string]any{"event": "error", "error": err.Error()})
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			reportRecord(r.Partition, r.Offset, r.Key, r.Value)
			next[r.Partition] = r.Offset + 1
		})
		if len(next) > 0 {
			reportCommit(next, next, consumer.CommitRecords(context.Background(), fetches.Records()...))
		}
		consumer.AllowRebalance()
	}
	consumer.CloseAllowingRebalance() // leaves the group
	return nil
}

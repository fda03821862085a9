// kafka-go as an adapter; see main.go. A member is a Reader with a group, as most programs use it.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
)

type kafkaGo struct {
	bootstrap string
	admin     *kafka.Client
}

func newKafkaGo(bootstrap string) (client, string, error) {
	return &kafkaGo{bootstrap, &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: deadline}}, "github.com/segmentio/kafka-go", nil
}

func (k *kafkaGo) createTopic(ctx context.Context, topic string, partitions int32, configs map[string]string) error {
	config := kafka.TopicConfig{Topic: topic, NumPartitions: int(partitions), ReplicationFactor: 1}
	for key, value := range configs {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	answer, err := k.admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

func (k *kafkaGo) listTopics(ctx context.Context) ([]string, error) {
	answer, err := k.admin.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, topic := range answer.Topics {
		names = append(names, topic.Name)
	}
	return names, nil
}

func (k *kafkaGo) describeTopic(ctx context.Context, topic string) (map[int32]int32, error) {
	answer, err := k.admin.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	leaders := map[int32]int32{}
	for _, part := range answer.Topics[0].Partitions {
		leaders[int32(part.ID)] = int32(part.Leader.ID)
	}
	return leaders, answer.Topics[0].Error
}

func (k *kafkaGo) deleteTopic(ctx context.Context, topic string) error {
	answer, err := k.admin.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

func (k *kafkaGo) addPartitions(ctx context.Context, topic string, total int32) error {
	answer, err := k.admin.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: total}}})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

func (k *kafkaGo) configs(ctx context.Context, topic string) (map[string]string, error) {
	answer, err := k.admin.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic}}})
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, entry := range answer.Resources[0].ConfigEntries {
		values[entry.ConfigName] = entry.ConfigValue
	}
	return values, answer.Resources[0].Error
}

func (k *kafkaGo) alterConfig(ctx context.Context, topic, key, value string) error {
	answer, err := k.admin.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: key, Value: value, ConfigOperation: kafka.ConfigOperationSet}}}}})
	if err != nil {
		return err
	}
	return answer.Resources[0].Error
}

func (k *kafkaGo) produce(ctx context.Context, topic, codec string, idempotent bool, records []produced) ([]place, error) {
	if idempotent {
		return nil, notOffered{"no such function"}
	}
	places := make([]place, len(records))
	// Called for each batch before WriteMessages returns.
	completed := func(messages []kafka.Message, err error) {
		for _, m := range messages {
			places[m.WriterData.(int)] = place{int64(m.Partition), m.Offset}
		}
	}
	codecs := map[string]compress.Compression{"gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd}
	writer := &kafka.Writer{Addr: kafka.TCP(k.bootstrap), Topic: topic, RequiredAcks: kafka.RequireAll, Compression: codecs[codec], BatchSize: 1000,
		BatchTimeout: 20 * time.Millisecond, BatchBytes: 10_000_000, Balancer: &kafka.Murmur2Balancer{}, Completion: completed}
	if len(records) > 0 && records[0].Partition != nil {
		writer.Balancer = kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return int(*records[m.WriterData.(int)].Partition) })
	}
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp), WriterData: i}
		for _, h := range r.Headers {
			messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
	}
	err := writer.WriteMessages(ctx, messages...)
	return places, errors.Join(err, writer.Close()) // Close waits for what is completed
}

// What all readers have in common.
func kafkaGoReader(bootstrap, topic string) kafka.ReaderConfig {
	return kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: topic, MaxBytes: 10_000_000, MaxWait: 100 * time.Millisecond}
}

func (k *kafkaGo) consume(ctx context.Context, topic string, partition int32, offset int64, count int) ([]consumed, error) {
	config := kafkaGoReader(k.bootstrap, topic)
	config.Partition = int(partition)
	reader := kafka.NewReader(config)
	defer reader.Close()
	if err := reader.SetOffset(offset); err != nil {
		return nil, err
	}
	found := []consumed{}
	for len(found) < count {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			return found, err
		}
		headers := []header{}
		for _, h := range m.Headers {
			headers = append(headers, header{h.Key, h.Value})
		}
		found = append(found, consumed{m.Offset, m.Key, m.Value, headers, m.Time.UnixMilli()})
	}
	return found, nil
}

func (k *kafkaGo) offset(ctx context.Context, topic string, partition int32, at any) (int64, error) {
	request := kafka.LastOffsetOf(int(partition))
	if at == "earliest" {
		request = kafka.FirstOffsetOf(int(partition))
	} else if ms, ok := at.(float64); ok {
		request = kafka.TimeOffsetOf(int(partition), time.UnixMilli(int64(ms)))
	}
	answer, err := k.admin.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {request}}})
	if err != nil {
		return 0, err
	}
	one := answer.Topics[topic][0]
	if at == "earliest" {
		return one.FirstOffset, one.Error
	} else if at == "latest" {
		return one.LastOffset, one.Error
	}
	for found := range one.Offsets {
		return found, one.Error
	}
	return 0, errors.Join(fmt.Errorf("no offset at that time"), one.Error)
}

func (k *kafkaGo) deleteRecords(context.Context, string, int32, int64) error {
	return notOffered{"no such function"}
}

func (k *kafkaGo) listGroups(ctx context.Context) ([]string, error) {
	answer, err := k.admin.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, group := range answer.Groups {
		names = append(names, group.GroupID)
	}
	return names, answer.Error
}

func (k *kafkaGo) describeGroup(ctx context.Context, group string) (described, error) {
	answer, err := k.admin.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return described{}, err
	}
	result := described{answer.Groups[0].GroupState, [][]int32{}}
	for _, member := range answer.Groups[0].Members {
		partitions := []int32{}
		for _, topic := range member.MemberAssignments.Topics {
			for _, partition := range topic.Partitions {
				partitions = append(partitions, int32(partition))
			}
		}
		result.Members = append(result.Members, partitions)
	}
	return result, answer.Groups[0].Error
}

func (k *kafkaGo) committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	offsets, err := k.admin.ConsumerOffsets(ctx, kafka.TopicAndGroup{Topic: topic, GroupId: group})
	if err != nil {
		return nil, err
	}
	next := map[int32]int64{}
	for partition, offset := range offsets {
		next[int32(partition)] = offset
	}
	return next, nil
}

func (k *kafkaGo) deleteGroup(ctx context.Context, group string) error {
	answer, err := k.admin.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return err
	}
	return answer.Errors[group]
}

func kafkaGoMember(ctx context.Context, bootstrap, topic, group string, session time.Duration, name string) error {
	config := kafkaGoReader(bootstrap, topic)
	config.GroupID = group
	config.SessionTimeout = session
	config.HeartbeatInterval = heartbeat()
	config.RebalanceTimeout = 10 * time.Second
	config.StartOffset = kafka.FirstOffset
	config.JoinGroupBackoff = time.Second
	config.Dialer = &kafka.Dialer{ClientID: name, Timeout: 10 * time.Second}
	reader := kafka.NewReader(config)
	for {
		lot, err := kafkaGoLot(ctx, reader)
		if ctx.Err() != nil {
			return reader.Close() // leaves the group
		}
		if err != nil {
			return err
		}
		// A commit that a rebalance finds waiting is sent with the next generation, which has already fetched where it begins.
		next, sure := map[int32]int64{}, map[int32]int64{}
		for _, m := range lot {
			partition := int32(m.Partition)
			reportRecord(partition, m.Offset, m.Key, m.Value)
			next[partition] = m.Offset + 1
			if _, known := sure[partition]; !known {
				sure[partition] = m.Offset
			}
		}
		reportCommit(next, sure, reader.CommitMessages(context.Background(), lot...))
	}
}

// One message, and those that follow it at once.
func kafkaGoLot(ctx context.Context, reader *kafka.Reader) ([]kafka.Message, error) {
	m, err := reader.FetchMessage(ctx)
	if err != nil {
		return nil, err
	}
	lot := []kafka.Message{m}
	soon, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	for len(lot) < 50 {
		m, err := reader.FetchMessage(soon)
		if err != nil {
			break // nothing more for now; an error of the reader comes again with the next lot
		}
		lot = append(lot, m)
	}
	return lot, nil
}

// sarama as an adapter; see main.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

type saramaClient struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
}

func saramaConfig(name string) *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = name
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.MaxMessageBytes = 10_000_000
	return config
}

func newSarama(bootstrap string) (client, string, error) {
	shared, err := sarama.NewClient([]string{bootstrap}, saramaConfig("worker"))
	if err != nil {
		return nil, "", err
	}
	admin, err := sarama.NewClusterAdminFromClient(shared)
	return &saramaClient{shared, admin}, "github.com/IBM/sarama", err
}

func (s *saramaClient) createTopic(_ context.Context, topic string, partitions int32, configs map[string]string) error {
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	return s.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: values}, false)
}

func (s *saramaClient) listTopics(context.Context) ([]string, error) {
	topics, err := s.admin.ListTopics()
	names := []string{}
	for name := range topics {
		names = append(names, name)
	}
	return names, err
}

func (s *saramaClient) describeTopic(_ context.Context, topic string) (map[int32]int32, error) {
	topics, err := s.admin.DescribeTopics([]string{topic})
	if err != nil {
		return nil, err
	}
	if topics[0].Err != sarama.ErrNoError {
		return nil, topics[0].Err
	}
	leaders := map[int32]int32{}
	for _, part := range topics[0].Partitions {
		leaders[part.ID] = part.Leader
	}
	return leaders, nil
}

func (s *saramaClient) deleteTopic(_ context.Context, topic string) error {
	return s.admin.DeleteTopic(topic)
}

func (s *saramaClient) addPartitions(_ context.Context, topic string, total int32) error {
	return s.admin.CreatePartitions(topic, total, nil, false)
}

func (s *saramaClient) configs(_ context.Context, topic string) (map[string]string, error) {
	entries, err := s.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	values := map[string]string{}
	for _, entry := range entries {
		values[entry.Name] = entry.Value
	}
	return values, err
}

func (s *saramaClient) alterConfig(_ context.Context, topic, key, value string) error {
	change := map[string]sarama.IncrementalAlterConfigsEntry{key: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}
	return s.admin.IncrementalAlterConfig(sarama.TopicResource, topic, change, false)
}

// What an encoder is made of; nil stays nil.
func saramaBytes(data []byte) sarama.Encoder {
	if data == nil {
		return nil
	}
	return sarama.ByteEncoder(data)
}

func (s *saramaClient) produce(_ context.Context, topic, codec string, idempotent bool, records []produced) ([]place, error) {
	config := *s.client.Config()
	config.Producer.Compression = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}[codec]
	config.Producer.Flush.Frequency = 20 * time.Millisecond
	if idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	if len(records) > 0 && records[0].Partition != nil {
		config.Producer.Partitioner = sarama.NewManualPartitioner
	}
	producer, err := sarama.NewSyncProducer([]string{s.client.Brokers()[0].Addr()}, &config)
	if err != nil {
		return nil, err
	}
	messages := make([]*sarama.ProducerMessage, len(records))
	for i, r := range records {
		messages[i] = &sarama.ProducerMessage{Topic: topic, Key: saramaBytes(r.Key), Value: saramaBytes(r.Value), Timestamp: time.UnixMilli(r.Timestamp)}
		if r.Partition != nil {
			messages[i].Partition = *r.Partition
		}
		for _, h := range r.Headers {
			messages[i].Headers = append(messages[i].Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
		}
	}
	if err := errors.Join(producer.SendMessages(messages), producer.Close()); err != nil {
		return nil, err
	}
	places := make([]place, len(records))
	for i, m := range messages { // filled in by the client
		places[i] = place{int64(m.Partition), m.Offset}
	}
	return places, nil
}

func (s *saramaClient) consume(ctx context.Context, topic string, partition int32, offset int64, count int) ([]consumed, error) {
	consumer, err := sarama.NewConsumerFromClient(s.client)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	part, err := consumer.ConsumePartition(topic, partition, offset)
	if err != nil {
		return nil, err
	}
	defer part.AsyncClose()
	found := []consumed{}
	for len(found) < count {
		select {
		case m := <-part.Messages():
			headers := []header{}
			for _, h := range m.Headers {
				headers = append(headers, header{string(h.Key), h.Value})
			}
			found = append(found, consumed{m.Offset, m.Key, m.Value, headers, m.Timestamp.UnixMilli()})
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
	return found, nil
}

func (s *saramaClient) offset(_ context.Context, topic string, partition int32, at any) (int64, error) {
	switch at := at.(type) {
	case float64:
		return s.client.GetOffset(topic, partition, int64(at))
	default:
		if at == "earliest" {
			return s.client.GetOffset(topic, partition, sarama.OffsetOldest)
		}
		return s.client.GetOffset(topic, partition, sarama.OffsetNewest)
	}
}

func (s *saramaClient) deleteRecords(_ context.Context, topic string, partition int32, offset int64) error {
	return s.admin.DeleteRecords(topic, map[int32]int64{partition: offset})
}

func (s *saramaClient) listGroups(context.Context) ([]string, error) {
	groups, err := s.admin.ListConsumerGroups()
	names := []string{}
	for name := range groups {
		names = append(names, name)
	}
	return names, err
}

func (s *saramaClient) describeGroup(_ context.Context, group string) (described, error) {
	groups, err := s.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return described{}, err
	}
	if groups[0].Err != sarama.ErrNoError {
		return described{}, groups[0].Err
	}
	result := described{groups[0].State, [][]int32{}}
	for _, member := range groups[0].Members {
		partitions := []int32{}
		assignment, err := member.GetMemberAssignment()
		if err != nil {
			return described{}, err
		}
		if assignment != nil {
			for _, some := range assignment.Topics {
				partitions = append(partitions, some...)
			}
		}
		result.Members = append(result.Members, partitions)
	}
	return result, nil
}

func (s *saramaClient) committed(_ context.Context, group, topic string) (map[int32]int64, error) {
	answer, err := s.admin.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		return nil, err
	}
	if answer.Err != sarama.ErrNoError {
		return nil, answer.Err
	}
	next := map[int32]int64{}
	for partition, block := range answer.Blocks[topic] {
		if block.Err != sarama.ErrNoError {
			return nil, block.Err
		}
		next[partition] = block.Offset
	}
	return next, nil
}

func (s *saramaClient) deleteGroup(_ context.Context, group string) error {
	return s.admin.DeleteConsumerGroup(group)
}

type saramaHandler struct{}

func (saramaHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (saramaHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// Runs once for each partition of the session. sarama's Commit tells of no error: what was committed is known only by asking, so
// a commit counts as reported when it returns inside a session that lives on.
func (saramaHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			reportRecord(m.Partition, m.Offset, m.Key, m.Value)
			session.MarkMessage(m, "")
			if len(claim.Messages()) > 0 {
				continue // one commit for what has arrived together
			}
			session.Commit()
			var err error
			if session.Context().Err() != nil {
				err = fmt.Errorf("the session has ended")
			}
			next := map[int32]int64{m.Partition: m.Offset + 1}
			reportCommit(next, next, err)
		case <-session.Context().Done():
			return nil
		}
	}
}

func saramaMember(ctx context.Context, bootstrap, topic, group string, session time.Duration, name string) error {
	config := saramaConfig(name)
	config.Consumer.Group.Session.Timeout = session
	config.Consumer.Group.Heartbeat.Interval = heartbeat()
	config.Consumer.Group.Rebalance.Timeout = 10 * time.Second
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Return.Errors = true
	consumer, err := sarama.NewConsumerGroup([]string{bootstrap}, group, config)
	if err != nil {
		return err
	}
	go func() {
		for err := range consumer.Errors() {
			if ctx.Err() == nil {
				write(map[string]any{"event": "error", "error": err.Error()})
			}
		}
	}()
	for ctx.Err() == nil {
		if err := consumer.Consume(ctx, []string{topic}, saramaHandler{}); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return consumer.Close() // leaves the group
}

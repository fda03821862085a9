// Adapters of the scenario for the Go clients franz-go, sarama and kafka-go; tests/clients/common/worker.py says what an adapter
// is. Here is what they share: reading what is asked and writing answers. Each client has a file of its own.
//
// usage: adapters franz-go|sarama|kafka-go BOOTSTRAP [member TOPIC GROUP SESSION_MS NAME]
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// For one thing that is asked; the scenario gives up a little later.
const deadline = 30 * time.Second

// One thing that is asked. Keys and values of records are base64 in JSON, and null when they are nil.
type asked struct {
	Do         string            `json:"do"`
	Topic      string            `json:"topic"`
	Group      string            `json:"group"`
	Partitions int32             `json:"partitions"`
	Total      int32             `json:"total"`
	Configs    map[string]string `json:"configs"`
	Key        string            `json:"key"`
	Value      string            `json:"value"`
	Codec      string            `json:"codec"`
	Idempotent bool              `json:"idempotent"`
	Records    []produced        `json:"records"`
	Partition  int32             `json:"partition"`
	Offset     int64             `json:"offset"`
	Count      int               `json:"count"`
	At         any               `json:"at"`
}

type produced struct {
	Partition *int32   `json:"partition"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
	Timestamp int64    `json:"timestamp"`
}

type header struct {
	Name  string
	Value []byte
}

func (h *header) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[2]any{&h.Name, &h.Value})
}

func (h header) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]any{h.Name, h.Value})
}

type consumed struct {
	Offset    int64    `json:"offset"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
	Timestamp int64    `json:"timestamp"`
}

type place [2]int64 // partition, offset

type described struct {
	State   string    `json:"state"`
	Members [][]int32 `json:"members"`
}

// What the scenario asks; see worker.py.
type client interface {
	createTopic(ctx context.Context, topic string, partitions int32, configs map[string]string) error
	listTopics(ctx context.Context) ([]string, error)
	describeTopic(ctx context.Context, topic string) (map[int32]int32, error)
	deleteTopic(ctx context.Context, topic string) error
	addPartitions(ctx context.Context, topic string, total int32) error
	configs(ctx context.Context, topic string) (map[string]string, error)
	alterConfig(ctx context.Context, topic, key, value string) error
	produce(ctx context.Context, topic, codec string, idempotent bool, records []produced) ([]place, error)
	consume(ctx context.Context, topic string, partition int32, offset int64, count int) ([]consumed, error)
	offset(ctx context.Context, topic string, partition int32, at any) (int64, error)
	deleteRecords(ctx context.Context, topic string, partition int32, offset int64) error
	listGroups(ctx context.Context) ([]string, error)
	describeGroup(ctx context.Context, group string) (described, error)
	committed(ctx context.Context, group, topic string) (map[int32]int64, error)
	deleteGroup(ctx context.Context, group string) error
}

type notOffered struct{ why string }

func (n notOffered) Error() string { return n.why }

var output sync.Mutex

func write(message any) {
	line, err := json.Marshal(message)
	if err != nil {
		fail(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func reportRecord(partition int32, offset int64, key, value []byte) {
	write(map[string]any{"event": "record", "partition": partition, "offset": offset, "key": key, "value": value})
}

// A commit's end. `sure` is what the member does not read again, where that is less than what was committed. An error is a rebalance that came between, and the next owner reads these records again.
func reportCommit(next, sure map[int32]int64, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "commit:", err)
		write(map[string]any{"event": "commit failed"})
		return
	}
	write(map[string]any{"event": "committed", "next": next, "sure": sure})
}

func answer(c client, q asked) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	switch q.Do {
	case "create_topic":
		return nil, c.createTopic(ctx, q.Topic, q.Partitions, q.Configs)
	case "list_topics":
		return c.listTopics(ctx)
	case "describe_topic":
		return c.describeTopic(ctx, q.Topic)
	case "delete_topic":
		return nil, c.deleteTopic(ctx, q.Topic)
	case "add_partitions":
		return nil, c.addPartitions(ctx, q.Topic, q.Total)
	case "configs":
		return c.configs(ctx, q.Topic)
	case "alter_config":
		return nil, c.alterConfig(ctx, q.Topic, q.Key, q.Value)
	case "produce":
		return c.produce(ctx, q.Topic, q.Codec, q.Idempotent, q.Records)
	case "consume":
		found, err := c.consume(ctx, q.Topic, q.Partition, q.Offset, q.Count)
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil // the scenario sees what is missing
		}
		return found, err
	case "offset":
		return c.offset(ctx, q.Topic, q.Partition, q.At)
	case "delete_records":
		return nil, c.deleteRecords(ctx, q.Topic, q.Partition, q.Offset)
	case "list_groups":
		return c.listGroups(ctx)
	case "describe_group":
		return c.describeGroup(ctx, q.Group)
	case "committed":
		return c.committed(ctx, q.Group, q.Topic)
	case "delete_group":
		return nil, c.deleteGroup(ctx, q.Group)
	}
	return nil, notOffered{"no such function"}
}

func serve(c client, name, version string, lacks map[string]string) {
	write(map[string]any{"client": name, "version": version, "lacks": lacks})
	input := bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		var q asked
		if err := json.Unmarshal(line, &q); err != nil {
			fail(err)
		}
		result, err := answer(c, q)
		var missing notOffered
		switch {
		case errors.As(err, &missing):
			write(map[string]any{"not_offered": missing.why})
		case err != nil:
			write(map[string]any{"error": err.Error()})
		default:
			write(map[string]any{"result": result})
		}
	}
}

// The version of a module that this program was built with.
func versionOf(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}

func heartbeat() time.Duration {
	ms, err := strconv.Atoi(os.Getenv("HEARTBEAT_MS"))
	if err != nil {
		ms = 500
	}
	return time.Duration(ms) * time.Millisecond
}

func main() {
	kind, bootstrap := os.Args[1], os.Args[2]
	if len(os.Args) > 3 {
		topic, group, name := os.Args[4], os.Args[5], os.Args[7]
		ms, err := strconv.Atoi(os.Args[6])
		if err != nil {
			fail(err)
		}
		ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer cancel()
		members := map[string]func(context.Context, string, string, string, time.Duration, string) error{
			"franz-go": franzMember, "sarama": saramaMember, "kafka-go": kafkaGoMember}
		if err := members[kind](ctx, bootstrap, topic, group, time.Duration(ms)*time.Millisecond, name); err != nil {
			fail(err)
		}
		return
	}
	clients := map[string]func(string) (client, string, error){"franz-go": newFranz, "sarama": newSarama, "kafka-go": newKafkaGo}
	c, module, err := clients[kind](bootstrap)
	if err != nil {
		fail(err)
	}
	lacks := map[string]map[string]string{"kafka-go": {"empty is not missing": "its reader returns what is empty as missing"}}
	serve(c, kind, versionOf(module), lacks[kind])
}

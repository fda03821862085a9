"""What administrators do, with kafka-python: partitions, configuration that acts at once, deleting records, groups and
committed offsets, sizes, producers, offsets by time. Each answer is asserted exactly.

usage: admin.py BOOTSTRAP      (with the Python of a virtual environment that holds kafka-python 3)"""
import pathlib
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from checks import expect, expect_equal, finish, step  # noqa: E402
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors  # noqa: E402
from kafka.admin import ConfigResource, NewTopic  # noqa: E402
from kafka.structs import OffsetAndMetadata  # noqa: E402

LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3


def refused(error, call, *arguments, **named):
    try:
        result = call(*arguments, **named)
    except error:
        return
    raise AssertionError(f"{call.__name__} was not refused with {error.__name__}: {result}")


class Admin:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.client = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.prefix = "admin-" + uuid.uuid4().hex[:8]

    def topic(self, name, partitions=1, configs=None):
        name = f"{self.prefix}-{name}"
        self.client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs or {})])
        return name

    def send(self, topic, count, partition=0, size=10, timestamp_ms=None):
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True)
        done = [producer.send(topic, b"x" * size, partition=partition, timestamp_ms=timestamp_ms and timestamp_ms + number) for number in range(count)]
        producer.flush()
        producer.close()
        return [future.get(timeout=30).offset for future in done]

    def values(self, kind, name, **named):
        shown = self.client.describe_configs([ConfigResource(kind, name)], config_filter="all", **named)
        return shown[kind][name]

    def offset(self, topic, spec, partition=0):
        where = TopicPartition(topic, partition)
        return self.client.list_partition_offsets({where: spec})[where].offset


def partitions(admin):
    topic = admin.topic("grows", 2)
    with step("partitions are added and take records at once"):
        admin.client.create_partitions({topic: 4})
        expect_equal(admin.send(topic, 3, partition=3), [0, 1, 2], "offsets in the new partition")
        refused(errors.InvalidPartitionsError, admin.client.create_partitions, {topic: 3})
        refused(errors.UnknownTopicOrPartitionError, admin.client.create_partitions, {topic + "-none": 3})
    with step("topics are described page by page"):
        seen, cursor = [], None
        while True:
            page = admin.client.describe_topic_partitions([topic], response_partition_limit=3, cursor=cursor)
            seen += [partition["partition_index"] for part in page["topics"] for partition in part["partitions"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        expect_equal(seen, [0, 1, 2, 3], "partitions over all pages")


def configuration(admin):
    topic = admin.topic("configured", configs={"retention.bytes": "1000000"})
    with step("every topic key is described with its source"):
        shown = admin.values("topic", topic)
        expect_equal(shown["retention.bytes"]["value"], "1000000", "a setting of the topic")
        expect_equal(shown["flush.messages"]["value"], "1", "acknowledged means durable")
        expect(len(shown) >= 33, f"only {len(shown)} keys")
    with step("a changed limit acts at once and goes back"):
        resource = {"max.message.bytes": "500"}
        admin.client.alter_configs([ConfigResource("topic", topic, resource)])
        refused(errors.MessageSizeTooLargeError, admin.send, topic, 1, size=2000)
        admin.client.reset_configs([ConfigResource("topic", topic, {"max.message.bytes": None})])
        expect_equal(admin.send(topic, 1, size=2000), [0], "offset")
        expect_equal(admin.values("topic", topic)["retention.bytes"]["value"], "1000000", "the other setting")
    with step("AlterConfigs replaces the whole configuration"):
        admin.client.alter_configs([ConfigResource("topic", topic, {"segment.ms": "60000"})], incremental=False)
        expect_equal(admin.values("topic", topic)["segment.ms"]["value"], "60000", "segment.ms")
    with step("a broker's setting holds for topics without their own"):
        node = str(admin.client.describe_cluster()["brokers"][0]["broker_id"])
        admin.client.alter_configs([ConfigResource("broker", node, {"log.retention.ms": "7200000"})], raise_on_unknown=False)
        expect_equal(admin.values("topic", topic)["retention.ms"]["value"], "7200000", "retention.ms")
        expect_equal(admin.values("broker", node)["log.retention.ms"]["value"], "7200000", "the broker's own view")
        admin.client.alter_configs([ConfigResource("broker", node, {"log.retention.ms": ("DELETE", None)})], raise_on_unknown=False)
        expect_equal(admin.values("topic", topic)["retention.ms"]["value"], "604800000", "retention.ms afterwards")


def records(admin):
    topic = admin.topic("records", 2)
    first = TopicPartition(topic, 0)
    admin.send(topic, 10, timestamp_ms=1_700_000_000_000)
    with step("records are deleted up to an offset"):
        done = admin.client.delete_records({first: 4})
        expect_equal(done[first]["low_watermark"], 4, "low watermark")
        expect_equal(admin.offset(topic, EARLIEST), 4, "earliest offset")
        refused(errors.OffsetOutOfRangeError, admin.client.delete_records, {first: 11})
    with step("a consumer reads what is left"):
        consumer = KafkaConsumer(bootstrap_servers=admin.bootstrap, consumer_timeout_ms=4000, auto_offset_reset="earliest", group_id=None)
        consumer.assign([first, TopicPartition(topic, 1)])
        expect_equal([record.offset for record in consumer], [4, 5, 6, 7, 8, 9], "offsets")
        consumer.close()
    with step("offsets are found by the largest time and by time"):
        where = admin.client.list_partition_offsets({first: MAX_TIMESTAMP})[first]
        expect_equal((where.offset, where.timestamp), (9, 1_700_000_000_009), "the newest record")
        expect_equal(admin.offset(topic, 1_700_000_000_006), 6, "offset by time")
        expect_equal(admin.offset(topic, LATEST), 10, "latest offset")
    with step("sizes and producers are shown"):
        brokers = admin.client.describe_log_dirs({topic: [0, 1]})
        text = str(brokers)
        expect(topic in text and "partition_size" in text, text)
        producers = admin.client.describe_producers([first])[first]
        expect("producer_id" in str(producers), str(producers))


def groups(admin):
    topic = admin.topic("groups", 2)
    admin.send(topic, 3)
    group = admin.prefix + "-group"
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer = KafkaConsumer(bootstrap_servers=admin.bootstrap, group_id=group, enable_auto_commit=False)
    consumer.assign([first, second])
    consumer.commit({first: OffsetAndMetadata(2, "", -1), second: OffsetAndMetadata(0, "", -1)})
    consumer.close()
    with step("one committed offset is deleted, the other stays"):
        done = admin.client.delete_group_offsets(group, [first])
        expect_equal(done[first].errno, 0, "error")
        left = admin.client.list_group_offsets({group: [first, second]})
        expect("offset=2" not in str(left), str(left))
        refused(errors.GroupIdNotFoundError, admin.client.delete_group_offsets, group + "-none", [first])
    with step("an empty group is deleted"):
        expect_equal(admin.client.delete_groups([group]), {group: "OK"}, "first time")
        expect_equal(admin.client.delete_groups([group]), {group: "GroupIdNotFoundError"}, "second time")
    with step("a group with a member is not"):
        member = KafkaConsumer(topic, bootstrap_servers=admin.bootstrap, group_id=group, auto_offset_reset="earliest")
        for _ in range(50):
            if member.poll(timeout_ms=200):
                break
        expect_equal(admin.client.delete_groups([group]), {group: "NonEmptyGroupError"}, "under its member")
        member.close()


def main():
    admin = Admin(sys.argv[1])
    for part in (partitions, configuration, records, groups):
        part(admin)
    admin.client.close()
    finish()


main()

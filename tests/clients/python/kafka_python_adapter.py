"""kafka-python as an adapter of the scenario; see tests/clients/common/worker.py.

usage: kafka_python_adapter.py BOOTSTRAP [member TOPIC GROUP SESSION_MS NAME]"""
import sys
import time

import kafka
from adapter import DEADLINE_SECONDS, HEARTBEAT_MS, decoded, report_committed, report_record, serve, stored, until_terminated, write
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, NewTopic
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

LATEST, EARLIEST = -1, -2


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def create_topic(self, topic, partitions, configs):
        self.admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])

    def list_topics(self):
        return self.admin.list_topics()

    def describe_topic(self, topic):
        (described,) = self.admin.describe_topics([topic])
        return {part["partition_index"]: part["leader_id"] for part in described["partitions"]}

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])

    def add_partitions(self, topic, total):
        self.admin.create_partitions({topic: total})

    def configs(self, topic):
        shown = self.admin.describe_configs([ConfigResource("topic", topic)], config_filter="all")
        return {key: entry["value"] for key, entry in shown["topic"][topic].items()}

    def alter_config(self, topic, key, value):
        self.admin.alter_configs([ConfigResource("topic", topic, {key: value})])

    def produce(self, topic, codec, idempotent, records):
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", compression_type=None if codec == "none" else codec, enable_idempotence=idempotent,
                                 linger_ms=20, max_request_size=10_000_000)
        sent = [producer.send(topic, decoded(one["value"]), decoded(one["key"]), [(name, decoded(data)) for name, data in one["headers"]], one["partition"], one["timestamp"])
                for one in records]
        producer.flush(DEADLINE_SECONDS)
        done = [future.get(timeout=DEADLINE_SECONDS) for future in sent]
        producer.close()
        return [[one.partition, one.offset] for one in done]

    def consume(self, topic, partition, offset, count):
        consumer, where = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, auto_offset_reset="none", enable_auto_commit=False), TopicPartition(topic, partition)
        consumer.assign([where])
        consumer.seek(where, offset)
        found, end = [], time.monotonic() + DEADLINE_SECONDS
        while len(found) < count and time.monotonic() < end:
            for records in consumer.poll(timeout_ms=500, max_records=count - len(found)).values():
                found += [stored(one.offset, one.key, one.value, one.headers, one.timestamp) for one in records]
        consumer.close()
        return found

    def offset(self, topic, partition, at):
        where = TopicPartition(topic, partition)
        if not isinstance(at, int):
            return self.admin.list_partition_offsets({where: EARLIEST if at == "earliest" else LATEST})[where].offset
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None)
        found = consumer.offsets_for_times({where: at})[where].offset
        consumer.close()
        return found

    def delete_records(self, topic, partition, offset):
        self.admin.delete_records({TopicPartition(topic, partition): offset})

    def list_groups(self):
        return [group["group_id"] for group in self.admin.list_groups()]

    def describe_group(self, group):
        described = self.admin.describe_groups([group])[group]
        return {"state": str(described["group_state"]),
                "members": [[partition for topic in (member["member_assignment"] or {}).get("assigned_partitions", []) for partition in topic["partitions"]]
                            for member in described["members"]]}

    def committed(self, group, topic):
        listed = self.admin.list_group_offsets(group)[group]
        return {where.partition: place.offset for where, place in listed.items() if where.topic == topic}

    def delete_group(self, group):
        done = self.admin.delete_groups([group])
        if done != {group: "OK"}:
            raise ValueError(str(done))


def member(bootstrap, topic, group, session_ms, name):
    running = until_terminated()
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, client_id=name, session_timeout_ms=int(session_ms), heartbeat_interval_ms=HEARTBEAT_MS,
                             auto_offset_reset="earliest", enable_auto_commit=False)
    while running:
        lots = consumer.poll(timeout_ms=100)
        for where, records in lots.items():
            for one in records:
                report_record(where.partition, one.offset, one.key, one.value)
        if lots:
            next_offsets = {where: records[-1].offset + 1 for where, records in lots.items()}
            try:
                consumer.commit({where: OffsetAndMetadata(offset, "", -1) for where, offset in next_offsets.items()})
            except KafkaError:  # a rebalance came between: the next owner reads these records again
                write({"event": "commit failed"})
            else:
                report_committed({where.partition: offset for where, offset in next_offsets.items()})
    consumer.close()


if len(sys.argv) > 2:
    member(sys.argv[1], *sys.argv[3:])
else:
    serve("kafka-python", kafka.__version__, Client(sys.argv[1]))

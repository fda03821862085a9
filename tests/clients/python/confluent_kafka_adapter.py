"""confluent-kafka (librdkafka) as an adapter of the scenario; see tests/clients/common/worker.py.

usage: confluent_kafka_adapter.py BOOTSTRAP [member TOPIC GROUP SESSION_MS NAME]"""
import sys
import time

import confluent_kafka
from adapter import DEADLINE_SECONDS, HEARTBEAT_MS, decoded, report_committed, report_record, serve, stored, until_terminated, write
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType)

OPERATION = {"request_timeout": DEADLINE_SECONDS}


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = {"bootstrap.servers": bootstrap}
        self.admin = AdminClient(self.bootstrap)

    @staticmethod
    def one(futures):
        (future,) = futures.values()
        return future.result(DEADLINE_SECONDS)

    def create_topic(self, topic, partitions, configs):
        self.one(self.admin.create_topics([NewTopic(topic, partitions, 1, config=configs)], **OPERATION))

    def list_topics(self):
        return list(self.admin.list_topics(timeout=DEADLINE_SECONDS).topics)

    def describe_topic(self, topic):
        described = self.one(self.admin.describe_topics(confluent_kafka.TopicCollection([topic]), **OPERATION))
        return {part.id: part.leader.id for part in described.partitions}

    def delete_topic(self, topic):
        self.one(self.admin.delete_topics([topic], **OPERATION))

    def add_partitions(self, topic, total):
        self.one(self.admin.create_partitions([NewPartitions(topic, total)], **OPERATION))

    def configs(self, topic):
        entries = self.one(self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)], **OPERATION))
        return {name: entry.value for name, entry in entries.items()}

    def alter_config(self, topic, key, value):
        change = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        self.one(self.admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])], **OPERATION))

    def produce(self, topic, codec, idempotent, records):
        producer = Producer({**self.bootstrap, "compression.type": codec, "enable.idempotence": idempotent, "linger.ms": 20})
        places, failures = [None] * len(records), []

        def delivered(index):
            def done(error, message):
                if error:
                    failures.append(error)
                else:
                    places[index] = [message.partition(), message.offset()]
            return done

        for index, one in enumerate(records):
            where = {} if one["partition"] is None else {"partition": one["partition"]}
            producer.produce(topic, decoded(one["value"]), decoded(one["key"]), headers=[(name, decoded(data)) for name, data in one["headers"]],
                             timestamp=one["timestamp"], on_delivery=delivered(index), **where)
            producer.poll(0)
        left = producer.flush(DEADLINE_SECONDS)
        if failures or left:
            raise KafkaException(failures[0] if failures else KafkaError(KafkaError._TIMED_OUT))
        return places

    def consume(self, topic, partition, offset, count):
        consumer = Consumer({**self.bootstrap, "group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "error"})
        consumer.assign([TopicPartition(topic, partition, offset)])
        found, end = [], time.monotonic() + DEADLINE_SECONDS
        while len(found) < count and time.monotonic() < end:
            for message in consumer.consume(count - len(found), 0.5):
                if message.error():
                    raise KafkaException(message.error())
                found.append(stored(message.offset(), message.key(), message.value(), message.headers(), message.timestamp()[1]))
        consumer.close()
        return found

    def offset(self, topic, partition, at):
        spec = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest}.get(at, lambda: OffsetSpec.for_timestamp(at))()
        listed = self.one(self.admin.list_offsets({TopicPartition(topic, partition): spec}, **OPERATION)).offset
        if isinstance(at, int):  # the consumer's way to ask for the same
            consumer = Consumer({**self.bootstrap, "group.id": "unused"})
            (found,) = consumer.offsets_for_times([TopicPartition(topic, partition, at)], timeout=DEADLINE_SECONDS)
            consumer.close()
            if found.offset != listed:
                raise ValueError(f"the consumer finds offset {found.offset}, the administrator {listed}")
        return listed

    def delete_records(self, topic, partition, offset):
        self.one(self.admin.delete_records([TopicPartition(topic, partition, offset)], **OPERATION))

    def list_groups(self):
        listed = self.admin.list_consumer_groups(**OPERATION).result(DEADLINE_SECONDS)
        if listed.errors:
            raise listed.errors[0]
        return [group.group_id for group in listed.valid]

    def describe_group(self, group):
        described = self.one(self.admin.describe_consumer_groups([group], **OPERATION))
        return {"state": described.state.name.capitalize(), "members": [[part.partition for part in member.assignment.topic_partitions] for member in described.members]}

    def committed(self, group, topic):
        listed = self.one(self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], **OPERATION))
        return {part.partition: part.offset for part in listed.topic_partitions if part.topic == topic}

    def delete_group(self, group):
        self.one(self.admin.delete_consumer_groups([group], **OPERATION))


def member(bootstrap, topic, group, session_ms, name):
    running = until_terminated()
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "client.id": name, "session.timeout.ms": int(session_ms), "heartbeat.interval.ms": HEARTBEAT_MS,
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    while running:
        messages = consumer.consume(100, 0.1)
        next_offsets = {}
        for message in messages:
            if message.error():
                write({"event": "error", "error": str(message.error())})
                continue
            report_record(message.partition(), message.offset(), message.key(), message.value())
            next_offsets[message.partition()] = message.offset() + 1
        if next_offsets:
            try:
                consumer.commit(offsets=[TopicPartition(topic, *place) for place in next_offsets.items()], asynchronous=False)
            except KafkaException:  # a rebalance came between: the next owner reads these records again
                write({"event": "commit failed"})
            else:
                report_committed(next_offsets)
    consumer.close()


if len(sys.argv) > 2:
    member(sys.argv[1], *sys.argv[3:])
else:
    serve("confluent-kafka", f"{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})", Client(sys.argv[1]))

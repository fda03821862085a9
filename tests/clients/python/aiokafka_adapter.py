"""aiokafka as an adapter of the scenario; see tests/clients/common/worker.py.

usage: aiokafka_adapter.py BOOTSTRAP [member TOPIC GROUP SESSION_MS NAME]"""
import asyncio
import signal
import sys
import time

import aiokafka
from adapter import DEADLINE_SECONDS, HEARTBEAT_MS, NotOffered, assigned, decoded, report_committed, report_record, serve, stored, write
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, KafkaError, for_code


def check(code):
    if code:
        raise for_code(code)()


class Client:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin_client = None

    async def admin(self):
        if self.admin_client is None:
            self.admin_client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await self.admin_client.start()
        return self.admin_client

    async def create_topic(self, topic, partitions, configs):
        answer = await (await self.admin()).create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        check(answer.topic_errors[0][1])

    async def list_topics(self):
        return await (await self.admin()).list_topics()

    async def describe_topic(self, topic):
        (described,) = await (await self.admin()).describe_topics([topic])
        check(described["error_code"])
        return {part["partition"]: part["leader"] for part in described["partitions"]}

    async def delete_topic(self, topic):
        answer = await (await self.admin()).delete_topics([topic])
        check(answer.topic_error_codes[0][1])

    async def add_partitions(self, topic, total):
        answer = await (await self.admin()).create_partitions({topic: NewPartitions(total)})
        check(answer.topic_errors[0][1])

    async def configs(self, topic):
        (answer,) = await (await self.admin()).describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        (resource,) = answer.to_object()["resources"]
        check(resource["error_code"])
        return {entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]}

    def alter_config(self, **_):
        raise NotOffered("it knows only AlterConfigs, which replaces a topic's whole configuration")

    async def produce(self, topic, codec, idempotent, records):
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", compression_type=None if codec == "none" else codec, enable_idempotence=idempotent,
                                    linger_ms=20, max_request_size=10_000_000)
        await producer.start()
        try:
            sent = [await producer.send(topic, decoded(one["value"]), decoded(one["key"]), one["partition"], one["timestamp"],
                                        [(name, decoded(data)) for name, data in one["headers"]]) for one in records]
            done = await asyncio.wait_for(asyncio.gather(*sent), DEADLINE_SECONDS)
        finally:
            await producer.stop()
        return [[one.partition, one.offset] for one in done]

    async def consumer(self, topic, partition):
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="none", enable_auto_commit=False)
        await consumer.start()
        consumer.assign([TopicPartition(topic, partition)])
        return consumer

    async def consume(self, topic, partition, offset, count):
        consumer = await self.consumer(topic, partition)
        found, end = [], time.monotonic() + DEADLINE_SECONDS
        try:
            consumer.seek(TopicPartition(topic, partition), offset)
            while len(found) < count and time.monotonic() < end:
                for records in (await consumer.getmany(timeout_ms=500, max_records=count - len(found))).values():
                    found += [stored(one.offset, one.key, one.value, one.headers, one.timestamp) for one in records]
        finally:
            await consumer.stop()
        return found

    async def offset(self, topic, partition, at):
        consumer, where = await self.consumer(topic, partition), TopicPartition(topic, partition)
        try:
            if at == "earliest":
                return (await consumer.beginning_offsets([where]))[where]
            if at == "latest":
                return (await consumer.end_offsets([where]))[where]
            return (await consumer.offsets_for_times({where: at}))[where].offset
        finally:
            await consumer.stop()

    async def delete_records(self, topic, partition, offset):
        await (await self.admin()).delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)})

    async def list_groups(self):
        return [group[0] for group in await (await self.admin()).list_consumer_groups()]

    async def describe_group(self, group):
        (answer,) = await (await self.admin()).describe_consumer_groups([group])
        (described,) = answer.to_object()["groups"]
        check(described["error_code"])
        return {"state": described["state"], "members": [assigned(member["member_assignment"]) for member in described["members"]]}

    async def committed(self, group, topic):
        listed = await (await self.admin()).list_consumer_group_offsets(group)
        return {where.partition: place.offset for where, place in listed.items() if where.topic == topic}


async def member(bootstrap, topic, group, session_ms, name):
    running = asyncio.Event()
    running.set()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.clear)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, client_id=name, session_timeout_ms=int(session_ms), heartbeat_interval_ms=HEARTBEAT_MS,
                                auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    while running.is_set():
        lots = await consumer.getmany(timeout_ms=100)
        for where, records in lots.items():
            for one in records:
                report_record(where.partition, one.offset, one.key, one.value)
        if lots:
            next_offsets = {where: records[-1].offset + 1 for where, records in lots.items()}
            try:
                await consumer.commit(next_offsets)
            except (CommitFailedError, KafkaError):  # a rebalance came between: the next owner reads these records again
                write({"event": "commit failed"})
            else:
                report_committed({where.partition: offset for where, offset in next_offsets.items()})
    await consumer.stop()


def main():
    if len(sys.argv) > 2:
        asyncio.run(member(sys.argv[1], *sys.argv[3:]))
        return
    with asyncio.Runner() as runner:
        client = Client(sys.argv[1])

        def run(result):
            return runner.run(result) if asyncio.iscoroutine(result) else result

        serve("aiokafka", aiokafka.__version__, client, run)
        if client.admin_client is not None:
            runner.run(client.admin_client.close())


main()

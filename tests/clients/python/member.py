"""One member of a consumer group, as a process that can be killed: kafka-python, JSON deserializer, commits what it has
reported after every poll. Reports one JSON object a line on standard output; the scenario reads them.

usage: member.py BOOTSTRAP TOPIC GROUP NAME SESSION_TIMEOUT_MS"""
import json
import signal
import sys

from kafka import ConsumerRebalanceListener, KafkaConsumer


def report(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        report(event="revoked", partitions=sorted(one.partition for one in revoked))

    def on_partitions_assigned(self, assigned):
        report(event="assigned", partitions=sorted(one.partition for one in assigned))


def main():
    bootstrap, topic, group, name, session_timeout = sys.argv[1:6]
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, client_id=name, auto_offset_reset="earliest",
                             enable_auto_commit=False, session_timeout_ms=int(session_timeout), heartbeat_interval_ms=500,
                             key_deserializer=lambda raw: raw.decode(), value_deserializer=json.loads)
    consumer.subscribe([topic], listener=Listener())
    while running:
        batches = consumer.poll(timeout_ms=200)
        if not batches:
            continue
        for partition, records in batches.items():
            for record in records:
                report(event="record", partition=partition.partition, offset=record.offset, key=record.key, value=record.value)
        try:
            consumer.commit()
        except Exception as error:  # a rebalance came between: the next owner reads these records again
            report(event="commit failed", error=repr(error))
        else:
            report(event="committed", next={one.partition: records[-1].offset + 1 for one, records in batches.items()})
    consumer.close()


main()

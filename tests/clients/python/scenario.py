"""The guide scenario with kafka-python: a shop's orders go to a topic with three partitions; kitchen, delivery and billing
each read every order; two members of a group share the work; one is killed with SIGKILL, the other takes over, the killed
one comes back where it had committed; a new group replays everything. Content and order are asserted exactly.

usage: scenario.py BOOTSTRAP      (with the Python of a virtual environment that holds kafka-python)"""
import json
import pathlib
import subprocess
import sys
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "common"), str(HERE.parents[1] / "tools")]

import kafka  # noqa: E402
from checks import expect, expect_equal, finish, step, wait_until  # noqa: E402
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition  # noqa: E402
from kafka.admin import NewTopic  # noqa: E402
from worker import EventProcess  # noqa: E402

PARTITIONS = 3
CUSTOMERS = [f"customer-{number}" for number in range(20)]
SESSION_TIMEOUT_MS = 6000  # the least that a broker with Kafka's defaults accepts
# After a member is gone the group waits for its session to end and then for the other member's next heartbeat and join.
TAKEOVER_SECONDS = SESSION_TIMEOUT_MS / 1000 + 4
PATIENCE_SECONDS = 40


class Member(EventProcess):
    """A member.py process and what it has reported so far."""

    def __init__(self, bootstrap, topic, group, name):
        self.name = name
        self.events = []
        command = [sys.executable, "-W", "ignore::DeprecationWarning", str(HERE / "member.py"), bootstrap, topic, group, name, str(SESSION_TIMEOUT_MS)]
        super().__init__(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))

    def took(self, event):
        self.events.append({**event, "at": time.monotonic()})

    def of(self, kind):
        return [event for event in list(self.events) if event["event"] == kind]

    def records(self):
        return self.of("record")

    def assignment(self):
        changes = [event for event in list(self.events) if event["event"] in ("assigned", "revoked")]
        return changes[-1]["partitions"] if changes and changes[-1]["event"] == "assigned" else []

    def committed(self):
        next_offsets = {}
        for event in self.of("committed"):
            next_offsets.update({int(partition): offset for partition, offset in event["next"].items()})
        return next_offsets


class Shop:
    """Sends orders and remembers where each was acknowledged."""

    def __init__(self, bootstrap, topic):
        self.topic = topic
        self.sent = {}  # (partition, offset) -> order
        self.count = 0
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", key_serializer=str.encode,
                                      value_serializer=lambda value: json.dumps(value).encode())

    def send(self, count):
        pending = []
        for _ in range(count):
            customer = CUSTOMERS[self.count * 7 % len(CUSTOMERS)]
            order = {"order": self.count, "customer": customer, "items": ["espresso", "caf\u00e9 au lait"][: 1 + self.count % 2], "note": "x" * (self.count % 50)}
            pending.append((order, self.producer.send(self.topic, key=customer, value=order)))
            self.count += 1
        self.producer.flush()
        for order, future in pending:
            acknowledged = future.get(timeout=PATIENCE_SECONDS)
            expect((acknowledged.partition, acknowledged.offset) not in self.sent, f"offset given twice: {acknowledged}")
            self.sent[acknowledged.partition, acknowledged.offset] = order


def places(records):
    return [(record["partition"], record["offset"]) for record in records]


def check_content(records, sent):
    for record in records:
        expect_equal(record["value"], sent.get((record["partition"], record["offset"])), f"order at {record['partition']}:{record['offset']}")
        expect_equal(record["key"], record["value"]["customer"], "key of the record")


def check_order(records):
    """Offsets of a partition and orders of a customer only grow."""
    for group_by in ("partition", "key"):
        last = {}
        for record in records:
            mark = record["offset"] if group_by == "partition" else record["value"]["order"]
            expect(mark > last.get(record[group_by], -1), f"{group_by} {record[group_by]}: {mark} came after {last.get(record[group_by])}")
            last[record[group_by]] = mark


def expect_everything_once(members, sent):
    """Together the members have read each order exactly once, each in order."""
    records = [record for member in members for record in member.records()]
    check_content(records, sent)
    expect_equal(sorted(places(records)), sorted(sent), "orders read")
    for member in members:
        check_order(member.records())


def read_count(*members):
    return len({place for member in members for place in places(member.records())})


def share_evenly(first, second):
    return first.assignment() and second.assignment() and sorted(first.assignment() + second.assignment()) == list(range(PARTITIONS))


def scenario(bootstrap):
    topic = "orders-" + uuid.uuid4().hex[:8]
    group = {name: f"{name}-{topic}" for name in ("kitchen", "delivery", "billing", "audit")}
    members = []

    def member(group_name, name):
        members.append(Member(bootstrap, topic, group[group_name], name))
        return members[-1]

    try:
        with step("create a topic with three partitions", fatal=True):
            admin = KafkaAdminClient(bootstrap_servers=bootstrap)
            admin.create_topics([NewTopic(name=topic, num_partitions=PARTITIONS, replication_factor=1)])
            expect(topic in admin.list_topics(), "the topic is not listed")
            admin.close()
        with step("send 300 orders keyed by customer", fatal=True):
            shop = Shop(bootstrap, topic)
            shop.send(300)
            by_customer = {}
            for (partition, _), order in shop.sent.items():
                by_customer.setdefault(order["customer"], set()).add(partition)
            expect(all(len(used) == 1 for used in by_customer.values()), "a customer's orders went to several partitions")
            expect_equal({partition for partition, _ in shop.sent}, set(range(PARTITIONS)), "partitions used")
            for partition in range(PARTITIONS):
                offsets = sorted(offset for where, offset in shop.sent if where == partition)
                expect_equal(offsets, list(range(len(offsets))), f"offsets of partition {partition}")

        kitchen_a = member("kitchen", "kitchen-a")
        delivery, billing = member("delivery", "delivery"), member("billing", "billing")
        for one in (kitchen_a, delivery, billing):
            with step(f"group {one.name} reads every order, in order"):
                wait_until(lambda one=one: read_count(one) == len(shop.sent), PATIENCE_SECONDS, f"{one.name} read {read_count(one)} of {len(shop.sent)}")
                expect_everything_once([one], shop.sent)

        with step("two members of a group share the partitions"):
            kitchen_b = member("kitchen", "kitchen-b")
            wait_until(lambda: share_evenly(kitchen_a, kitchen_b), PATIENCE_SECONDS, "both have partitions and none is left out")
            shop.send(100)
            wait_until(lambda: read_count(kitchen_a, kitchen_b) == len(shop.sent), PATIENCE_SECONDS, "the kitchen reads 100 more")
            expect_everything_once([kitchen_a, kitchen_b], shop.sent)
            expect(len(kitchen_b.records()) > 0, "the second member read nothing")

        with step("after SIGKILL of one member the other takes over within the session timeout"):
            killed_at = time.monotonic()
            kitchen_a.kill()
            shop.send(100)
            wait_until(lambda: kitchen_b.assignment() == list(range(PARTITIONS)), PATIENCE_SECONDS, "the other member has all partitions")
            took = kitchen_b.of("assigned")[-1]["at"] - killed_at
            print(f"       took over after {took:.1f} s")
            expect(took <= TAKEOVER_SECONDS, f"took over after {took:.1f} s")
            wait_until(lambda: read_count(kitchen_a, kitchen_b) == len(shop.sent), PATIENCE_SECONDS, "the other member reads what is left")
            check_content(kitchen_b.records(), shop.sent)
            # Nothing that the killed member had committed is read again.
            taken = kitchen_a.committed()
            again = [place for place in places(kitchen_b.records()) if place in set(places(kitchen_a.records())) and place[1] < taken.get(place[0], 0)]
            expect_equal(again, [], "committed orders read again")

        with step("the killed member comes back and resumes from the committed offsets"):
            next_offsets = {partition: 1 + max(offset for where, offset in shop.sent if where == partition) for partition in range(PARTITIONS)}
            wait_until(lambda: {**kitchen_a.committed(), **kitchen_b.committed()} == next_offsets, PATIENCE_SECONDS, "everything is committed")
            kitchen_a2 = member("kitchen", "kitchen-a")
            wait_until(lambda: share_evenly(kitchen_a2, kitchen_b), PATIENCE_SECONDS, "both have partitions again")
            before = len(shop.sent)
            shop.send(100)
            wait_until(lambda: read_count(kitchen_a, kitchen_b, kitchen_a2) == len(shop.sent), PATIENCE_SECONDS, "100 more are read")
            expect(before + 100 == len(shop.sent), "orders were counted twice")
            check_content(kitchen_a2.records(), shop.sent)
            check_order(kitchen_a2.records())
            first = {}
            for record in kitchen_a2.records():
                first.setdefault(record["partition"], record["offset"])
            expect(first, "the member that came back read nothing")
            expect_equal(first, {partition: next_offsets[partition] for partition in first}, "first offsets after the return")

        with step("a lone member that is killed resumes exactly where it had committed"):
            wait_until(lambda: sum(billing.committed().values()) == len(shop.sent), PATIENCE_SECONDS, "billing has committed everything")
            stopped_at = billing.committed()
            billing.kill()
            shop.send(60)
            billing_2 = member("billing", "billing")
            wait_until(lambda: read_count(billing, billing_2) == len(shop.sent), PATIENCE_SECONDS, "billing reads the rest")
            expect_equal(sorted(places(billing_2.records())), sorted(place for place in shop.sent if place[1] >= stopped_at[place[0]]), "orders after the return")
            check_content(billing_2.records(), shop.sent)
            check_order(billing_2.records())

        with step("delivery, never disturbed, has read everything exactly once"):
            wait_until(lambda: read_count(delivery) == len(shop.sent), PATIENCE_SECONDS, "delivery reads everything")
            expect_everything_once([delivery], shop.sent)

        with step("a new group replays everything from the start"):
            audit = member("audit", "audit")
            wait_until(lambda: read_count(audit) == len(shop.sent), PATIENCE_SECONDS, "the audit reads everything")
            expect_everything_once([audit], shop.sent)

        with step("beginning and end offsets, and a reader without a group"):
            reader = KafkaConsumer(bootstrap_servers=bootstrap, value_deserializer=json.loads, enable_auto_commit=False)
            all_partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            counts = {one: len([1 for where, _ in shop.sent if where == one.partition]) for one in all_partitions}
            expect_equal(reader.beginning_offsets(all_partitions), {one: 0 for one in all_partitions}, "beginning offsets")
            expect_equal(reader.end_offsets(all_partitions), counts, "end offsets")
            reader.assign([all_partitions[1]])
            reader.seek(all_partitions[1], 5)
            got = []
            wait_until(lambda: got.extend(record for records in reader.poll(timeout_ms=500).values() for record in records) or len(got) >= 10,
                       PATIENCE_SECONDS, "ten records after a seek")
            expect_equal([(record.offset, record.value) for record in got[:10]], [(offset, shop.sent[1, offset]) for offset in range(5, 15)], "records")
            reader.close()
        shop.producer.close()
    finally:
        for one in members:
            one.stop()


print(f"kafka-python {kafka.__version__}, Python {sys.version.split()[0]}", flush=True)
scenario(sys.argv[1])
finish()

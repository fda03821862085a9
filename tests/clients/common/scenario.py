"""What every client library does with the broker, asserted exactly, in one program for all of them: topics, records with every
codec, keys, headers, times, a group whose member is killed, configuration. The library runs in processes of its own (worker.py says
how they are asked); here is what they are asked and what must come back. Leaves in build/clients/NAME.json what the client could do.

usage: scenario.py NAME BOOTSTRAP ENVIRONMENT_JSON ADAPTER_COMMAND..."""
import base64
import itertools
import json
import os
import pathlib
import sys
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tools")]

import wire  # noqa: E402
from broker import ROOT  # noqa: E402
from checks import CheckFailed, NotOffered, expect, expect_equal, finish, results, step, wait_until  # noqa: E402
from worker import Adapter, Member, Worker  # noqa: E402

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
FIRST_TIME_MS = 1_700_000_000_000
SESSION_MS = 6000  # the least that a broker with Kafka's defaults accepts
# After a member is gone the group waits for its session to end, then for the other member's next heartbeat and join; clients
# differ in how promptly they look at the answer to a heartbeat.
TAKEOVER_SECONDS = SESSION_MS / 1000 + 5
PATIENCE_SECONDS = 40
GROUP_PARTITIONS = 4


def encoded(data):
    return None if data is None else base64.b64encode(data).decode()


def record(value, key=None, partition=0, headers=(), timestamp=FIRST_TIME_MS):
    return {"partition": partition, "key": encoded(key), "value": encoded(value), "headers": [[name, encoded(data)] for name, data in headers], "timestamp": timestamp}


class Run:
    """One client: its worker, and names that no other run uses."""

    def __init__(self, adapter):
        self.adapter, self.bootstrap = adapter, adapter.bootstrap
        self.prefix = f"{adapter.name}-{uuid.uuid4().hex[:8]}"
        self.worker = Worker(adapter)
        self.ask = self.worker.ask

    def topic(self, name, partitions=1, **configs):
        name = f"{self.prefix}-{name}"
        self.ask("create_topic", topic=name, partitions=partitions, configs=configs)
        return name

    def produce(self, topic, records, codec="none", idempotent=False):
        """Places of the records, in their order. Each place is given once, and those of a partition follow each other."""
        places = [tuple(place) for place in self.ask("produce", topic=topic, codec=codec, idempotent=idempotent, records=records)]
        expect_equal(len(places), len(records), "places of the records")
        for asked, (partition, _) in zip(records, places):
            expect(asked["partition"] in (None, partition), f"a record for partition {asked['partition']} went to {partition}")
        for partition in {partition for partition, _ in places}:
            offsets = [offset for where, offset in places if where == partition]
            expect_equal(offsets, list(range(offsets[0], offsets[0] + len(offsets))), f"offsets in partition {partition}")
        return places

    def read(self, topic, partition, offset, count):
        return self.ask("consume", topic=topic, partition=partition, offset=offset, count=count)

    def expect_stored(self, topic, records, places):
        """Every partition holds exactly these records at these places, and nothing behind them."""
        for partition in sorted({partition for partition, _ in places}):
            wanted = [{"offset": offset, **{part: one[part] for part in ("key", "value", "headers", "timestamp")}}
                      for one, (where, offset) in zip(records, places) if where == partition]
            got = self.read(topic, partition, wanted[0]["offset"], len(wanted))
            for one, other in itertools.zip_longest(got, wanted):
                expect_equal(one, other, f"a record of partition {partition}")
            expect_equal(self.ask("offset", topic=topic, partition=partition, at="latest"), wanted[-1]["offset"] + 1, "end of the partition")


def topics(run):
    with step("create, list and describe topics", fatal=True):
        topic = run.topic("topics", 3, **{"retention.ms": "1234567"})
        expect(topic in run.ask("list_topics"), "the topic is not listed")
        described = run.ask("describe_topic", topic=topic)
        expect_equal(sorted(described), ["0", "1", "2"], "partitions")
        expect(min(described.values()) >= 0, f"leaders: {described}")
    with step("describe configuration"):
        shown = run.ask("configs", topic=topic)
        expect_equal((shown["retention.ms"], shown["cleanup.policy"]), ("1234567", "delete"), "retention.ms and cleanup.policy")
    with step("alter configuration"):
        run.ask("alter_config", topic=topic, key="max.message.bytes", value="54321")
        shown = run.ask("configs", topic=topic)
        expect_equal((shown["max.message.bytes"], shown["retention.ms"]), ("54321", "1234567"), "max.message.bytes and retention.ms")
    with step("add partitions"):
        run.ask("add_partitions", topic=topic, total=5)
        wait_until(lambda: sorted(run.ask("describe_topic", topic=topic)) == ["0", "1", "2", "3", "4"], PATIENCE_SECONDS, "five partitions")
    with step("delete topics"):
        run.ask("delete_topic", topic=topic)
        # Polled, for some clients keep what they know of topics for a while.
        wait_until(lambda: topic not in run.ask("list_topics"), PATIENCE_SECONDS, "the topic is still listed")


def codecs(run):
    topic = run.topic("codecs", 3)
    for number, codec in enumerate(CODECS):
        with step(f"codec {codec}"):
            # Each record can be made smaller by itself: a batch that cannot is stored as it is by some clients.
            records = [record(f"{codec} {index} ".encode() + bytes(range(256)) * 3 + b"abc" * (index % 50), f"key {index % 7}".encode(), index % 3,
                              [("number", str(index).encode())], FIRST_TIME_MS + 1000 * number + index) for index in range(300)]
            places = run.produce(topic, records, codec)
            for partition in range(3):
                stored = wire.batches(run.bootstrap, topic, partition, min(offset for where, offset in places if where == partition))
                expect_equal({used for _, used, _, _ in stored}, {codec}, "codec of the stored batches")
            run.expect_stored(topic, records, places)
    with step("idempotent producer"):
        records = [record(b"once %d" % index, partition=index % 3) for index in range(300)]
        places = run.produce(topic, records, idempotent=True)
        producers = {producer for partition in range(3) for _, _, producer, _ in wire.batches(run.bootstrap, topic, partition, dict(reversed(places))[partition])}
        expect(len(producers) == 1 and min(producers) >= 0, f"producer ids of the stored batches: {producers}")
        run.expect_stored(topic, records, places)


def contents(run):
    topic = run.topic("contents", 3)
    with step("keys choose the partition"):
        records = [record(b"%d" % index, b"customer %d" % (index * 7 % 20), None) for index in range(100)]
        places = run.produce(topic, records)
        used = {}
        for one, (partition, _) in zip(records, places):
            used.setdefault(one["key"], set()).add(partition)
        expect(all(len(partitions) == 1 for partitions in used.values()), f"a key went to several partitions: {used}")
        expect_equal({partition for partition, _ in places}, {0, 1, 2}, "partitions used")
        run.expect_stored(topic, records, places)
    with step("headers"):
        records = [record(b"%d" % index, b"k", 0, [("trace", b"\x00\xff\x80"), ("caf\u00e9", "\u00e9t\u00e9 %d".encode() % index)]) for index in range(20)]
        run.expect_stored(topic, records, run.produce(topic, records))
    with step("missing keys, tombstones"):
        records = [record(None, b"tombstone", 0), record(b"no key", None, 0)]
        run.expect_stored(topic, records, run.produce(topic, records))
    with step("empty is not missing"):
        if "empty is not missing" in run.worker.lacks:
            raise NotOffered(run.worker.lacks["empty is not missing"])
        records = [record(b"", b"empty value", 0), record(b"empty key", b"", 0), record(b"empty header", b"k", 0, [("empty", b"")])]
        run.expect_stored(topic, records, run.produce(topic, records))
    with step("large records"):
        records = [record(bytes([65 + index]) * 900_000, b"large", 1) for index in range(4)]
        places = [place for one in records for place in run.produce(topic, [one])]  # together they could be one batch over the limit
        run.expect_stored(topic, records, places)


def times(run):
    topic = run.topic("times")
    run.produce(topic, [record(b"%d" % index, timestamp=FIRST_TIME_MS + 1000 * index) for index in range(100)])
    with step("earliest and latest offset"):
        expect_equal([run.ask("offset", topic=topic, partition=0, at=at) for at in ("earliest", "latest")], [0, 100], "offsets")
    with step("seek by time"):
        for time_ms, wanted in ((FIRST_TIME_MS, 0), (FIRST_TIME_MS + 41_001, 42), (FIRST_TIME_MS + 42_000, 42), (FIRST_TIME_MS + 99_000, 99)):
            expect_equal(run.ask("offset", topic=topic, partition=0, at=time_ms), wanted, f"offset at {time_ms}")
        got = run.read(topic, 0, run.ask("offset", topic=topic, partition=0, at=FIRST_TIME_MS + 60_500), 39)
        expect_equal([(one["offset"], one["value"], one["timestamp"]) for one in got],
                     [(index, encoded(b"%d" % index), FIRST_TIME_MS + 1000 * index) for index in range(61, 100)], "records from that time on")
    with step("delete records"):
        run.ask("delete_records", topic=topic, partition=0, offset=30)
        expect_equal(run.ask("offset", topic=topic, partition=0, at="earliest"), 30, "earliest offset")
        expect_equal([one["offset"] for one in run.read(topic, 0, 30, 70)], list(range(30, 100)), "offsets")


class Load:
    """What was acknowledged in the group's topic, and checks of what members have read of it."""

    def __init__(self, run, topic):
        self.run, self.topic, self.sent, self.number = run, topic, {}, itertools.count()

    def send(self, count):
        records = []
        for _ in range(count):
            number = next(self.number)
            records.append(record(b"order %d" % number, b"customer %d" % (number % 9), number % GROUP_PARTITIONS, timestamp=int(time.time() * 1000)))
        for one, place in zip(records, self.run.produce(self.topic, records)):
            expect(place not in self.sent, f"the place {place} was given twice")
            self.sent[place] = (one["key"], one["value"])

    def ends(self):
        return {partition: 1 + max(offset for where, offset in self.sent if where == partition) for partition in range(GROUP_PARTITIONS)}

    def check(self, members):
        """Content is what was sent; a member reads a partition upwards and goes back at most to what it had committed."""
        for member in members:
            expect_equal(member.surprises, [], f"surprises of {member.name}")
            last = {}
            for partition, offset, key, value, committed in member.records():
                expect_equal((key, value), self.sent.get((partition, offset)), f"record {partition}:{offset} of {member.name}")
                expect(offset > last.get(partition, -1) or offset >= committed, f"{member.name} read {partition}:{offset} again, which it had committed")
                last[partition] = offset

    def wait_for_all(self, *members):
        wait_until(lambda: len({read[:2] for member in members for read in member.records()}) >= len(self.sent), PATIENCE_SECONDS,
                   f"{len(self.sent)} records are read: " + str({member.name: len(member.records()) for member in members}))
        self.check(members)
        expect_equal({read[:2] for member in members for read in member.records()}, set(self.sent), "places read")

    def wait_for_commits(self, *members):
        def reached():
            highest = {}
            for member in members:
                for partition, offset in member.committed().items():
                    highest[partition] = max(offset, highest.get(partition, 0))
            return highest == self.ends()
        wait_until(reached, PATIENCE_SECONDS, f"everything is committed: {[member.committed() for member in members]}, ends {self.ends()}")


def groups(run):
    topic, group = run.topic("group", GROUP_PARTITIONS), run.prefix + "-group"
    load, members = Load(run, topic), []

    def join(name):
        members.append(Member(run.adapter, topic, group, SESSION_MS, name))
        return members[-1]

    def shares(count):
        """Does the group run, and do its `count` members have all partitions between them?"""
        described = run.ask("describe_group", group=group)
        parts = described["members"]
        return described["state"].lower() == "stable" and len(parts) == count and min(map(len, parts)) > 0 and sorted(sum(parts, [])) == list(range(GROUP_PARTITIONS))

    try:
        with step("group: one member reads everything"):
            load.send(200)
            first = join("first")
            load.wait_for_all(first)
            load.wait_for_commits(first)
            expect_equal(len(first.records()), len(load.sent), "records read")
        with step("group: two members share the partitions"):
            second = join("second")
            wait_until(lambda: shares(2), PATIENCE_SECONDS, "both members have partitions")
            load.send(100)
            load.wait_for_all(first, second)
            expect(len(second.records()) > 0, "the second member read nothing")
            expect_equal(len(first.records()) + len(second.records()), len(load.sent), "records read by both")
        with step("group: a killed member's partitions are taken over, nothing is lost"):
            load.send(100)
            first.kill()
            killed_at = time.monotonic()
            load.send(100)
            wait_until(lambda: shares(1), PATIENCE_SECONDS, "the other member has all partitions")
            took = time.monotonic() - killed_at
            expect(took <= TAKEOVER_SECONDS, f"took over after {took:.1f} s")
            load.wait_for_all(first, second)
            done, seen = first.committed(), {read[:2] for read in first.records()}
            again = [read[:2] for read in second.records() if read[:2] in seen and read[1] < done.get(read[0], 0)]
            expect_equal(again, [], "records read again that the killed member had committed")
        with step("group: committed offsets resume"):
            load.wait_for_commits(first, second)
            load.check([first, second])
            shown = {int(partition): offset for partition, offset in run.ask("committed", group=group, topic=topic).items()}
            expect(shown == load.ends(), f"committed offsets: {shown}, after the commits {first.commits[-8:]} and {second.commits[-8:]}")
            expect(second.stop(), "the member did not leave in time")
            before = set(load.sent)
            load.send(60)
            third = join("third")
            wait_until(lambda: len(third.records()) >= 60, PATIENCE_SECONDS, "60 more are read")
            load.check([third])
            expect_equal(sorted(read[:2] for read in third.records()), sorted(set(load.sent) - before), "records after the return")
        with step("list and describe groups"):
            expect(group in run.ask("list_groups"), "the group is not listed")
            wait_until(lambda: shares(1), PATIENCE_SECONDS, "one member with all partitions")
            load.wait_for_commits(*members)
            expect(members[-1].stop(), "the member did not leave in time")
            wait_until(lambda: run.ask("describe_group", group=group) == {"state": "Empty", "members": []}, TAKEOVER_SECONDS, "the group is empty")
        with step("delete groups"):
            run.ask("delete_group", group=group)
            expect(group not in run.ask("list_groups"), "the group is still listed")
    finally:
        for member in members:
            member.stop()


def main():
    name, bootstrap, environment, *command = sys.argv[1:]
    adapter = Adapter(name, command, bootstrap, json.loads(environment))
    begin = time.monotonic()
    (ROOT / "build/clients").mkdir(parents=True, exist_ok=True)
    report = ROOT / "build/clients" / f"{name}.json"
    report.unlink(missing_ok=True)
    try:
        run = Run(adapter)
        print(f"       {name}: {run.worker.client} {run.worker.version}", flush=True)
        for part in (topics, codecs, contents, times, groups):
            try:
                part(run)
            except CheckFailed as error:  # outside a step: what the steps of this part stand on
                with step(part.__name__):
                    raise error
        run.worker.stop()
    except CheckFailed as error:
        with step("start", fatal=True):
            raise error
    if "failed" in results.values():
        print(f"       the end of {adapter.log_path}:\n{adapter.log_path.read_text(errors='replace')[-3000:]}")
    if not os.environ.get("POSTHASTE_TEST_BOOTSTRAP"):
        report.write_text(json.dumps({"client": run.worker.client, "version": run.worker.version, "features": results}, indent=1) + "\n")
    print(f"       {name} took {time.monotonic() - begin:.0f} s")
    finish()


main()

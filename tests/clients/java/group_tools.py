"""Kafka's verifiable producer and consumers, one of them killed, and what ConsumerGroupCommand shows of their group and does with
it. Last line: `N passed, M failed`.

usage: group_tools.py BOOTSTRAP"""
import concurrent.futures
import json
import re
import sys
import time
import uuid

import jvm  # puts tests/clients/common/ and tests/tools/ on the path
from checks import expect, expect_equal, finish, step, wait_until
from worker import EventProcess

PARTITIONS = 3
KEYS = 20  # of which each partition has some
SESSION_MS = 6000  # the least that a broker with Kafka's defaults accepts
PATIENCE_SECONDS = 40
COMMAND = "consumer.group.ConsumerGroupCommand"
HOUR_MS = 3_600_000


class Consumer(EventProcess):
    """A VerifiableConsumer and what it has reported so far."""

    def __init__(self, tools, topic, group, *arguments):
        # What it counts, unlike what it reports record by record, goes up to the end of a poll even where it has a limit.
        self.read, self.counted, self.next, self.owned, self.ended = [], 0, {}, set(), False
        super().__init__(tools.start("VerifiableConsumer", "--topic", topic, "--group-id", group, "--session-timeout", SESSION_MS, "--verbose", *arguments))

    def took(self, event):
        if event["name"] == "record_data":
            self.read.append((event["partition"], event["offset"], event["value"]))
        elif event["name"] == "records_consumed":
            self.counted += event["count"]
        elif event["name"] == "offsets_committed" and event["success"]:
            self.next = {**self.next, **{one["partition"]: one["offset"] for one in event["offsets"]}}
        elif event["name"] == "partitions_assigned":
            self.owned = self.owned | {one["partition"] for one in event["partitions"]}
        elif event["name"] == "partitions_revoked":
            self.owned = self.owned - {one["partition"] for one in event["partitions"]}
        elif event["name"] == "shutdown_complete":
            self.ended = True


class Sent:
    """What VerifiableProducer has sent to the topic, by place."""

    def __init__(self, tools, topic):
        self.tools, self.topic, self.values = tools, topic, {}

    def send(self, count, prefix, *arguments):
        output = self.tools.run("VerifiableProducer", "--topic", self.topic, "--max-messages", count, "--value-prefix", prefix, "--repeating-keys", KEYS, *arguments)
        events = [json.loads(line) for line in output.splitlines()]
        expect_equal([event["name"] for event in events], ["startup_complete", *["producer_send_success"] * count, "shutdown_complete", "tool_data"], "events")
        expect_equal((events[-1]["sent"], events[-1]["acked"]), (count, count), "sent and acknowledged")
        new = {(event["partition"], event["offset"]): event["value"] for event in events[1:-2]}
        expect_equal(set(new.values()), {f"{prefix}.{number}" for number in range(count)}, "values")
        ends = self.ends()
        for partition in {partition for partition, _ in new}:
            mine = sorted((offset, int(value.split(".")[1])) for (where, offset), value in new.items() if where == partition)
            expect_equal([offset for offset, _ in mine], list(range(ends[partition], ends[partition] + len(mine))), f"offsets of partition {partition}")
            expect_equal([number for _, number in mine], sorted(number for _, number in mine), f"order of partition {partition}")
        self.values.update(new)

    def ends(self):
        return {partition: len([1 for where, _ in self.values if where == partition]) for partition in range(PARTITIONS)}

    def wait_for_all(self, *consumers):
        wait_until(lambda: {one[:2] for consumer in consumers for one in consumer.read} >= set(self.values), PATIENCE_SECONDS, "everything is read")
        for consumer in consumers:
            for partition, offset, value in consumer.read:
                expect_equal(value, self.values.get((partition, offset)), f"record {partition}:{offset}")

    def wait_for_commits(self, *consumers):
        def committed():
            return {partition: max(consumer.next.get(partition, 0) for consumer in consumers) for partition in range(PARTITIONS)}
        wait_until(lambda: committed() == self.ends(), PATIENCE_SECONDS, "everything is committed")


def table(text):
    """The rows of a printed table as dictionaries. Columns stand two spaces apart, or one where a value fills its column."""
    lines = [line for line in text.splitlines() if line.strip()]
    titles = re.findall(r"\S+(?: \(ID\))?", lines[0])
    return [dict(zip(titles, re.findall(r"\S+(?: +\(\d+\))?", line))) for line in lines[1:]]


def columns(rows, *names):
    return sorted(tuple(row[name] for name in names) for row in rows)


class Group:
    """ConsumerGroupCommand for one group."""

    def __init__(self, tools, name):
        self.tools, self.name = tools, name

    def describe(self, *what):
        return table(self.tools.run(COMMAND, "--describe", "--group", self.name, *what))

    def reset(self, topic, *how):
        """{partition: new offset} as the command prints it."""
        rows = table(self.tools.run(COMMAND, "--reset-offsets", "--group", self.name, "--topic", topic, *how, "--execute"))
        return {int(row["PARTITION"]): int(row["NEW-OFFSET"]) for row in rows}

    def offsets(self):
        """{partition: (committed, end, lag)} as the command prints it, the topics one after the other."""
        return {int(row["PARTITION"]): tuple(int(row[name]) for name in ("CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")) for row in self.describe()}


def together(*calls):
    """Results of the calls, made at the same time: each is a JVM that waits for its start most of the time."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def members(tools, group, sent, consumers):
    def join():
        consumers.append(Consumer(tools, sent.topic, group.name))
        return consumers[-1]

    with step("VerifiableProducer reports each place"):
        sent.send(300, 1)
    with step("VerifiableConsumer reads everything"):
        first = join()
        sent.wait_for_all(first)
        sent.wait_for_commits(first)
        expect_equal((len(first.read), first.counted, first.owned), (300, 300, set(range(PARTITIONS))), "read, counted, partitions")
    with step("two VerifiableConsumers share the partitions"):
        second = join()
        wait_until(lambda: first.owned and second.owned and len(first.owned | second.owned) == PARTITIONS and not first.owned & second.owned, PATIENCE_SECONDS, "both have partitions")
        sent.send(150, 2)
        sent.wait_for_all(first, second)
        expect_equal(len(first.read) + len(second.read), 450, "records read by both")
    with step("the partitions of a killed VerifiableConsumer are taken over"):
        first.kill()
        sent.send(150, 3)
        sent.wait_for_all(first, second)
        sent.wait_for_commits(first, second)
        expect_equal(second.owned, set(range(PARTITIONS)), "partitions")
        again = [one for one in second.read if one[1] < first.next.get(one[0], 0) and one in first.read]
        expect_equal(again, [], "records read again that the killed one had committed")


def live_group(tools, group, sent, consumer):
    with step("ConsumerGroupCommand shows a group with a member"):
        offsets, members, state, listed = together(group.describe, lambda: group.describe("--members", "--verbose"), lambda: group.describe("--state"),
                                                   lambda: tools.run(COMMAND, "--list", "--state", "stable"))
        ends = {str(partition): str(end) for partition, end in sent.ends().items()}
        expect_equal(columns(offsets, "GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "HOST", "CLIENT-ID"),
                     sorted((group.name, sent.topic, partition, end, end, "0", "/127.0.0.1", f"consumer-{group.name}-1") for partition, end in ends.items()), "offsets")
        (member,) = members
        expect_equal({row["CONSUMER-ID"] for row in offsets}, {member["CONSUMER-ID"]}, "member")
        expect_equal((member["HOST"], member["CLIENT-ID"], member["#PARTITIONS"]), ("/127.0.0.1", f"consumer-{group.name}-1", str(PARTITIONS)), "member")
        expect(any(sent.topic in part for part in member.values()), f"no assignment: {member}")
        (state,) = state
        expect_equal((state["GROUP"], state["ASSIGNMENT-STRATEGY"], state["STATE"], state["#MEMBERS"]), (group.name, "range", "Stable", "1"), "state")
        expect_equal(re.sub(" +", " ", state["COORDINATOR (ID)"]).split()[0], tools.bootstrap, "coordinator")
        expect_equal([row["STATE"] for row in table(listed) if row["GROUP"] == group.name], ["Stable"], "state in the list")
    with step("ConsumerGroupCommand does not reset or delete a group with a member"):
        deleted, reset = together(lambda: tools.run(COMMAND, "--delete", "--group", group.name),
                                  lambda: tools.run(COMMAND, "--reset-offsets", "--group", group.name, "--topic", sent.topic, "--to-earliest", "--execute"))
        expect("GroupNotEmptyException" in deleted, deleted)
        expect("can only be reset if the group" in reset and "is inactive" in reset, reset)
    with step("VerifiableConsumer leaves when it is stopped"):
        expect(consumer.stop() and consumer.ended, "no orderly end")
        expect_equal(len(consumer.read), consumer.counted, "records read and counted")


def empty_group(tools, group, sent):
    with step("ConsumerGroupCommand shows the lag of a group without members"):
        committed = sent.ends()
        sent.send(60, 4)
        ends = sent.ends()
        expect_equal(group.offsets(), {partition: (committed[partition], end, end - committed[partition]) for partition, end in ends.items()}, "offsets")
    with step("ConsumerGroupCommand resets offsets"):
        expect_equal(group.reset(sent.topic, "--to-earliest"), {partition: 0 for partition in ends}, "to the earliest")
        expect_equal(group.reset(sent.topic + ":0,2", "--shift-by", 5), {0: 5, 2: 5}, "by five")
        expect_equal({partition: committed for partition, (committed, _, _) in group.offsets().items()}, {0: 5, 1: 0, 2: 5}, "committed")
    with step("ConsumerGroupCommand deletes offsets"):
        shown = table(tools.run(COMMAND, "--delete-offsets", "--group", group.name, "--topic", sent.topic + ":1").split("\n", 1)[1])
        expect_equal(columns(shown, "TOPIC", "PARTITION", "STATUS"), [(sent.topic, "1", "Successful")], "status")
        expect_equal({partition: committed for partition, (committed, _, _) in group.offsets().items()}, {0: 5, 2: 5}, "committed")
    with step("ConsumerGroupCommand resets to a time"):
        topic, now_ms = sent.topic + "-times", int(time.time() * 1000)
        tools.run("TopicCommand", "--create", "--topic", topic, "--partitions", 1)
        timed = Sent(tools, topic)
        timed.send(10, 1, "--message-create-time", now_ms - 3 * HOUR_MS)
        timed.send(10, 2, "--message-create-time", now_ms - HOUR_MS)
        expect_equal(group.reset(topic, "--by-duration", "PT2H"), {0: 10}, "two hours back")
    with step("ConsumerGroupCommand deletes a group"):
        shown = tools.run(COMMAND, "--delete", "--group", group.name)
        expect(f"Deletion of requested consumer groups ('{group.name}') was successful." in shown, shown)
        expect(group.name not in tools.run(COMMAND, "--list").split(), "it is still listed")


def limited(tools, sent, name, consumers):
    with step("VerifiableConsumer ends by itself, and its group goes on where it ended"):
        total, limit = len(sent.values), 100
        for count in (limit, total - limit):
            consumers.append(Consumer(tools, sent.topic, name, "--max-messages", count))
            wait_until(lambda: consumers[-1].process.poll() is not None, PATIENCE_SECONDS, "it ends")
            expect(consumers[-1].stop() and consumers[-1].ended, "no orderly end")
            expect_equal(len(consumers[-1].read), count, "records read")
        both = consumers[-2].read + consumers[-1].read
        expect_equal(sorted(both), sorted((*place, value) for place, value in sent.values.items()), "records read by both")


def main():
    tools, topic = jvm.Tools(sys.argv[1]), "java-groups-" + uuid.uuid4().hex[:8]
    consumers = []
    try:
        tools.run("TopicCommand", "--create", "--topic", topic, "--partitions", PARTITIONS)
        sent, group = Sent(tools, topic), Group(tools, topic + "-shared")
        members(tools, group, sent, consumers)
        live_group(tools, group, sent, consumers[-1])
        empty_group(tools, group, sent)
        limited(tools, sent, topic + "-limited", consumers)
    finally:
        for consumer in consumers:
            consumer.stop()
    finish()


main()

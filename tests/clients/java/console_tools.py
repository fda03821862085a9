"""What administrators type: Kafka's console tools for topics, configuration, records and logs, with the answers they print. Last line:
`N passed, M failed`.

usage: console_tools.py BOOTSTRAP"""
import json
import re
import sys
import tempfile
import uuid

import jvm  # puts tests/clients/common/ and tests/tools/ on the path
import wire
from checks import expect, expect_equal, finish, step

CONFIGS = "kafka.admin.ConfigCommand"
RECORDS_OF_PERFORMANCE = 5000


def topics_and_configs(tools, topic):
    with step("TopicCommand creates, alters and describes"):
        tools.run("TopicCommand", "--create", "--topic", topic, "--partitions", 2, "--config", "retention.ms=1000000")
        tools.run("TopicCommand", "--alter", "--topic", topic, "--partitions", 3)
        shown = tools.run("TopicCommand", "--describe", "--topic", topic)
        expect("PartitionCount: 3" in shown and "Configs: retention.ms=1000000" in shown, shown)
    with step("ConfigCommand changes a topic and all brokers"):
        named, default = ("--entity-type", "topics", "--entity-name", topic), ("--entity-type", "brokers", "--entity-default")
        tools.run(CONFIGS, "--alter", *named, "--add-config", "max.message.bytes=2000000,cleanup.policy=[compact,delete]")
        shown = tools.run(CONFIGS, "--describe", *named)
        expect("max.message.bytes=2000000" in shown and "cleanup.policy=compact,delete" in shown, shown)
        tools.run(CONFIGS, "--alter", *default, "--add-config", "log.index.interval.bytes=7770")
        expect("log.index.interval.bytes=7770" in tools.run(CONFIGS, "--describe", *default), "not shown")
        tools.run(CONFIGS, "--alter", *default, "--delete-config", "log.index.interval.bytes")
        tools.run(CONFIGS, "--alter", *named, "--delete-config", "cleanup.policy")
    with step("BrokerApiVersionsCommand shows what is served"):
        shown = tools.run("BrokerApiVersionsCommand")
        listed = {int(key): (int(least), int(greatest or least)) for key, least, greatest in re.findall(r"^\t\w+\((\d+)\): (\d+)(?: to (\d+))? \[usable: \d+\]", shown, re.M)}
        expect_equal(listed, wire.api_versions(tools.bootstrap), "versions")


def records(tools, topic):
    with step("ConsoleProducer and ConsoleConsumer"):
        lines = [f"number:{index},kind:caf\u00e9\tkey {index % 20}\tvalue {index}" for index in range(50)]
        properties = [part for one in ("parse.key=true", "parse.headers=true") for part in ("--reader-property", one)]
        tools.run("ConsoleProducer", "--topic", topic, "--compression-codec", "zstd", *properties, standard_input="\n".join(lines) + "\n")
        properties = [part for one in ("key", "headers", "partition", "offset") for part in ("--formatter-property", f"print.{one}=true")]
        shown = [line.split("\t") for line in tools.run("consumer.ConsoleConsumer", "--topic", topic, "--from-beginning", "--max-messages", 50, *properties).splitlines()]
        expect_equal(sorted(["\t".join(rest) for _, _, *rest in shown]), sorted(lines), "records")
        for partition in range(3):
            expect(any(where == f"Partition:{partition}" for where, *_ in shown), f"nothing in partition {partition}")
            mine = [(offset, value) for where, offset, _, _, value in shown if where == f"Partition:{partition}"]
            expect_equal([offset for offset, _ in mine], [f"Offset:{offset}" for offset in range(len(mine))], f"offsets of partition {partition}")
            expect_equal([value for _, value in mine], sorted((value for _, value in mine), key=lambda value: int(value.split()[1])), f"order of partition {partition}")
            expect_equal({codec for _, codec, _, _ in wire.batches(tools.bootstrap, topic, partition, 0)}, {"zstd"}, "codec")
    with step("ProducerPerformance"):
        ends = latest(tools, topic)
        shown = tools.run("ProducerPerformance", "--topic", topic, "--num-records", RECORDS_OF_PERFORMANCE, "--record-size", 100, "--throughput", -1)
        expect(shown.splitlines()[-1].startswith(f"{RECORDS_OF_PERFORMANCE} records sent, "), shown)
        expect_equal(sum(latest(tools, topic)) - sum(ends), RECORDS_OF_PERFORMANCE, "records stored")


def offsets(tools, topic, time):
    shown = tools.run("GetOffsetShell", "--topic", topic, "--time", time).split()
    found = dict(re.fullmatch(rf"{topic}:(\d):(\d+)", line).groups() for line in shown)
    expect_equal(sorted(found), ["0", "1", "2"], "partitions")
    return [int(found[partition]) for partition in sorted(found)]


def latest(tools, topic):
    return offsets(tools, topic, "latest")


def logs(tools, topic):
    with step("DeleteRecordsCommand and GetOffsetShell"):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"partitions": [{"topic": topic, "partition": 0, "offset": -1}, {"topic": topic, "partition": 1, "offset": 2}], "version": 1}, file)
            file.flush()
            ends = latest(tools, topic)
            shown = tools.run("DeleteRecordsCommand", "--offset-json-file", file.name)
        expect_equal(dict(re.findall(rf"partition: {topic}-(\d)\tlow_watermark: (\d+)", shown)), {"0": str(ends[0]), "1": "2"}, "low watermarks")
        expect_equal(offsets(tools, topic, "earliest"), [ends[0], 2, 0], "earliest offsets")
    with step("LogDirsCommand"):
        shown = tools.run("LogDirsCommand", "--describe", "--topic-list", topic)
        (report,) = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
        sizes = {entry["partition"]: entry["size"] for entry in report["brokers"][0]["logDirs"][0]["partitions"]}
        expect(set(sizes) == {f"{topic}-{index}" for index in range(3)} and min(sizes.values()) >= 0 and sum(sizes.values()) > RECORDS_OF_PERFORMANCE, str(sizes))


def main():
    tools, topic = jvm.Tools(sys.argv[1]), "java-tools-" + uuid.uuid4().hex[:8]
    topics_and_configs(tools, topic)
    records(tools, topic)
    logs(tools, topic)
    finish()


main()

"""Kafka's own Java client and console tools (4.3.1) against a broker: AdminScenario.java, then the tools an administrator types.
The jars are fetched with Maven into build/java. Last line: `N passed, M failed`.

usage: run.py      (POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from broker import ROOT, Broker  # noqa: E402
from checks import CheckFailed, expect, expect_equal, finish, step  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
JARS = ROOT / "build/java/lib"
TIMEOUT_SECONDS = 120
TOOLS = "org.apache.kafka.tools."


def fetch_jars():
    if (JARS / "complete").is_file():
        return
    subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"], check=True)
    (JARS / "complete").touch()


def java(*arguments):
    return subprocess.run(["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*", *arguments], text=True, capture_output=True, timeout=TIMEOUT_SECONDS)


def scenario(broker):
    done = java(str(HERE / "AdminScenario.java"), broker.bootstrap)
    print(done.stdout, end="")
    with step("the Java client's scenario"):
        expect(done.returncode == 0 and re.search(r"^[1-9]\d* passed, 0 failed$", done.stdout, re.M), done.stderr[-2000:])


def console_tools(broker):
    topic = "java-tools-" + uuid.uuid4().hex[:8]

    def tool(name, *arguments):
        done = java(name, "--bootstrap-server", broker.bootstrap, *arguments)
        if done.returncode != 0:
            raise CheckFailed(f"{name} {' '.join(arguments)} ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
        return done.stdout

    with step("TopicCommand creates, alters and describes"):
        tool(TOOLS + "TopicCommand", "--create", "--topic", topic, "--partitions", "2", "--config", "retention.ms=1000000")
        tool(TOOLS + "TopicCommand", "--alter", "--topic", topic, "--partitions", "3")
        shown = tool(TOOLS + "TopicCommand", "--describe", "--topic", topic)
        expect("PartitionCount: 3" in shown and "Configs: retention.ms=1000000" in shown, shown)
    with step("ConfigCommand changes a topic and all brokers"):
        command = "kafka.admin.ConfigCommand"
        tool(command, "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "max.message.bytes=2000,cleanup.policy=[compact,delete]")
        shown = tool(command, "--describe", "--entity-type", "topics", "--entity-name", topic)
        expect("max.message.bytes=2000" in shown and "cleanup.policy=compact,delete" in shown, shown)
        tool(command, "--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "log.retention.ms=777000")
        expect("log.retention.ms=777000" in tool(command, "--describe", "--entity-type", "brokers", "--entity-default"), "not shown")
        tool(command, "--alter", "--entity-type", "brokers", "--entity-default", "--delete-config", "log.retention.ms")
        tool(command, "--alter", "--entity-type", "topics", "--entity-name", topic, "--delete-config", "cleanup.policy")
    with step("DeleteRecordsCommand and GetOffsetShell"):
        producer = ["kcat", "-b", broker.bootstrap, "-P", "-t", topic, "-p", "0"]
        subprocess.run(producer, input="a\nb\nc\n", text=True, check=True, timeout=TIMEOUT_SECONDS)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"partitions": [{"topic": topic, "partition": 0, "offset": 2}], "version": 1}, file)
            file.flush()
            expect("low_watermark: 2" in tool(TOOLS + "DeleteRecordsCommand", "--offset-json-file", file.name), "low watermark")
        offsets = tool(TOOLS + "GetOffsetShell", "--topic", topic, "--time", "earliest")
        expect_equal(sorted(offsets.split()), [f"{topic}:0:2", f"{topic}:1:0", f"{topic}:2:0"], "earliest offsets")
    with step("LogDirsCommand"):
        shown = tool(TOOLS + "LogDirsCommand", "--describe", "--topic-list", topic)
        (report,) = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
        sizes = {entry["partition"]: entry["size"] for entry in report["brokers"][0]["logDirs"][0]["partitions"]}
        expect(set(sizes) == {f"{topic}-{index}" for index in range(3)} and sizes[f"{topic}-0"] > 0, str(sizes))


def main():
    fetch_jars()
    with Broker("clients-java") as broker:
        scenario(broker)
        console_tools(broker)
    finish()


main()

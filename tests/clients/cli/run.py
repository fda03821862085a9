"""The `posthaste` command against a broker: topics, records, groups, JSON and exit codes. Last line: `N passed, M failed`.

usage: run.py      (POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import json
import pathlib
import signal
import subprocess
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from broker import Broker, binary, free_port  # noqa: E402
from checks import CheckFailed, expect, expect_equal, finish, step, wait_until  # noqa: E402

TIMEOUT_SECONDS = 60
REFUSED, USAGE, UNREACHABLE = 1, 2, 3


class Cli:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def command(self, *arguments):
        return [binary(), *arguments, "--bootstrap-server", self.bootstrap]

    def run(self, *arguments, stdin=""):
        """Standard output of a command that must succeed."""
        done = subprocess.run(self.command(*arguments), input=stdin, text=True, capture_output=True, timeout=TIMEOUT_SECONDS)
        if done.returncode != 0:
            raise CheckFailed(f"posthaste {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "--json", **options))

    def fails(self, code, *arguments, stdin=""):
        """Standard error of a command that must fail with `code`."""
        done = subprocess.run(self.command(*arguments), input=stdin, text=True, capture_output=True, timeout=TIMEOUT_SECONDS)
        expect_equal(done.returncode, code, f"exit code of {' '.join(arguments)} ({done.stderr.strip()})")
        expect(done.stderr.strip(), "it failed without a word")
        return done.stderr


def check_usage():
    with step("usage: version, help and mistakes"):
        done = subprocess.run([binary(), "version"], text=True, capture_output=True, check=True)
        expect(done.stdout.startswith("posthaste "), done.stdout)
        expect_equal(subprocess.run([binary(), "--help"], capture_output=True, check=False).returncode, 0, "exit code of --help")
        expect_equal(subprocess.run([binary(), "topik"], capture_output=True, check=False).returncode, USAGE, "exit code of a mistake")
    with step("no broker: unreachable, and it says so"):
        nobody = Cli(f"127.0.0.1:{free_port()}")
        expect("is the broker running" in nobody.fails(UNREACHABLE, "topic", "list"), "no advice")
        nobody.fails(UNREACHABLE, "produce", "t", "--timeout", "1", stdin="x\n")
        nobody.fails(UNREACHABLE, "consume", "t", "--timeout", "1")


def check_topics(cli, topic):
    with step("topic create, describe, list"):
        expect("3 partitions" in cli.run("topic", "create", topic, "-p", "3"), "no word on the partitions")
        expect_equal(cli.json("topic", "create", topic, "--if-not-exists")["created"], False, "created again")
        expect("TOPIC_ALREADY_EXISTS" in cli.fails(REFUSED, "topic", "create", topic), "the reason is not named")
        row = next(row for row in cli.run("topic", "list").splitlines() if row.startswith(topic + " "))
        expect_equal(row.split(), [topic, "3", "1"], "row of the table")
        described = cli.json("topic", "describe", topic)[0]
        expect_equal([(one["partition"], one["start_offset"], one["end_offset"]) for one in described["partitions"]], [(0, 0, 0), (1, 0, 0), (2, 0, 0)], "partitions")
        expect_equal(len(described["id"]), 22, "length of the id")
    with step("topics that cannot be"):
        expect("INVALID_TOPIC_EXCEPTION" in cli.fails(REFUSED, "topic", "create", "no/such"), "reason")
        expect("INVALID_CONFIG" in cli.fails(REFUSED, "topic", "create", topic + "-x", "-c", "retention.msec=1"), "reason")
        expect("UNKNOWN_TOPIC_OR_PARTITION" in cli.fails(REFUSED, "topic", "describe", topic + "-x"), "reason")
        cli.fails(REFUSED, "topic", "delete", topic + "-x")
        cli.fails(REFUSED, "consume", topic + "-x")


def check_records(cli, topic):
    lines = [f"k{number % 7}|v{number} \u20ac" for number in range(500)]
    with step("produce with keys, consume with keys"):
        expect_equal(cli.json("produce", topic, "-K", "|", "-z", "lz4", stdin="\n".join(lines) + "\n")["acknowledged"], 500, "acknowledged")
        got = cli.run("consume", topic, "--from-beginning", "--exit", "--keys").splitlines()
        expect_equal(sorted(got), sorted(line.replace("|", "\t") for line in lines), "records")
        for key in range(7):
            mine = [int(line.split("\tv")[1].split()[0]) for line in got if line.startswith(f"k{key}\t")]
            expect_equal(mine, sorted(mine), f"order of key {key}")
    with step("consume as JSON, with a count"):
        records = [json.loads(line) for line in cli.run("consume", topic, "--from-beginning", "-n", "10", "--json").splitlines()]
        expect_equal(len(records), 10, "records")
        expect(all(one["topic"] == topic and one["offset"] >= 0 and one["timestamp"] > 0 for one in records), "fields")
    with step("describe shows the ends"):
        described = cli.json("topic", "describe", topic)[0]
        expect_equal(sum(one["end_offset"] for one in described["partitions"]), 500, "sum of the end offsets")
    with step("produce to one partition"):
        cli.run("produce", topic, "-p", "2", stdin="to two\n")
        last = [json.loads(line) for line in cli.run("consume", topic, "--from-beginning", "--exit", "--json").splitlines()]
        expect_equal([one["partition"] for one in last if one["value"] == "to two"], [2], "partition")
        cli.fails(REFUSED, "produce", topic, "-p", "9", "--timeout", "5", stdin="x\n")


def check_groups(cli, topic):
    group = topic + "-readers"
    with step("consume in a group resumes where it stopped"):
        expect_equal(len(cli.run("consume", topic, "-g", group, "--from-beginning", "--exit").splitlines()), 501, "first read")
        cli.run("produce", topic, stdin="one more\n")
        expect_equal(cli.run("consume", topic, "-g", group, "--from-beginning", "--exit").splitlines(), ["one more"], "second read")
    with step("group list and describe without members"):
        row = next(row for row in cli.run("group", "list").splitlines() if row.startswith(group + " "))
        expect_equal(row.split(), [group, "consumer", "Empty"], "row of the table")
        described = cli.json("group", "describe", group)
        expect_equal(described["state"], "Empty", "state")
        expect_equal([one["lag"] for one in described["partitions"]], [0, 0, 0], "lag")
        expect("there is no group" in cli.fails(REFUSED, "group", "describe", group + "-x"), "a group that is not there")
    with step("group describe shows members, their partitions and lag"):
        member = subprocess.Popen(cli.command("consume", topic, "-g", group), stdout=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: cli.json("group", "describe", group)["state"] == "Stable", TIMEOUT_SECONDS, "the group is stable")
            described = cli.json("group", "describe", group)
            expect_equal(len(described["members"]), 1, "members")
            name = described["members"][0]["member"]
            expect_equal([(one["partition"], one["member"]) for one in described["partitions"]], [(0, name), (1, name), (2, name)], "assignment")
            table = cli.run("group", "describe", group)
            expect("COMMITTED" in table and "Stable" in table, table)
        finally:
            member.send_signal(signal.SIGTERM)
            expect_equal(member.wait(TIMEOUT_SECONDS), 0, "exit code after SIGTERM")
        wait_until(lambda: cli.json("group", "describe", group)["state"] == "Empty", TIMEOUT_SECONDS, "the member has left")


def main():
    check_usage()
    with Broker("clients-cli") as broker:
        cli, topic = Cli(broker.bootstrap), "cli-" + uuid.uuid4().hex[:8]
        check_topics(cli, topic)
        check_records(cli, topic)
        check_groups(cli, topic)
        with step("topic delete"):
            expect_equal(cli.run("topic", "delete", topic), f"deleted topic {topic}\n", "output")
            wait_until(lambda: topic not in [one["name"] for one in cli.json("topic", "list")], TIMEOUT_SECONDS, "the topic is gone")
    finish()


main()

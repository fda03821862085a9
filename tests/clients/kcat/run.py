"""kcat (librdkafka) against a broker: list, produce and consume with every codec, keys, headers, tombstones, offsets by
number and by time, a balanced group. Last line: `N passed, M failed`.

usage: run.py      (POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import json
import pathlib
import subprocess
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from broker import Broker  # noqa: E402
from checks import CheckFailed, expect, expect_equal, finish, step  # noqa: E402

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TIMEOUT_SECONDS = 60


def kcat(broker, *arguments, stdin=""):
    done = subprocess.run(["kcat", "-b", broker.bootstrap, *arguments], input=stdin, text=True, capture_output=True, timeout=TIMEOUT_SECONDS)
    if done.returncode != 0:
        raise CheckFailed(f"kcat {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def consumed(broker, topic, *arguments):
    """Records as kcat's JSON shows them."""
    return [json.loads(line) for line in kcat(broker, "-C", "-t", topic, "-e", "-q", "-J", *arguments).splitlines()]


def main():
    with Broker("clients-kcat") as broker:
        prefix = "kcat-" + uuid.uuid4().hex[:8]

        with step("list an empty or a new cluster"):
            metadata = json.loads(kcat(broker, "-L", "-J"))
            expect_equal(len(metadata["brokers"]), 1, "number of brokers")
            expect_equal(metadata["brokers"][0]["name"], broker.bootstrap, "advertised address")

        for codec in CODECS:
            with step(f"produce and consume with {codec}"):
                topic = f"{prefix}-{codec}"
                lines = [f"key{number % 10}:value {number} " + "abc" * (number % 40) for number in range(2000)]
                kcat(broker, "-P", "-t", topic, "-p", "0", "-z", codec, "-K", ":", "-X", "linger.ms=20", stdin="\n".join(lines) + "\n")
                records = consumed(broker, topic, "-o", "beginning")
                expect_equal([f"{one['key']}:{one['payload']}" for one in records], lines, "records")
                expect_equal([one["offset"] for one in records], list(range(len(lines))), "offsets")

        topic = f"{prefix}-mixed"
        with step("all codecs in one partition, consumed in order"):
            for codec in CODECS:
                kcat(broker, "-P", "-t", topic, "-p", "0", "-z", codec, stdin="".join(f"{codec} {number}\n" for number in range(50)))
            wanted = [f"{codec} {number}" for codec in CODECS for number in range(50)]
            expect_equal([one["payload"] for one in consumed(broker, topic, "-o", "beginning")], wanted, "records")
        with step("a topic shows in the list with its leader"):
            metadata = json.loads(kcat(broker, "-L", "-J", "-t", topic))
            described = metadata["topics"][0]
            expect_equal(described["topic"], topic, "name")
            expect(described["partitions"][0]["leader"] == metadata["brokers"][0]["id"], f"leader: {described}")
        with step("consume from an offset in the middle, and from the tail"):
            expect_equal([one["offset"] for one in consumed(broker, topic, "-p", "0", "-o", "123", "-c", "5")], [123, 124, 125, 126, 127], "offsets")
            expect_equal([one["payload"] for one in consumed(broker, topic, "-p", "0", "-o", "-2")], ["zstd 48", "zstd 49"], "the last two")
        with step("an empty value and no value are different things"):
            kcat(broker, "-P", "-t", topic + "-null", "-p", "0", "-K", ":", "-Z", stdin="a:\nb:x\n")
            expect_equal([(one["key"], one["payload"]) for one in consumed(broker, topic + "-null")], [("a", None), ("b", "x")], "records")
        with step("headers come back in their order"):
            kcat(broker, "-P", "-t", topic + "-headers", "-p", "0", "-H", "one=1", "-H", "two=2", "-H", "one=3", stdin="x\n")
            expect_equal(consumed(broker, topic + "-headers")[0]["headers"], ["one", "1", "two", "2", "one", "3"], "headers")
        with step("an offset is found by time"):
            before = int(time.time() * 1000)
            time.sleep(0.01)
            kcat(broker, "-P", "-t", topic, "-p", "0", stdin="late\n")
            expect_equal(kcat(broker, "-Q", "-t", f"{topic}:0:{before}").split("offset")[-1].strip(), "250", "offset at the time")
            expect_equal(kcat(broker, "-Q", "-t", f"{topic}:0:-1").split("offset")[-1].strip(), "251", "end")
            expect_equal(kcat(broker, "-Q", "-t", f"{topic}:0:-2").split("offset")[-1].strip(), "0", "start")
        with step("large records"):
            large = ["A" * 900_000, "B" * 500_000, "C"]
            kcat(broker, "-P", "-t", topic + "-large", "-p", "0", "-z", "none", stdin="\n".join(large) + "\n")
            expect([one["payload"] for one in consumed(broker, topic + "-large")] == large, "large records differ")
        with step("a record over the topic's limit is refused and the broker lives on"):
            try:
                kcat(broker, "-P", "-t", topic + "-large", "-p", "0", "-X", "message.max.bytes=5000000", stdin="D" * 2_000_000 + "\n")
                raise AssertionError("it was taken")
            except CheckFailed as error:
                expect("too large" in str(error).lower() or "Message size" in str(error), str(error))
            expect_equal(len(consumed(broker, topic + "-large")), 3, "records")
        with step("acks 0 and 1"):
            for acks in ("0", "1"):
                kcat(broker, "-P", "-t", topic + "-acks", "-p", "0", "-X", f"acks={acks}", stdin=f"acks {acks}\n")
            expect_equal([one["payload"] for one in consumed(broker, topic + "-acks")], ["acks 0", "acks 1"], "records")
        with step("a balanced group reads everything and commits"):
            group = prefix + "-group"
            first = kcat(broker, "-G", group, "-e", "-q", "-X", "auto.offset.reset=earliest", topic)
            expect_equal(len(first.splitlines()), 251, "records of the group")
            kcat(broker, "-P", "-t", topic, "-p", "0", stdin="later\n")
            expect_equal(kcat(broker, "-G", group, "-e", "-q", "-X", "auto.offset.reset=earliest", topic).splitlines(), ["later"], "after the commit")
    finish()


main()

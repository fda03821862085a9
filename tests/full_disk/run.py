"""The broker on a disk that is full: small file systems of their own, filled by produce, by a stranger's file and by topics.
Produces must be answered with KAFKA_STORAGE_ERROR within their time-out, reads, deletions, retention and commits go on, space
that is freed brings service back by itself, SIGTERM ends the process in seconds, a start on the full disk succeeds, and nothing
acknowledged is lost, also by SIGKILLs in between. Needs root, for mounts. Last line: `N passed, M failed`.

usage: run.py [--rounds N] [--seed N]"""
import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from client import KAFKA_STORAGE_ERROR, Client, Ledger, NoAnswer  # noqa: E402  (first: it finds protocol)
import protocol  # noqa: E402
from broker import ROOT, Broker, BrokerError  # noqa: E402
from checks import expect, expect_equal, finish, step, wait_until  # noqa: E402

MIB = 1 << 20
# Half of the smaller one is the journal of default size.
EXT4_BYTES, TMPFS_BYTES = 320 * MIB, 320 * MIB
FILLER = protocol.batch(bytes(os.urandom(512 << 10)), int(time.time() * 1000))
FILLER_VALUE = protocol.values(FILLER)[0][1]
ANSWER_SECONDS = 8  # of a produce with 5 s to its time-out
RESUME_SECONDS = 10
STOP_SECONDS = 5
FILL_SECONDS = 60
OVERRIDES = ("log.retention.check.interval.ms=500",)


@contextlib.contextmanager
def mounted(kind):
    """A small file system of this kind; its folder. Its image lies in memory where that is possible: only speed depends on it."""
    memory = pathlib.Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 * EXT4_BYTES
    base = pathlib.Path(tempfile.mkdtemp(prefix="full-disk-", dir=memory if roomy else ROOT / "build/test-data"))
    place = base / "disk"
    place.mkdir()
    try:
        if kind == "ext4":
            image = base / "image"
            with open(image, "wb") as file:
                file.truncate(EXT4_BYTES)
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
            subprocess.run(["mount", "-o", "loop", image, place], check=True)
        else:
            subprocess.run(["mount", "-t", kind, "-o", f"size={TMPFS_BYTES}", kind, place], check=True)
        yield place
    finally:
        # What a killed process had under way may hold it for a moment.
        wait_until(lambda: subprocess.run(["umount", place], check=False).returncode == 0, STOP_SECONDS, "the disk is let go of")
        shutil.rmtree(base, ignore_errors=True)


class Site:
    """A broker on such a disk, and what was acknowledged to its client."""

    def __init__(self, broker, place):
        self.broker, self.place = broker, place
        self.ledger = Ledger()
        self.sent = 0
        self.client = self.connect()

    def connect(self):
        return Client(self.broker.port, ANSWER_SECONDS)

    def again(self):
        """After a start."""
        self.client.close()
        self.client = self.connect()

    def put(self, topic, partition, filler=False):
        """One produce; its error. What is acknowledged is written down."""
        if filler:
            batch, value = FILLER, FILLER_VALUE
        else:
            value = f"record {self.sent} of {topic}-{partition}".encode() + b"." * 900
            batch = protocol.batch(value, int(time.time() * 1000))
        self.sent += 1
        error, offset = self.client.produce(topic, partition, batch)
        if error == 0:
            self.ledger.note(topic, partition, offset, value)
        return error

    def fill(self, topic="bulk", partitions=4):
        """Until the disk is full."""
        end = time.monotonic() + FILL_SECONDS
        while time.monotonic() < end:
            error = self.put(topic, self.sent % partitions, filler=True) or self.put("kept", 0)
            if error == KAFKA_STORAGE_ERROR:
                return
            expect_equal(error, 0, "a produce's error")
        raise AssertionError(f"the disk did not fill in {FILL_SECONDS} s")

    def resumes(self):
        wait_until(lambda: self.put("kept", 1) == 0, RESUME_SECONDS, "produce succeeds again")

    def nothing_lost(self, topics=("kept", "bulk")):
        expect_equal(self.client_missing(topics), [], "acknowledged records that are not there")

    def client_missing(self, topics):
        return self.ledger.missing(self.client, topics)

    def stop(self):
        begin = time.monotonic()
        self.broker.stop()
        took = time.monotonic() - begin
        expect(took < STOP_SECONDS, f"SIGTERM took {took:.1f} s")

    def serves_the_rest(self):
        """All that must go on while records are refused."""
        self.nothing_lost()
        committed = self.client.offset("kept", 0, -1)
        expect_equal(self.client.commit("readers", "kept", 0, committed), 0, "a commit's error")
        expect_equal(self.client.committed("readers", "kept", 0), committed, "the committed offset")
        expect_equal(self.client.create_topics(["refused"]), {"refused": KAFKA_STORAGE_ERROR}, "errors of a creation")
        begin = time.monotonic()
        expect_equal(self.put("kept", 0), KAFKA_STORAGE_ERROR, "a produce's error")
        expect(time.monotonic() - begin < 1, "the refusal of a produce took a second")

    def delete(self, topic):
        expect_equal(self.client.delete_topics([topic]), {topic: 0}, "errors of a deletion")
        self.ledger.forget(topic)

    def make_bulk(self):
        """Again, if it was deleted; it takes some time until all cores know."""
        wait_until(lambda: self.client.create_topics(["bulk"], 4)["bulk"] in (0, 36), RESUME_SECONDS, "a topic can be made")


@contextlib.contextmanager
def site(kind):
    with mounted(kind) as place, Broker(f"full-disk-{kind}", OVERRIDES, folder=place / "data") as broker:
        one = Site(broker, place)
        expect_equal(one.client.create_topics(["kept", "bulk"], 4), {"kept": 0, "bulk": 0}, "errors of creations")
        wait_until(lambda: one.client.find_coordinator("readers") == 0, RESUME_SECONDS, "the coordinator is there")
        wait_until(lambda: one.client.commit("readers", "kept", 0, 0) == 0, RESUME_SECONDS, "a first commit")
        try:
            yield one
        finally:
            one.client.close()


def said(broker, what):
    return broker.log_path.read_text(errors="replace").count(what)


def filled_by_produce(one, kind):
    with step(f"{kind}, filled by produce: an answer with KAFKA_STORAGE_ERROR within the time-out", fatal=True):
        one.fill()
        expect(one.client.slowest < ANSWER_SECONDS, f"an answer took {one.client.slowest:.1f} s")
    with step(f"{kind}: reads and commits go on, new topics are refused"):
        one.serves_the_rest()
    with step(f"{kind}: the change of state is logged once"):
        expect_equal(said(one.broker, "storage.disk_full"), 1, "lines about the full disk")
        expect(said(one.broker, "storage.write_back_waits") == 0, "write-back waits")
    with step(f"{kind}: DeleteRecords is answered"):
        end = one.client.offset("bulk", 0, -1)
        expect_equal(one.client.delete_records("bulk", 0, end // 2), (end // 2, 0), "low watermark and error")
        one.ledger.forget("bulk", 0, end // 2)
    with step(f"{kind}: SIGTERM ends the process in seconds, a start on the full disk succeeds"):
        one.stop()
        one.broker.start()
        one.again()
        one.nothing_lost()
        expect_equal(one.client.committed("readers", "kept", 0), one.client.committed("readers", "kept", 0), "the committed offset")
    with step(f"{kind}: retention frees space and service resumes by itself"):
        one.fill()
        expect_equal(one.client.set_topic_config("bulk", "retention.ms", "1000"), 0, "the error of a change of settings")
        one.ledger.forget("bulk")
        one.resumes()
        expect_equal(one.client.set_topic_config("bulk", "retention.ms", "-1"), 0, "the error of a change of settings")
    with step(f"{kind}: the deletion of a topic frees space and service resumes by itself"):
        one.fill()
        one.delete("bulk")
        one.resumes()
        one.make_bulk()
        one.nothing_lost()


def filled_by_a_stranger(one, kind):
    stranger = one.place / "stranger"
    with step(f"{kind}, filled by a stranger's file: produces are refused, new topics too, the rest goes on"):
        with open(stranger, "wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(MIB))
                file.flush()
        one.fill()
        one.serves_the_rest()
        refused = one.client.create_topics([f"new-{number}" for number in range(40)])
        expect_equal(set(refused.values()), {KAFKA_STORAGE_ERROR}, "errors of creations")
    with step(f"{kind}: after SIGKILL a start on the full disk succeeds, nothing is lost"):
        one.broker.kill()
        one.broker.start()
        one.again()
        one.nothing_lost()
    with step(f"{kind}: SIGTERM and a start on the full disk"):
        one.stop()
        one.broker.start()
        one.again()
        one.serves_the_rest()
    with step(f"{kind}: when the stranger goes service resumes by itself"):
        stranger.unlink()
        one.resumes()


def filled_by_topics(one, kind):
    made = []

    def one_more():
        name = f"topic-{len(made)}"
        error = one.client.create_topics([name], 8)[name]
        if error == KAFKA_STORAGE_ERROR:
            return True
        expect_equal(error, 0, "the error of a creation")
        made.append(name)
        return any(one.put(name, partition) == KAFKA_STORAGE_ERROR for partition in range(8))

    with step(f"{kind}, filled by topics: produces or creations get KAFKA_STORAGE_ERROR"):
        wait_until(one_more, FILL_SECONDS, "the disk is full")
        one.serves_the_rest()
        one.nothing_lost(made)
    with step(f"{kind}: their deletion brings service back"):
        errors = one.client.delete_topics(made, timeout_ms=30000)
        expect_equal(set(errors.values()), {0}, "errors of deletions")
        one.resumes()


def killed(one, kind, rounds, seed):
    """Filled, killed at a random moment, started, emptied."""
    draw = random.Random(seed)
    with step(f"{kind}: {rounds} rounds with SIGKILL, seed {seed}"):
        for number in range(rounds):
            one.make_bulk()
            with contextlib.suppress(NoAnswer):
                threading.Timer(draw.uniform(0.05, 3.0), one.broker.kill).start()
                one.fill()
                while one.broker.process.poll() is None:
                    one.put("kept", 2)
                    one.client.commit("readers", "kept", 0, one.sent)
            one.broker.process.wait(FILL_SECONDS)
            try:
                one.broker.start()
            except BrokerError as error:
                raise AssertionError(f"round {number}: {error}") from None
            one.again()
            missing = one.client_missing(("kept", "bulk"))
            expect_equal(missing, [], f"round {number}: acknowledged records that are not there")
            one.delete("bulk")
            one.resumes()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    (ROOT / "build/test-data").mkdir(parents=True, exist_ok=True)
    for kind in "ext4", "tmpfs":
        with site(kind) as one:
            filled_by_produce(one, kind)
            filled_by_a_stranger(one, kind)
            filled_by_topics(one, kind)
            killed(one, kind, given.rounds, given.seed)
            with step(f"{kind}: a last stop"):
                one.stop()
    finish()


main()

#!/usr/bin/env python3
"""What a change of topics costs beside what exists: CPU of the broker for each topic and partition that is created, altered
or deleted and for Metadata of one topic, beside some thousand and some hundred thousand partitions; memory of an idle
partition; and how long another change waits while 10,000 partitions are created, altered, grown and deleted.

  bench/changes.py [--broker PATH ...] [--beside 1000,40000,200000] [--repeat 200]
                   [--partitions-per-topic 1] [--deleted 10000]
  bench/changes.py --life 200000 [--partitions-per-topic 1]    so many are made, restarted and deleted

Several --broker are measured in turn in one run: a build before a change and one after it. CPU is that of all threads of
the process (schedstat), so that another process on the machine does little to it; waits are wall time, and worth something
on a quiet machine only. Each row is the median of five parts of the repetitions. Raw figures: build/bench/changes.jsonl."""
import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import struct
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/tools"))
import broker as test_broker  # noqa: E402

FOLDER = ROOT / "build/bench"
PARTS = 5  # of the repetitions of one figure
TOPICS_IN_REQUEST = 1_000
TIMEOUT_MS = 600_000
REQUEST_TIMED_OUT, UNKNOWN_TOPIC = 7, 3  # of a change whose turn did not come, and of what it did not make
CREATE_TOPICS, DELETE_TOPICS, METADATA, CREATE_PARTITIONS, ALTER_CONFIGS = 19, 20, 3, 37, 44


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def items(values):
    return struct.pack(">i", len(values)) + b"".join(values)


class Connection:
    """Requests one at a time; an answer is the bytes behind the correlation id."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_MS / 1000)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")

    def ask(self, key, version, body):
        frame = struct.pack(">hhih4s", key, version, 1, 4, b"test") + body
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)
        (size,) = struct.unpack(">i", self.stream.read(4))
        return self.stream.read(size)[4:]

    def create(self, names, partitions=1):
        topics = [text(name) + struct.pack(">ih", partitions, 1) + items([]) + items([]) for name in names]
        answer = self.ask(CREATE_TOPICS, 4, items(topics) + struct.pack(">i?", TIMEOUT_MS, False))
        at = 8
        for name in names:
            at += 2 + len(name)
            error, length = struct.unpack_from(">hh", answer, at)
            at += 4 + max(length, 0)
            if error and error != REQUEST_TIMED_OUT:
                raise SystemExit(f"creating {name}: error {error}")

    def delete(self, names):
        answer = self.ask(DELETE_TOPICS, 3, items([text(name) for name in names]) + struct.pack(">i", TIMEOUT_MS))
        at = 8
        for name in names:
            (error,) = struct.unpack_from(">h", answer, at + 2 + len(name))
            at += 4 + len(name)
            if error not in (0, UNKNOWN_TOPIC, REQUEST_TIMED_OUT):
                raise SystemExit(f"deleting {name}: error {error}")

    def alter(self, name, retention_ms):
        self.alter_all([name], retention_ms)

    def grow(self, name, count):
        self.grow_all([name], count)

    def alter_all(self, names, retention_ms):
        config = text("retention.ms") + b"\0" + text(str(retention_ms))
        self.ask(ALTER_CONFIGS, 0, items([b"\2" + text(name) + items([config]) for name in names]) + b"\0")

    def grow_all(self, names, count):
        topics = [text(name) + struct.pack(">ii", count, -1) for name in names]
        self.ask(CREATE_PARTITIONS, 1, items(topics) + struct.pack(">i?", TIMEOUT_MS, False))

    def metadata(self, name):
        self.ask(METADATA, 4, items([text(name)]) + b"\0")


class Measured(test_broker.Broker):
    """A broker of which CPU and memory are read."""

    def cpu_us(self):
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:
                pass  # a thread that has just ended
        return total / 1000

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def settle(self):
        """Until what goes on in the background has ended."""
        for _ in range(100):
            before = self.cpu_us()
            time.sleep(0.1)
            if self.cpu_us() - before < 2000:
                return


def cost(broker, repeat, step):
    """Microseconds of CPU of one step(number): the median of PARTS parts."""
    broker.settle()
    figures = []
    number = 0
    for _ in range(PARTS):
        before = broker.cpu_us()
        for _ in range(max(repeat // PARTS, 1)):
            step(number)
            number += 1
        figures.append((broker.cpu_us() - before) / max(repeat // PARTS, 1))
    return statistics.median(figures)


def fill(connection, count, per_topic):
    """Creates topics until `count` partitions are there. Returns the seconds that took."""
    begin = time.monotonic()
    topics = max(count // per_topic, 1)
    at_once = max(min(TOPICS_IN_REQUEST, 10_000 // per_topic), 1)
    for first in range(0, topics, at_once):
        connection.create([f"idle-{number}" for number in range(first, min(first + at_once, topics))], per_topic)
    return time.monotonic() - begin


def waits_while(connection, port, delete):
    """The longest and the median time of another change while `delete` runs, and how long that took, in ms."""
    other = Connection(port)
    seconds = []

    def work():
        begin = time.monotonic()
        delete(other)
        seconds.append(time.monotonic() - begin)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.01)
    waits = []
    number = 0
    while thread.is_alive():
        begin = time.monotonic()
        connection.create([f"beside-{number}"])
        waits.append((time.monotonic() - begin) * 1000)
        number += 1
    thread.join()
    connection.delete([f"beside-{i}" for i in range(number)])
    if not seconds:
        raise SystemExit("the deletion failed")
    return max(waits), statistics.median(waits), seconds[0] * 1000


def start_afresh(binary):
    os.environ["POSTHASTE_BINARY"] = binary
    shutil.rmtree(FOLDER / "data-changes", ignore_errors=True)
    (FOLDER / "data-changes").mkdir(parents=True)


def measure(binary, beside, options):
    repeat, per_topic, deleted = options.repeat, options.partitions_per_topic, options.deleted
    start_afresh(binary)
    row = {"broker": binary, "beside": beside, "per_topic": per_topic}
    with Measured("changes", ["auto.create.topics.enable=false"], FOLDER / "data-changes") as broker:
        connection = Connection(broker.port)
        connection.create(["first"])
        broker.settle()
        empty = broker.memory_kib()
        before = broker.cpu_us()
        row["fill_s"] = fill(connection, beside, per_topic)
        row["fill_us_per_partition"] = (broker.cpu_us() - before) / beside
        broker.settle()
        row["kib_per_partition"] = (broker.memory_kib() - empty) / beside
        row["create_us"] = cost(broker, repeat, lambda n: connection.create([f"topic-{n}"]))
        row["alter_us"] = cost(broker, repeat, lambda n: connection.alter(f"topic-{n}", 1000 * n + 1000))
        row["grow_us"] = cost(broker, repeat, lambda n: connection.grow(f"topic-{n}", 2))
        row["metadata_us"] = cost(broker, 10 * repeat, lambda n: connection.metadata("first"))
        row["delete_us"] = cost(broker, repeat, lambda n: connection.delete([f"topic-{n}"]))
        if deleted > 0:
            measure_waits(row, broker, connection, deleted)
    shutil.rmtree(FOLDER / "data-changes", ignore_errors=True)
    return row


def measure_waits(row, broker, connection, partitions):
    """Another change beside one large request: about one wide topic, then about many narrow ones."""
    names = [f"many-{number}" for number in range(partitions)]
    requests = [("create wide", lambda other: other.create(["wide"], partitions)),
                ("delete wide", lambda other: other.delete(["wide"])),
                ("create many", lambda other: other.create(names)),
                ("alter many", lambda other: other.alter_all(names, 777_000)),
                ("grow many", lambda other: other.grow_all(names, 2)),
                ("delete many", lambda other: other.delete(names))]
    row["waits"] = {}
    for name, request in requests:
        longest, median, took = waits_while(connection, broker.port, request)
        row["waits"][name] = {"max_ms": longest, "median_ms": median, "request_ms": took}
        broker.settle()


def life(binary, partitions, per_topic):
    """Makes so many partitions, starts again with them, deletes them. A row of each: seconds, CPU, memory."""
    start_afresh(binary)
    rows = []
    with Measured("changes", ["auto.create.topics.enable=false"], FOLDER / "data-changes") as broker:
        connection = Connection(broker.port)

        def note(step, seconds, cpu_us):
            rows.append({"broker": binary, "life": partitions, "per_topic": per_topic, "step": step, "seconds": seconds,
                         "cpu_s": cpu_us / 1e6, "memory_mib": broker.memory_kib() / 1024})
            print(f"{step} | {seconds:.1f} | {cpu_us / 1e6:.1f} | {broker.memory_kib() / 1024:.0f}", flush=True)

        print("step | seconds | CPU s | MiB resident after it")
        note("empty", 0, broker.cpu_us())
        before = broker.cpu_us()
        note("made", fill(connection, partitions, per_topic), broker.cpu_us() - before)
        begin = time.monotonic()
        broker.stop()
        note_stop = time.monotonic() - begin
        begin = time.monotonic()
        broker.start()
        connection = Connection(broker.port)
        connection.metadata("idle-0")
        note(f"started again (stopped in {note_stop:.1f} s)", time.monotonic() - begin, broker.cpu_us())
        before, begin = broker.cpu_us(), time.monotonic()
        topics = max(partitions // per_topic, 1)
        for first in range(0, topics, TOPICS_IN_REQUEST):
            connection.delete([f"idle-{number}" for number in range(first, min(first + TOPICS_IN_REQUEST, topics))])
        note("deleted", time.monotonic() - begin, broker.cpu_us() - before)
    shutil.rmtree(FOLDER / "data-changes", ignore_errors=True)
    return rows


COLUMNS = [("beside", "beside", "{:d}"), ("fill_s", "fill s", "{:.1f}"), ("fill_us_per_partition", "us/partition", "{:.0f}"),
           ("kib_per_partition", "KiB idle", "{:.2f}"), ("create_us", "create", "{:.0f}"), ("alter_us", "alter", "{:.0f}"),
           ("grow_us", "grow", "{:.0f}"), ("delete_us", "delete", "{:.0f}"), ("metadata_us", "metadata", "{:.1f}")]


def keep(row):
    with open(FOLDER / "changes.jsonl", "a") as raw:
        raw.write(json.dumps(row) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", action="append", help="a posthaste binary; default: build/release/bin/posthaste")
    parser.add_argument("--beside", default="1000,40000,200000", help="partitions that exist, of each row")
    parser.add_argument("--repeat", type=int, default=200, help="of each change")
    parser.add_argument("--partitions-per-topic", type=int, default=1, help="of those that exist")
    parser.add_argument("--deleted", type=int, default=10_000, help="partitions of the large requests; 0: no waits")
    parser.add_argument("--life", type=int, help="instead: make so many partitions, start again, delete them")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    brokers = options.broker or [str(ROOT / "build/release/bin/posthaste")]
    if options.life:
        for binary in brokers:
            for row in life(binary, options.life, options.partitions_per_topic):
                keep(row)
        return
    print("broker | " + " | ".join(title for _, title, _ in COLUMNS) + "   (CPU us of the broker each)", flush=True)
    for beside in [int(count) for count in options.beside.split(",")]:
        for binary in brokers:
            row = measure(binary, beside, options)
            keep(row)
            print(f"{binary} | " + " | ".join(form.format(row[key]) for key, _, form in COLUMNS if key in row), flush=True)
            for name, wait in row.get("waits", {}).items():
                print(f"  another change beside {name}: longest {wait['max_ms']:.1f} ms, median {wait['median_ms']:.1f} ms "
                      f"of {wait['request_ms']:.0f} ms", flush=True)


if __name__ == "__main__":
    main()

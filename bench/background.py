#!/usr/bin/env python3
"""What changes in the background do to those who produce: p50 and p99 of a steady load of produce requests (acks=all, one
record each) while nothing else goes on, while partitions are created and deleted (at a steady pace in the background, and as
fast as they can be: as many narrow topics and as one wide one), and while retention removes segments; and each p99 beside
the undisturbed one before and after it.

  bench/background.py [--partitions 10000] [--rate 500] [--rounds 3] [--segments 512] [--data FOLDER]

The load is a process of its own that sends at fixed times and counts from then: whoever is late because an answer before
it was late has waited. It asks for a higher priority (nice -10, as root), for on a small machine a busy broker leaves it
too little of the processors, which is no fault of the broker. Raw figures: build/bench/background.jsonl."""
import argparse
import json
import multiprocessing
import os
import pathlib
import shutil
import struct
import sys
import time

import changes
from changes import Connection, items, text

sys.path.insert(0, str(changes.ROOT / "tests/overload"))
import protocol  # noqa: E402

TOPIC = "load"
PARTITIONS = 4  # of the load, so that each core has some
SETTLE_S = 0.5  # after a window, before the next
QUIET_S = 3.0
PACED_TOPICS = 50  # of one request of those at a steady pace
PACED_REQUESTS = 60
PACED_S = 0.1  # from one to the next
SEGMENT_BYTES = 1 << 20
RETENTION_TOPIC = "old"
RETENTION_PARTITIONS = 16


def batch(value):
    """One record of the present time: the broker stamps nothing."""
    return protocol.batch(value, int(time.time() * 1000))


def produce_body(topic, partition, records):
    data = struct.pack(">i", partition) + struct.pack(">i", len(records)) + records
    return struct.pack(">hhi", -1, -1, 30_000) + items([text(topic) + items([data])])


def produce(connection, body):
    answer = connection.ask(protocol.PRODUCE, 3, body)
    at = 4 + 2 + struct.unpack_from(">h", answer, 4)[0] + 4
    _, error = struct.unpack_from(">ih", answer, at)
    if error:
        raise SystemExit(f"produce: error {error}")


def load(port, rate, stop, results):
    """Sends until `stop`; results: (when it was due, seconds until its answer) of each."""
    try:
        os.nice(-10)
    except OSError:
        print("the load runs without a higher priority: on a busy machine its own waits are counted too", flush=True)
    connection = Connection(port)
    bodies = [produce_body(TOPIC, partition, batch(b"x" * 100)) for partition in range(PARTITIONS)]
    measured = []
    due = time.monotonic()
    while not stop.is_set():
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        produce(connection, bodies[len(measured) % PARTITIONS])
        measured.append((due, time.monotonic() - due))
        due += 1 / rate
    results.send(measured)


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


class Windows:
    """Named times, of which several may have the same name."""

    def __init__(self):
        self.spans = []

    def measure(self, name, work):
        begin = time.monotonic()
        work()
        self.spans.append((name, begin, time.monotonic()))
        time.sleep(SETTLE_S)

    def of(self, name, measured):
        return [took * 1000 for due, took in measured
                if any(begin <= due < end for called, begin, end in self.spans if called == name)]

    def seconds(self, name):
        return sum(end - begin for called, begin, end in self.spans if called == name)


def fill_segments(connection, segments):
    """So many full segments of 1 MiB over the partitions of a topic that keeps all."""
    connection.create([RETENTION_TOPIC], RETENTION_PARTITIONS)
    set_config(connection, RETENTION_TOPIC, "segment.bytes", str(SEGMENT_BYTES))
    records = batch(b"y" * 900_000)
    bodies = [produce_body(RETENTION_TOPIC, partition, records) for partition in range(RETENTION_PARTITIONS)]
    for number in range(segments):
        produce(connection, bodies[number % RETENTION_PARTITIONS])


def set_config(connection, topic, key, value):
    entry = text(key) + b"\0" + text(value)
    connection.ask(changes.ALTER_CONFIGS, 0, items([b"\2" + text(topic) + items([entry])]) + b"\0")


def segment_files(folder):
    return len(list(pathlib.Path(folder).glob(f"**/{RETENTION_TOPIC}-*/*.log")))


def remove_segments(connection, folder):
    set_config(connection, RETENTION_TOPIC, "retention.bytes", str(SEGMENT_BYTES))
    for _ in range(600):
        time.sleep(0.05)
        if segment_files(folder) <= 3 * RETENTION_PARTITIONS:
            return
    raise SystemExit("retention does not remove the segments")


def at_pace(connection):
    """Creates and deletes topics, 500 a second."""
    due = time.monotonic()
    for number in range(PACED_REQUESTS):
        names = [f"paced-{number // 2}-{topic}" for topic in range(PACED_TOPICS)]
        (connection.delete if number % 2 else connection.create)(names)
        due += PACED_S
        time.sleep(max(due - time.monotonic(), 0))


def disturb(windows, connection, folder, options):
    names = [f"many-{number}" for number in range(options.partitions)]

    def narrow(change):
        for first in range(0, len(names), changes.TOPICS_IN_REQUEST):
            change(names[first:first + changes.TOPICS_IN_REQUEST])

    for _ in range(options.rounds):
        windows.measure("nothing", lambda: time.sleep(QUIET_S))
        windows.measure(f"topics created and deleted, {PACED_TOPICS / PACED_S:.0f} a second", lambda: at_pace(connection))
        windows.measure("creating narrow topics", lambda: narrow(connection.create))
        windows.measure("deleting narrow topics", lambda: narrow(connection.delete))
        windows.measure("creating them in one request", lambda: connection.create(names))
        windows.measure("deleting them in one request", lambda: connection.delete(names))
        windows.measure("creating a wide topic", lambda: connection.create(["wide"], options.partitions))
        windows.measure("deleting a wide topic", lambda: connection.delete(["wide"]))
        if options.segments > 0:
            fill_segments(connection, options.segments)
            time.sleep(SETTLE_S)
            windows.measure("retention", lambda: remove_segments(connection, folder))
            connection.delete([RETENTION_TOPIC])
            time.sleep(SETTLE_S)
    windows.measure("nothing", lambda: time.sleep(QUIET_S))


def report(windows, measured):
    quiet = windows.of("nothing", measured)
    base = percentile(quiet, 0.99)
    print("while | requests | p50 ms | p99 ms | max ms | p99 beside undisturbed | seconds")
    for name in dict.fromkeys(called for called, _, _ in windows.spans):
        values = windows.of(name, measured)
        if not values:
            continue
        row = {"while": name, "requests": len(values), "p50_ms": percentile(values, 0.5), "p99_ms": percentile(values, 0.99),
               "max_ms": max(values), "ratio": percentile(values, 0.99) / base, "seconds": windows.seconds(name)}
        with open(changes.FOLDER / "background.jsonl", "a") as raw:
            raw.write(json.dumps(row) + "\n")
        print(f"{name} | {row['requests']} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['max_ms']:.1f} | "
              f"{row['ratio']:.2f} | {row['seconds']:.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default=str(changes.ROOT / "build/release/bin/posthaste"), help="a posthaste binary")
    parser.add_argument("--partitions", type=int, default=10_000, help="created and deleted in each window")
    parser.add_argument("--rate", type=int, default=500, help="produce requests a second")
    parser.add_argument("--rounds", type=int, default=3, help="of all windows; more of them make a p99 of short ones surer")
    parser.add_argument("--segments", type=int, default=512, help="of 1 MiB that retention removes; 0: none")
    parser.add_argument("--data", default=str(changes.FOLDER / "data-background"), help="a folder that is made anew")
    options = parser.parse_args()
    changes.FOLDER.mkdir(parents=True, exist_ok=True)
    os.environ["POSTHASTE_BINARY"] = options.broker
    folder = pathlib.Path(options.data)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings = ["auto.create.topics.enable=false", "log.retention.check.interval.ms=500"]
    with changes.Measured("background", settings, folder) as broker:
        connection = Connection(broker.port)
        connection.create([TOPIC], PARTITIONS)
        stop, (results, sender) = multiprocessing.Event(), multiprocessing.Pipe(False)
        process = multiprocessing.Process(target=load, args=(broker.port, options.rate, stop, sender))
        process.start()
        try:
            time.sleep(1)  # warm
            windows = Windows()
            disturb(windows, connection, folder, options)
            stop.set()
            report(windows, results.recv())
        finally:
            stop.set()
            process.join(10)
            if process.is_alive():
                process.terminate()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Posthaste beside Apache Kafka and the floor program, in one run: broker pinned to one core, client to the other, rounds
interleaved, so that a machine that drifts drifts for all. What counts is the broker's CPU time per GB and per million records;
wall time is printed beside it. Figures of a machine that does something else meanwhile are worth nothing.

  bench/run.py [--rounds N] [--scale F] [--only WORKLOAD,...] [--brokers posthaste,kafka,kafka-flush,floor]
               [--beside NAME=BINARY]   another build of Posthaste, for instance of the commit before a change; may be repeated

It installs nothing but Kafka's jars (Maven, into build/kafka). Results: a table on stdout, every raw figure in
build/bench/results.jsonl."""
import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/tools"))
import broker as test_broker  # noqa: E402
import apache_kafka  # noqa: E402

FOLDER = ROOT / "build/bench"
BIN = ROOT / "build/release/bin"
BROKER_CPU, CLIENT_CPU = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")
READY_SECONDS = 60
IDLE_WITHIN_SECONDS = 20
KAFKA_HEAP = "1G"  # of Kafka's own start script


def say(text):
    print(text, file=sys.stderr, flush=True)


class Process:
    """A program under measurement, pinned to the broker's core."""

    name = ""

    def __init__(self):
        self.port = test_broker.free_port()
        self.folder = FOLDER / f"data-{self.name}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.log = open(FOLDER / f"{self.name}.log", "wb")
        begin = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", BROKER_CPU] + self.command(), stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL)
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() - begin > READY_SECONDS:
                raise SystemExit(f"{self.name} did not start: see {self.log.name}")
            time.sleep(0.005)
        self.start_seconds = time.monotonic() - begin

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def ready(self):
        return test_broker.answers_api_versions("127.0.0.1", self.port)

    def cpu(self):
        """Seconds so far of all threads, also of those that have ended: the process's own clock (clock_getcpuclockid(3)), which
        counts nanoseconds where /proc counts hundredths of a second."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def user_cpu(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11]) / TICKS

    def memory_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Posthaste(Process):
    def __init__(self, name="posthaste", binary=BIN / "posthaste"):
        self.name, self.binary = name, binary
        super().__init__()

    def command(self):
        return [str(self.binary), "serve", "--data", str(self.folder), "--listen", self.address,
                "--override", "auto.create.topics.enable=false"]


class Kafka(Process):
    name = "kafka"
    settings = {}

    def command(self):
        path = FOLDER / f"{self.name}.properties"
        apache_kafka.prepare(self.folder, self.port, test_broker.free_port() + 1, path, self.settings, self.log)
        return apache_kafka.command(path, KAFKA_HEAP)


class KafkaFlush(Kafka):
    """Kafka made to keep Posthaste's promise: every batch on disk before it is acked."""

    name = "kafka-flush"
    settings = {"log.flush.interval.messages": "1"}


class Floor(Process):
    name = "floor"

    def command(self):
        return [str(BIN / "posthaste-bench-floor"), str(self.port), str(self.folder / "file")]

    def ready(self):
        try:
            test_broker.socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False


def client(*command):
    """Runs a client on the client's core; the JSON that it prints."""
    done = subprocess.run(["taskset", "-c", CLIENT_CPU] + [str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stdout[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def load(*command):
    return client(BIN / "posthaste-bench-load", *command)


def create_topic(broker, name, partitions):
    done = subprocess.run([str(BIN / "posthaste"), "topic", "create", name, "--partitions", str(partitions), "--bootstrap-server",
                           broker.address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"no topic on {broker.name}: {done.stdout}")


def fresh_topic(broker, partitions=6):
    name = f"bench-{uuid.uuid4().hex[:8]}"
    create_topic(broker, name, partitions)
    return name


def java_produce(broker, topic, records, size):
    begin = time.monotonic()
    done = subprocess.run(["taskset", "-c", CLIENT_CPU, "java", "-cp", apache_kafka.classpath(), "org.apache.kafka.tools.ProducerPerformance",
                           "--bootstrap-server", broker.address, "--topic", topic, "--num-records", str(records), "--record-size",
                           str(size), "--throughput", "-1"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0 or f"{records} records sent" not in done.stdout:
        raise SystemExit(f"ProducerPerformance failed: {done.stdout[-500:]}")
    return {"records": records, "failed": 0, "bytes": records * size, "seconds": time.monotonic() - begin}


def floor_frames(broker, total_bytes, frame_bytes):
    return lambda: load("floor", broker.address, total_bytes // frame_bytes, frame_bytes, 5)


def on_topic(broker, run, partitions=6):
    """What run(topic) does with a topic of its own, which is made outside the measurement."""
    topic = fresh_topic(broker, partitions)
    return lambda: run(topic)


def consume(broker, records, size):
    """Produces what is to be consumed, outside the measurement."""
    topic = fresh_topic(broker)
    load("produce", broker.address, topic, records, size)
    return lambda: load("consume", broker.address, topic, records)


# name: (what, function(broker, scale) that prepares and returns the function to measure, which brokers besides posthaste and kafka)
WORKLOADS = {
    "produce-1k": ("librdkafka, 1 KiB records, 6 partitions",
                   lambda b, f: on_topic(b, lambda t: load("produce", b.address, t, int(1_000_000 * f), 1024)),
                   ("floor-1m", "kafka-flush")),
    "produce-100": ("librdkafka, 100 B records, 6 partitions",
                    lambda b, f: on_topic(b, lambda t: load("produce", b.address, t, int(5_000_000 * f), 100)),
                    ("floor-1m", "kafka-flush")),
    "java-1k": ("Java ProducerPerformance, 1 KiB records, 6 partitions",
                lambda b, f: on_topic(b, lambda t: java_produce(b, t, int(1_000_000 * f), 1024)), ("floor-16k", "kafka-flush")),
    "java-100": ("Java ProducerPerformance, 100 B records, 6 partitions",
                 lambda b, f: on_topic(b, lambda t: java_produce(b, t, int(5_000_000 * f), 100)), ("floor-16k", "kafka-flush")),
    "consume-1k": ("librdkafka consumer, 1 KiB records", lambda b, f: consume(b, int(1_000_000 * f), 1024), ()),
    "partitions-1000": ("librdkafka, 100 B records over 1,000 partitions, small batches",
                        lambda b, f: on_topic(b, lambda t: load("produce", b.address, t, int(1_000_000 * f), 100, "linger.ms=5",
                                                                "sticky.partitioning.linger.ms=0"), 1000), ("kafka-flush",)),
    "single": ("one record a request, 64 connections",
               lambda b, f: on_topic(b, lambda t: load("single", b.address, t, 64, int(1500 * f), 100)), ("kafka-flush",)),
    "latency": ("end to end at 1,000 records/s, 1 KiB",
                lambda b, f: on_topic(b, lambda t: load("latency", b.address, t, 1000, max(5, int(30 * f)), 1024)),
                ("kafka-flush",)),
}
FLOORS = {"floor-1m": 1_000_000, "floor-16k": 16_384}
BROKERS = {"posthaste": Posthaste, "kafka": Kafka, "kafka-flush": KafkaFlush, "floor": Floor}


def wait_idle(broker):
    """Until the broker has done what its preparation left to do: creating 1,000 partitions takes Kafka seconds."""
    end = time.monotonic() + IDLE_WITHIN_SECONDS
    before = broker.cpu()
    while time.monotonic() < end:
        time.sleep(0.5)
        now = broker.cpu()
        if now - before < 0.05:
            return
        before = now
    say(f"{broker.name} is not idle after {IDLE_WITHIN_SECONDS} s")


def measure(broker, prepare):
    run = prepare()
    wait_idle(broker)
    cpu, user = broker.cpu(), broker.user_cpu()
    result = run()
    return {**result, "cpu": broker.cpu() - cpu, "user": broker.user_cpu() - user, "memory_mib": broker.memory_mib()}


def table(rows):
    """Medians over the rounds, one line a workload and broker."""
    print("| workload | broker | CPU s per GB | CPU s per million records | MB/s | p50 / p99 / p99.9 ms | memory MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for workload in WORKLOADS:
        for name in dict.fromkeys(row["broker"] for row in rows if row["workload"] == workload):
            mine = [row for row in rows if row["workload"] == workload and row["broker"] == name]
            cpu = statistics.median(row["cpu"] / row["bytes"] * 1e9 for row in mine)
            each = statistics.median(row["cpu"] / row["records"] * 1e6 for row in mine)
            rate = statistics.median(row["bytes"] / row["seconds"] / 1e6 for row in mine)
            late = "-"
            if "latency_ms" in mine[0]:
                late = " / ".join(f"{statistics.median(row['latency_ms'][p] for row in mine):.2f}" for p in ("p50", "p99", "p999"))
            memory = max(row["memory_mib"] for row in mine)
            print(f"| {workload} | {name} | {cpu:.3f} | {each:.3f} | {rate:.0f} | {late} | {memory:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the amounts of records")
    parser.add_argument("--only", default=",".join(WORKLOADS))
    parser.add_argument("--brokers", default=",".join(BROKERS))
    parser.add_argument("--beside", action="append", default=[], metavar="NAME=BINARY", help="another build of Posthaste")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    chosen = arguments.brokers.split(",")
    subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", ROOT / "build/release", "posthaste", "posthaste-bench-load", "posthaste-bench-floor"], check=True,
                   stdout=subprocess.DEVNULL)
    if any(name.startswith("kafka") for name in chosen) or "java" in arguments.only:
        say("Apache Kafka's jars")
        apache_kafka.fetch_jars()
    builds = dict(build.split("=", 1) for build in arguments.beside)
    if set(builds) & set(BROKERS):
        raise SystemExit(f"--beside: {', '.join(set(builds) & set(BROKERS))} is the name of a broker of its own; take another")
    brokers = {name: BROKERS[name]() for name in chosen} | {name: Posthaste(name, binary) for name, binary in builds.items()}
    for name, broker in brokers.items():
        say(f"{name}: ready after {broker.start_seconds * 1000:.0f} ms, {broker.memory_mib():.0f} MiB")
    rows = []
    try:
        with open(FOLDER / "results.jsonl", "a", encoding="utf-8") as results:
            for workload in arguments.only.split(","):
                what, run, besides = WORKLOADS[workload]
                for round_number in range(arguments.rounds):
                    runs = [(n, brokers[n], run) for n in ("posthaste", *builds, "kafka") if n in brokers]
                    runs += [(n, brokers[n], run) for n in besides if n in brokers]
                    runs += [(n, brokers["floor"], lambda b, f, n=n: floor_frames(b, int(1_000_000_000 * f), FLOORS[n]))
                             for n in besides if n in FLOORS and "floor" in brokers]
                    for name, broker, function in runs:
                        row = {"workload": workload, "what": what, "broker": name, "round": round_number,
                               **measure(broker, lambda: function(broker, arguments.scale))}
                        rows.append(row)
                        results.write(json.dumps(row) + "\n")
                        results.flush()
                        say(f"{workload} {name}: {row['cpu'] / row['bytes'] * 1e9:.3f} CPU s/GB "
                            f"({row['cpu']:.3f} s, {row['user']:.2f} of it user), {row['bytes'] / row['seconds'] / 1e6:.0f} MB/s "
                            f"{row.get('latency_ms', '')}")
    finally:
        for broker in brokers.values():
            broker.stop()
    table(rows)


if __name__ == "__main__":
    main()

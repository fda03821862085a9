"""Large batches against the journal: three real producers that fill batches of 1 MB for 100 partitions, and 400 connections that
each send batches of 1 MB to a partition of its own, all at once, with the default journal and with a tiny one. Acknowledgements
must never stop, and SIGTERM at any moment of such a load must end the broker soon. Last line: `N passed, M failed`.

usage: run.py [--seconds S] [--tiny-seconds S] [--stops N] [--seed N]"""
import argparse
import json
import pathlib
import random
import socket
import struct
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "tools"), str(TESTS / "overload")]

import protocol  # noqa: E402
from broker import Broker, binary  # noqa: E402
from checks import expect, finish, step  # noqa: E402
from venvs import python_with  # noqa: E402

LOAD = pathlib.Path(__file__).with_name("load.py")
CLIENT = "confluent-kafka==2.16.1"
PRODUCERS, PRODUCER_PARTITIONS = 3, 100
CONNECTIONS = 400
GAP_SECONDS_MOST = 1.0
# A connection competes with hundreds of megabytes of others for its share of two cores; a client gives up after 30 s.
STARVED_SECONDS = 10.0
STOP_SECONDS_MOST = 5.0
# Old segments go, so that a run does not fill the disk.
TOPIC = ("-c", "segment.bytes=16777216", "-c", "retention.bytes=16777216")
OVERRIDES = ("log.retention.check.interval.ms=1000",)
# 16 files of 1 MiB: a batch of 1 MB does not fit in one, a commit holds half of one.
TINY = ("posthaste.journal.bytes=12582912",)


def create(broker, name, partitions):
    subprocess.run([binary(), "topic", "create", name, "-p", str(partitions), *TOPIC, "--bootstrap-server", broker.bootstrap],
                   check=True, capture_output=True, timeout=60)


def fill_once(broker, name, partitions):
    """A record in every partition, all of it in its segment file after a clean stop. What is measured afterwards is the journal:
    hundreds of folders and files that are made at once, with three flushes each, are another matter, and the disk's."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=60) as client:
        for partition in range(partitions):
            client.sendall(protocol.produce(name, partition, protocol.batch(b"first")))
            length = struct.unpack(">i", client.recv(4, socket.MSG_WAITALL))[0]
            error, _ = protocol.produce_result(client.recv(length, socket.MSG_WAITALL), name)
            expect(error == 0, f"error {error}")


def start_load(broker, python, seconds):
    """Starts all clients; each prints a line of JSON when it ends."""
    def role(interpreter, *arguments):
        return subprocess.Popen([interpreter, str(LOAD), *map(str, arguments)], stdout=subprocess.PIPE, text=True)

    clients = {f"producer {i}": role(python, "producer", broker.port, "many", PRODUCER_PARTITIONS, seconds) for i in range(PRODUCERS)}
    clients["raw connections"] = role(sys.executable, "raw", broker.port, "own", CONNECTIONS, seconds)
    return clients


def end_load(clients):
    for client in clients.values():
        client.kill()
        client.wait()


def longest_gap(times):
    """(seconds, when it ended) of the longest time between two of them."""
    ordered = sorted(times)
    return max(((after - before, after) for before, after in zip(ordered, ordered[1:])), default=(0.0, 0.0))


def acks_never_stop(what, python, overrides, seconds):
    with Broker("large-batches", (*OVERRIDES, *overrides)) as broker:
        create(broker, "many", PRODUCER_PARTITIONS)
        create(broker, "own", CONNECTIONS)
        fill_once(broker, "many", PRODUCER_PARTITIONS)
        fill_once(broker, "own", CONNECTIONS)
        broker.stop()
        broker.start()
        clients = start_load(broker, python, seconds)
        seen = {}
        try:
            for name, client in clients.items():
                with step(f"{what}: {name}: everything is acknowledged, nobody waits for {STARVED_SECONDS} s"):
                    out, _ = client.communicate(timeout=seconds + 120)
                    result = seen[name] = json.loads(out)
                    gap, _ = longest_gap([result["begin"], *result["times"], max([result["until"], *result["times"]])])
                    print(f"       {name}: {result['acks']} acks, {result['errors']} errors ({result['first_error']}), longest gap {gap:.2f} s", flush=True)
                    expect(result["acks"] > 0 and result["errors"] == 0 and result["unanswered"] == 0, f"{result['unanswered']} unanswered")
                    expect(gap <= STARVED_SECONDS, f"a gap of {gap:.2f} s")
        finally:
            end_load(clients)
        with step(f"{what}: no {GAP_SECONDS_MOST} s without an acknowledgement"):
            times = [at for result in seen.values() for at in result["times"]]
            # Whoever stands still for good has no later one.
            times.append(max([*times, *(result["until"] for result in seen.values())]))
            gap, ended = longest_gap(times)
            print(f"       longest gap of all clients together: {gap:.2f} s", flush=True)
            expect(len(times) > 1 and gap <= GAP_SECONDS_MOST, f"a gap of {gap:.2f} s, which ended {ended - min(times):.1f} s after the first one")
        with step(f"{what}: SIGTERM after it"):
            broker.stop()


def stops_at_any_moment(python, count, seed):
    """SIGTERM at random moments of the load, with the default journal and the tiny one in turn, each on the folder before it."""
    moments = random.Random(seed)
    slowest = 0.0
    for overrides, share in (((), (count + 1) // 2), (TINY, count // 2)):
        with Broker("large-batches-stops", (*OVERRIDES, *overrides)) as broker:
            create(broker, "many", PRODUCER_PARTITIONS)
            create(broker, "own", CONNECTIONS)
            for number in range(share):
                after = moments.uniform(0.2, 3.0)
                clients = start_load(broker, python, 3600)
                try:
                    with step(f"SIGTERM {number + 1} of {share} {' '.join(overrides) or 'default journal'}, {after:.1f} s into the load"):
                        time.sleep(after)
                        begin = time.monotonic()
                        broker.stop()
                        took = time.monotonic() - begin
                        slowest = max(slowest, took)
                        expect(took <= STOP_SECONDS_MOST, f"it took {took:.1f} s")
                finally:
                    end_load(clients)
                    broker.kill()
                if number + 1 < share:
                    broker.start()
    print(f"       slowest stop: {slowest:.2f} s", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--tiny-seconds", type=float, default=15)
    arguments.add_argument("--stops", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    asked = arguments.parse_args()
    print(f"seed {asked.seed}", flush=True)
    python = python_with(CLIENT)
    if asked.seconds > 0:
        acks_never_stop("default journal", python, (), asked.seconds)
    if asked.tiny_seconds > 0:
        acks_never_stop("tiny journal", python, TINY, asked.tiny_seconds)
    stops_at_any_moment(python, asked.stops, asked.seed)
    finish()


main()

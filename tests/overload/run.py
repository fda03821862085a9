"""Overload: 10,000 connections and, all at once, readers that do not read, writers that drip, requests that are too large, more
bytes of requests than there is memory, and a flood of questions about all topics. A producer and a consumer that behave must
notice little, memory must stay under what the broker states at its start, nobody may be lost, and the end must be clean: the
broker itself checks at its stop that all memory of requests and answers is back. Last line: `N passed, M failed`.

usage: run.py full|quick"""
import json
import os
import pathlib
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import load  # noqa: E402
import protocol  # noqa: E402
from broker import ROOT, Broker, binary  # noqa: E402
from checks import expect, expect_equal, finish, step, wait_until  # noqa: E402

# An idle connection's cost in the broker, without the kernel's socket.
IDLE_KIB_MOST = 32
# A client gives up on a request after 30 s by default (request.timeout.ms). Who is answered within a third of that sees no
# fault, and has room for a machine where a dozen load processes share two cores with the broker.
SLOWEST_ANSWER_SECONDS = 10
# Patience with the slow is 30 s and their bytes at 64 KiB/s, a megabyte or two here; less where their memory is wanted.
CUT_OFF_SECONDS = 90
WORK_SECONDS = 150
PER_ADDRESS = 20
MEMORY_BYTES = 64 << 20


class Size:
    """How much of everything."""

    def __init__(self, mode):
        full = mode == "full"
        self.idle = 10_000 if full else 2_000
        self.slow_writers = 300 if full else 60
        self.slow_readers = 100 if full else 40
        self.metadata = 200 if full else 50
        self.too_large = 50 if full else 10
        self.big = 500 if full else 60
        self.partitions = 2_000 if full else 500
        self.most = self.idle + self.slow_writers + self.slow_readers + self.metadata + self.big + 500


class Role:
    """One process of load.py."""

    def __init__(self, name, port, count=0):
        self.name = name
        self.process = subprocess.Popen([sys.executable, load.__file__, name, str(port), str(count)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        expect_equal(self.line(WORK_SECONDS), "ready", f"what {name} says first")

    def line(self, seconds):
        # One line at a time is on its way, so select() sees it.
        expect(select.select([self.process.stdout], [], [], seconds)[0], f"{self.name} says nothing for {seconds} s")
        return self.process.stdout.readline().strip()

    def result(self, seconds=WORK_SECONDS):
        """Waits for its end; what it saw."""
        seen = json.loads(self.line(seconds))
        self.process.stdin.close()
        self.process.wait(seconds)
        return seen

    def end(self, seconds=WORK_SECONDS):
        """Asks it to end; what it saw."""
        self.process.stdin.close()
        seen = json.loads(self.line(seconds))
        self.process.wait(seconds)
        return seen

    def kill(self):
        self.process.kill()
        self.process.wait()


def status(pid, name):
    return int(re.search(rf"^{name}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def slab_kib():
    return int(re.search(r"^Slab:\s+(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])


def stated(log, event):
    """The numbers of the last log line of an event."""
    lines = [line for line in log.read_text().splitlines() if f" {event} " in line]
    expect(lines, f"no line {event} in {log}")
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)\b", lines[-1])}


def counted(log, event):
    """The sum over cores of the last counters that each core logged."""
    last = {}
    for line in log.read_text().splitlines():
        if f" {event} accepted=" in line:
            last[re.search(r"core=(\d+)", line)[1]] = line
    total = {}
    for line in last.values():
        for key, value in re.findall(r"(\w+)=(\d+)", line.split(f" {event} ")[1]):
            total[key] = total.get(key, 0) + int(value)
    return total


def topic(broker, name, partitions, *configs):
    command = [binary(), "topic", "create", name, "-p", str(partitions), "--bootstrap-server", broker.bootstrap]
    for config in configs:
        command += ["--config", config]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)


def ask(broker, frame):
    client = load.connect(broker.port, "127.0.0.9")
    client.sendall(frame)
    answer = load.answer_of(client)
    client.close()
    return answer


def open_idle(broker, size):
    """Thousand by thousand, with what each costs."""
    pid = broker.process.pid
    before, slab = status(pid, "VmRSS"), slab_kib()
    idle = Role("idle", broker.port, size.idle)
    costs = []
    while not costs or costs[-1][0] < size.idle:
        idle.process.stdin.write("more\n")
        idle.process.stdin.flush()
        opened = json.loads(idle.line(WORK_SECONDS))["open"]
        expect(not costs or opened > costs[-1][0], f"no connection beyond {opened}")
        costs.append((opened, (status(pid, "VmRSS") - before) / opened))
    print(f"       {size.idle} idle connections: {costs[0][1]:.1f} KiB each for the first thousand, {costs[-1][1]:.1f} KiB for all; "
          f"the kernel {(slab_kib() - slab) / size.idle / 2:.1f} KiB for each of their sockets", flush=True)
    worst = max(cost for _, cost in costs)
    expect(worst < IDLE_KIB_MOST, f"an idle connection costs {worst:.1f} KiB")
    return idle


def all_at_once(broker, size):
    """The storm. Returns what each role saw."""
    port = broker.port
    good = Role("good", port)
    roles = {}
    try:
        time.sleep(2)  # of calm, so that the good pair's middle is not the storm's
        for name, count in (("slow_readers", size.slow_readers), ("slow_writers", size.slow_writers),
                            ("metadata_flood", size.metadata), ("big_produce", size.big), ("too_large", size.too_large),
                            ("per_address", 2 * PER_ADDRESS)):
            roles[name] = Role(name, port, count)
        seen = {name: roles[name].result() for name in ("too_large", "big_produce")}
        # The slow have had their memory wanted all the time; what is left of them goes at the latest when it is wanted again.
        end = time.monotonic() + CUT_OFF_SECONDS
        for name in "slow_writers", "slow_readers", "metadata_flood":
            while roles[name].process.poll() is None and time.monotonic() < end:
                time.sleep(0.2)
            seen[name] = roles[name].end() if roles[name].process.poll() is None else roles[name].result()
        seen["per_address"] = roles["per_address"].end()
        time.sleep(1)
        seen["good"] = good.end()
        return seen
    finally:
        for role in (good, *roles.values()):
            role.kill()


def refused_above(broker, limit, tries):
    """Opens connections from one more address; how many of them live."""
    clients = [load.connect(broker.port, "127.0.4.1") for _ in range(tries)]
    alive = 0
    for client in clients:
        try:
            client.sendall(protocol.api_versions())
            alive += load.answer_of(client) is not None
        except OSError:
            pass
    for client in clients:  # not before all have had their answer: each that goes makes room for another
        load.close_hard(client)
    return alive


def main():
    size = Size(sys.argv[1] if len(sys.argv) > 1 else "full")
    folder = ROOT / "build/test-data/overload"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    settings = [f"posthaste.memory.bytes={MEMORY_BYTES}", f"max.connections={size.most}", "socket.request.max.bytes=8388608",
                "max.connections.per.ip.overrides=127.0.3.1:%d" % PER_ADDRESS, "log.retention.check.interval.ms=1000",
                "posthaste.cores=2"]
    with Broker("overload", settings, folder) as broker:
        pid = broker.process.pid
        with step(f"{size.partitions} partitions", fatal=True):
            topic(broker, "many", size.partitions)
            # The records are of 1970: without retention by age.
            topic(broker, "good", 1, "retention.ms=-1")
            topic(broker, "slow", 2, "retention.ms=-1")
            topic(broker, "big", 2, "retention.ms=-1", "max.message.bytes=5000000", "segment.bytes=16777216", "retention.bytes=67108864")
            records = protocol.batch(os.urandom(1024) * 900)
            for number in range(2 * load.SLOW_BATCHES):
                answer = ask(broker, protocol.produce("slow", number % 2, records))
                expect_equal(protocol.produce_result(answer, "slow")[0], 0, "error of a produce")
        idle = None
        with step(f"{size.idle} idle connections cost under {IDLE_KIB_MOST} KiB each", fatal=True):
            idle = open_idle(broker, size)

        seen = {}
        with step("the storm passes", fatal=True):
            seen = all_at_once(broker, size)
        with step("requests for many times the memory: every one is answered"):
            big = seen["big_produce"]
            print(f"       {big['open']} requests of 4 MiB in {big['seconds']} s")
            expect_equal((big["acknowledged"], big["lost"], big["unanswered"], big["errors"]), (size.big, 0, 0, []),
                         "acknowledged, lost, unanswered, errors")
        with step("requests above the limit are cut off"):
            expect_equal(seen["too_large"]["closed"], size.too_large, "connections cut off")
        for name, what in ("slow_writers", "writers that drip"), ("slow_readers", "readers that do not read"):
            with step(f"{what} are cut off"):
                closed = seen[name]["closed"]
                print(f"       {len(closed)} of {seen[name]['open']}, after {min(closed, default=0)} to {max(closed, default=0)} s")
                expect_equal(len(closed), seen[name]["open"], "cut off")
        with step("those who flood with questions and do not read are cut off"):
            flood = seen["metadata_flood"]
            print(f"       {len(flood['closed'])} of {flood['open']}, after {min(flood['closed'], default=0)} to "
                  f"{max(flood['closed'], default=0)} s, {flood['readers_closed']} of those who read, though slowly; these read "
                  f"{flood['bytes_read'] >> 20} MiB")
            expect(len(flood["closed"]) >= size.metadata // 2, "not all of them")
        with step("the limit of one address holds"):
            expect_equal(seen["per_address"]["answered"], PER_ADDRESS, "connections of that address that live")
        with step(f"a producer and a consumer go on: nothing lost, in order, each answer within {SLOWEST_ANSWER_SECONDS} s"):
            good = seen["good"]
            print(f"       {good['records']} records; seconds, slowest and middle: "
                  + ", ".join(f"{what} {good[what]['slowest']} {good[what]['middle']}" for what in ("produce", "fetch", "metadata", "connect")))
            expect_equal(good["problems"], [], "problems")
            slowest = max(good[what]["slowest"] for what in ("produce", "fetch", "metadata", "connect"))
            expect(slowest < SLOWEST_ANSWER_SECONDS, f"the slowest answer took {slowest} s")
        with step("the limit in total holds and changes while the broker runs"):
            expect_equal(refused_above(broker, size.most, 5), 5, "connections below the limit that live")
            answer = ask(broker, protocol.set_broker_config("max.connections", str(size.idle + 3)))
            expect_equal(protocol.set_broker_config_error(answer), 0, "error of IncrementalAlterConfigs")
            time.sleep(1)
            expect_equal(refused_above(broker, size.idle + 3, 10), 3, "connections that live")
        with step("the idle connections are all there and answer"):
            result = idle.end()
            expect_equal(result["alive"], size.idle, "idle connections that answer")
        with step("memory stays under the stated budget"):
            parts = stated(broker.log_path, "memory")
            # Nobody has groups, sessions or producers here.
            budget = parts["budget_mib"] - parts["groups_mib"] - parts["sessions_mib"] - parts["producers_mib"]
            most = status(pid, "VmHWM") / 1024
            print(f"       at most {most:.0f} MiB of {budget} MiB, {status(pid, 'VmRSS') / 1024:.0f} MiB in the end")
            expect(most < budget, f"{most:.0f} MiB at the most")
        with step("a clean stop: all memory of requests and answers is back, and the log says who was cut off and why"):
            broker.stop()
            cut, door = counted(broker.log_path, "connections"), counted(broker.log_path, "acceptor")
            print(f"       {cut}\n       {door}")
            expect_equal(cut["closed_slow_sender"], size.slow_writers, "counted slow senders")
            expect_equal(cut["closed_frame_too_large"], size.too_large, "counted frames too large")
            expect(cut["closed_slow_reader"] >= size.slow_readers, "slow readers are counted")
            expect_equal(door["closed_too_many_connections_from_address"], PER_ADDRESS, "counted refusals of the address")
            expect_equal(door["closed_too_many_connections"], 7, "counted refusals above the total")
            expect_equal(cut["open"], 0, "connections that are still counted as open")
    finish()


main()

"""Limits of the machine and of what waits: requests that wait for others hold no memory, what is created is counted in the stated
budget and refused above it, one question creates few topics, a control group's limit and few file descriptors are kept to. Last
line: `N passed, M failed`.

usage: limits.py [waiting|created|machine]...   all without one
       limits.py measure          what a million offsets, 100,000 groups and 50,000 topics take (minutes)"""
import contextlib
import os
import pathlib
import re
import selectors
import shutil
import stat
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import load  # noqa: E402
import protocol  # noqa: E402
from broker import ROOT, Broker, BrokerError, binary  # noqa: E402
from checks import NotOffered, expect, expect_equal, finish, step, wait_until  # noqa: E402

# Where nothing is wrong an answer takes milliseconds; where memory is held it never comes.
ANSWER_SECONDS = 10
SEND_SECONDS = 20
COORDINATOR_NOT_AVAILABLE, LEADER_NOT_AVAILABLE, GROUP_MAX_SIZE_REACHED = 15, 5, 81
SMALL_MEMORY = 128 << 20


def ask(broker, frame, seconds=ANSWER_SECONDS):
    client = load.connect(broker.port, "127.0.0.21")
    client.settimeout(seconds)
    try:
        client.sendall(frame)
        return load.answer_of(client)
    finally:
        client.close()


def status_mib(pid, name):
    return int(re.search(rf"^{name}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) / 1024


def stated(broker, event, key):
    lines = [line for line in broker.log_path.read_text().splitlines() if f" {event} " in line]
    return int(re.search(rf"\b{key}=(\d+)", lines[-1])[1])


def topic(broker, name, partitions=1):
    subprocess.run([binary(), "topic", "create", name, "-p", str(partitions), "--bootstrap-server", broker.bootstrap], check=True,
                   timeout=60, stdout=subprocess.DEVNULL)


class Waiting:
    """Clients that have each sent one request and do not take the answer."""

    def __init__(self, broker, frames):
        self.clients = {}
        for number, frame in enumerate(frames):
            self.clients[load.connect(broker.port, f"127.0.5.{1 + number % 16}")] = memoryview(frame)

    def send(self, seconds=SEND_SECONDS):
        """As far as it goes; how many have sent all."""
        begin = time.monotonic()
        left = dict(self.clients)
        with selectors.EpollSelector() as selector:
            for client in left:
                client.setblocking(False)
                selector.register(client, selectors.EVENT_WRITE)
            while left and time.monotonic() - begin < seconds:
                for key, _ in selector.select(0.2):
                    client = key.fileobj
                    try:
                        left[client] = left[client][client.send(left[client][:1 << 20]):]
                    except BlockingIOError:
                        continue
                    except OSError:
                        left[client] = b""
                    if not left[client]:
                        selector.unregister(client)
                        del left[client]
        return len(self.clients) - len(left)

    def answers(self, seconds):
        """The answers that are there within so many seconds, behind their length."""
        found = []
        end = time.monotonic() + seconds
        for client in self.clients:
            client.settimeout(max(0.01, end - time.monotonic()))
            try:
                found.append(load.answer_of(client))
            except (TimeoutError, OSError):
                pass
        return found

    def close(self):
        for client in self.clients:
            load.close_hard(client)


def produce_goes_on(broker, sizes):
    for size in sizes:
        begin = time.monotonic()
        answer = ask(broker, protocol.produce("t", 0, protocol.batch(os.urandom(1024) * (size // 1024)), timeout_ms=ANSWER_SECONDS * 1000))
        expect(answer is not None, f"the producer of {size} bytes was cut off")
        expect_equal(protocol.produce_result(answer, "t")[0], 0, f"error of a produce of {size} bytes")
        print(f"       a produce of {size >> 10} KiB took {time.monotonic() - begin:.2f} s", flush=True)


@contextlib.contextmanager
def started(name, settings):
    folder = ROOT / "build/test-data" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Broker(name, ["posthaste.cores=2", *settings], folder) as broker:
        yield broker


def waiting():
    delay = "group.initial.rebalance.delay.ms=60000"
    with started("limits-waiting", [f"posthaste.memory.bytes={SMALL_MEMORY}", delay]) as broker:
        topic(broker, "t")
        ask(broker, protocol.find_coordinator("g"))
        metadata = os.urandom(1 << 20)
        crowds = [
            ("60 JoinGroups of 1 MB", [protocol.join_group(f"large-{n}", metadata) for n in range(60)]),
            ("250 JoinGroups of 60 KB", [protocol.join_group(f"small-{n}", metadata[:60_000]) for n in range(250)]),
            ("250 long polls of 56 KB", [protocol.long_poll("t", 56_000, 100_000)] * 250),
        ]
        for what, frames in crowds:
            with step(f"{what} wait: produces of 1 KB, 40 KB and 1 MB go on"):
                crowd = Waiting(broker, frames)
                print(f"       {crowd.send()} of {len(frames)} are sent", flush=True)
                produce_goes_on(broker, (1 << 10, 40 << 10, 900 << 10))
                crowd.close()
        with step("memory stays under the stated budget while they wait"):
            budget, most = stated(broker, "memory", "budget_mib"), status_mib(broker.process.pid, "VmHWM")
            print(f"       at most {most:.0f} MiB of {budget} MiB")
            expect(most < budget, f"{most:.0f} MiB")
        with step("the stop is clean"):
            broker.stop()
    with started("limits-large", [delay]) as broker:
        topic(broker, "t")
        ask(broker, protocol.find_coordinator("g"))
        with step("eight JoinGroups of 99 MB with default settings: produces of 100 KB and 900 KB go on"):
            crowd = Waiting(broker, [protocol.join_group("g", bytes(99_000_000))] * 8)
            sent = crowd.send()
            produce_goes_on(broker, (100 << 10, 900 << 10))
            expect_equal(sent, 8, "requests that were taken")
            expect_equal({protocol.join_error(one) for one in crowd.answers(5)}, {GROUP_MAX_SIZE_REACHED}, "what they are told")
            crowd.close()


def created():
    with started("limits-created", [f"posthaste.memory.bytes={SMALL_MEMORY}"]) as broker:
        topic(broker, "t")
        with step("a question about 100,000 topics that are not there creates a few, and holds up nobody"):
            names = [f"auto-{number}" for number in range(100_000)]
            crowd = Waiting(broker, [protocol.metadata_of(names)])
            crowd.send()
            produce_goes_on(broker, (1 << 10,))
            begin = time.monotonic()
            topic(broker, "another")
            expect(time.monotonic() - begin < ANSWER_SECONDS, "CreateTopics waited")
            errors = protocol.metadata_errors(crowd.answers(ANSWER_SECONDS)[0])
            crowd.close()
            made = sum(1 for error in errors.values() if error == 0)
            expect_equal((len(errors), set(errors.values()) - {0}), (len(names), {LEADER_NOT_AVAILABLE}), "topics told, and their errors")
            print(f"       {made} topics were made")
            expect(0 < made <= 100, f"{made} topics were made")
        partitions = 1_000
        topic(broker, "many", partitions)
        ask(broker, protocol.find_coordinator("g"))
        client = load.connect(broker.port, "127.0.0.22")
        with step("committed offsets are refused above their budget, and those that are there go on"):
            stored = 0
            for number in range(3_000):
                client.sendall(protocol.commit(f"group-{number}", "many", partitions))
                error = protocol.commit_error(load.answer_of(client), "many")
                if error:
                    break
                stored += 1
            expect_equal(error, COORDINATOR_NOT_AVAILABLE, "what is said above the budget")
            budget, resident = stated(broker, "memory", "budget_mib"), status_mib(broker.process.pid, "VmRSS")
            print(f"       {stored * partitions} offsets in {stored} groups, {resident:.0f} MiB resident of {budget} MiB")
            expect(resident < budget, f"{resident:.0f} MiB resident")
            expect(stored * partitions > 100_000, "they fit")
            client.sendall(protocol.commit("group-0", "many", partitions))
            expect_equal(protocol.commit_error(load.answer_of(client), "many"), 0, "of a group that is there")
        client.close()
        with step("after a restart they are there, within the budget"):
            broker.stop()
            broker.start()
            commit = protocol.commit("group-0", "many", partitions)
            wait_until(lambda: protocol.commit_error(ask(broker, commit), "many") == 0, 30, "the groups are loaded")
            resident = status_mib(broker.process.pid, "VmRSS")
            print(f"       {resident:.0f} MiB resident")
            expect(resident < budget, f"{resident:.0f} MiB resident")


@contextlib.contextmanager
def started_by(script, folder):
    """Brokers start by way of a shell script, which ends with exec "$@"."""
    path = folder / "start.sh"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\nexec {binary()} \"$@\"\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    before = os.environ.get("POSTHASTE_BINARY")
    os.environ["POSTHASTE_BINARY"] = str(path)
    try:
        yield
    finally:
        os.environ.pop("POSTHASTE_BINARY")
        if before is not None:
            os.environ["POSTHASTE_BINARY"] = before


MEMORY_FILES = (("memory", "memory.limit_in_bytes"), ("", "memory.max"))
CPU_FILES = (("cpu", "cpu.cfs_quota_us"), ("", "cpu.max"))


class ControlGroup:
    """One of version 1 or 2 with a limit, and one inside of it, where the process is. `files`: of each version the tree and the file
    that takes the limit; `texts`: what is written there."""

    def __init__(self, files, texts):
        for version, ((tree, file), text) in enumerate(zip(files, texts), 1):
            self.outer = pathlib.Path("/sys/fs/cgroup", tree, f"posthaste-test-{os.getpid()}")
            try:
                self.outer.mkdir()
            except OSError:
                continue
            try:
                (self.outer / file).write_text(text)
                self.inner = self.outer / "inner"
                self.inner.mkdir()
                self.version = version
                return
            except OSError:
                self.outer.rmdir()
        raise NotOffered("no control group can be made here")

    def remove(self):
        for folder in self.inner, self.outer:
            wait_until(lambda: self._removed(folder), 10, f"{folder} is empty")

    @staticmethod
    def _removed(folder):
        try:
            folder.rmdir()
        except OSError:
            return not folder.exists()
        return True


def in_a_control_group():
    limit = 300 << 20
    group = ControlGroup(MEMORY_FILES, (str(limit), str(limit)))
    try:
        with started_by(f"echo $$ >{group.inner}/cgroup.procs", ROOT / "build/test-data/limits-group"), started("limits-group-data", []) as broker:
            print(f"       version {group.version}, budget {stated(broker, 'memory', 'budget_mib')} MiB", flush=True)
            expect(stated(broker, "machine", "memory_mib") <= limit >> 20, "the limit is not seen")
            expect(stated(broker, "memory", "budget_mib") < limit >> 20, "the plan does not fit")
            topic(broker, "t", 4)
            clients = [load.connect(broker.port, "127.0.0.23") for _ in range(8)]
            frames = [protocol.produce("t", number % 4, protocol.batch(os.urandom(1024) * 900)) for number in range(len(clients))]
            sent = 0
            end = time.monotonic() + 8
            while time.monotonic() < end:
                for client, frame in zip(clients, frames):
                    client.sendall(frame)
                for client in clients:
                    answer = load.answer_of(client)
                    expect(answer is not None, "the broker is gone")
                    expect_equal(protocol.produce_result(answer, "t")[0], 0, "error of a produce")
                    sent += 1
            print(f"       {sent * 900 >> 10} MiB produced, {status_mib(broker.process.pid, 'VmHWM'):.0f} MiB resident at most")
            for client in clients:
                client.close()
            broker.stop()
    finally:
        group.remove()


def with_a_quota_of_processors():
    group = ControlGroup(CPU_FILES, ("100000", "100000 100000"))
    try:
        folder = ROOT / "build/test-data/limits-quota"
        shutil.rmtree(folder, ignore_errors=True)
        with started_by(f"echo $$ >{group.inner}/cgroup.procs", folder), Broker("limits-quota-data", folder=folder / "data") as broker:
            print(f"       version {group.version}", flush=True)
            expect_equal(stated(broker, "machine", "cores"), 1, "cores")
            broker.stop()
    finally:
        group.remove()


def machine():
    with step("under a control group's limit of 300 MiB, set one level above: the plan fits, and it lives through a load of produces"):
        in_a_control_group()
    with step("under a quota of one processor, set one level above, it has one core"):
        if (os.cpu_count() or 1) < 2:
            raise NotOffered("this machine has one processor")
        with_a_quota_of_processors()
    with step("with 1024 file descriptors it serves 300 connections"):
        with started_by("ulimit -n 1024", ROOT / "build/test-data/limits-files"), started("limits-files-data", []) as broker:
            clients = [load.connect(broker.port, "127.0.0.24") for _ in range(300)]
            for client in clients:
                client.sendall(protocol.api_versions())
            expect_equal(sum(load.answer_of(client) is not None for client in clients), 300, "connections that are served")
            for client in clients:
                client.close()
    with step("with a soft limit of 256 it raises that to the hard one"):
        with started_by("ulimit -Sn 256", ROOT / "build/test-data/limits-soft"), started("limits-soft-data", []) as broker:
            limits = pathlib.Path(f"/proc/{broker.process.pid}/limits").read_text()
            soft, hard = re.search(r"Max open files\s+(\d+)\s+(\d+)", limits).groups()
            expect_equal(soft, hard, "the limit of open files")
    with step("with 200 file descriptors it does not start, and says what to do"):
        with started_by("ulimit -n 200", ROOT / "build/test-data/limits-few"):
            try:
                with started("limits-few-data", []):
                    pass
                expect(False, "it started")
            except BrokerError as error:
                expect("ulimit -n" in str(error) and "200" in str(error), str(error))


def measure():
    with started("limits-measure", ["posthaste.memory.bytes=1073741824", "log.retention.check.interval.ms=3600000"]) as broker:
        pid = broker.process.pid

        def grown(what, count, make):
            before = status_mib(pid, "VmRSS")
            begin = time.monotonic()
            make()
            now = status_mib(pid, "VmRSS")
            print(f"{what}: {now - before:.0f} MiB, {(now - before) * 1048576 / count:.0f} bytes each, in {time.monotonic() - begin:.0f} s; "
                  f"resident {now:.0f} MiB of {stated(broker, 'memory', 'budget_mib')} MiB", flush=True)

        # Many at once, so that they share the journal's commits.
        clients = [load.connect(broker.port, "127.0.0.25") for _ in range(64)]

        def commits(groups, partitions, prefix):
            for first in range(0, groups, len(clients)):
                busy = list(zip(clients, range(first, groups)))
                for client, number in busy:
                    client.sendall(protocol.commit(f"{prefix}-{number}", "many", partitions))
                for client, _ in busy:
                    expect_equal(protocol.commit_error(load.answer_of(client), "many"), 0, "error of a commit")

        ask(broker, protocol.find_coordinator("g"))
        topic(broker, "many", 1_000)
        grown("1,000,000 committed offsets in 1,000 groups", 1_000_000, lambda: commits(1_000, 1_000, "large"))
        grown("100,000 groups with one offset each", 100_000, lambda: commits(100_000, 1, "small"))

        def topics():
            for first in range(0, 50_000, 50):
                names = [f"topic-{number}" for number in range(first, first + 50)]
                expect_equal(set(protocol.metadata_errors(ask(broker, protocol.metadata_of(names), 60)).values()), {0}, "errors")

        grown("50,000 topics of one partition", 50_000, topics)
        broker.stop()
        begin = time.monotonic()
        broker.start()
        ready = time.monotonic() - begin
        time.sleep(5)
        print(f"after a restart (ready in {ready:.1f} s): resident {status_mib(broker.process.pid, 'VmRSS'):.0f} MiB")


PARTS = {one.__name__: one for one in (waiting, created, machine)}

if __name__ == "__main__":
    asked = sys.argv[1:]
    if asked == ["measure"]:
        measure()
        sys.exit()
    for name in asked or PARTS:
        PARTS[name]()
    for left in (ROOT / "build/test-data").glob("limits-*"):
        shutil.rmtree(left, ignore_errors=True)
    finish()

"""Offline damage: a broker is stopped, or killed, something of its data folder is damaged, and it is started again. Each record that
was acknowledged must then be served exactly, or its place refused with an error and a line in the log, or the start refused with
a line that names the file: never a shorter or another log without a word. Last line: `N passed, M failed`.

usage: run.py [--seed N] [--seconds N | --all] [--only WORD] [--flips N] [--port N] [--keep]

Every file is deleted, emptied, cut in half, exchanged with another of its kind, and has the second half of what it holds zeroed;
every folder is deleted; bits are flipped at random places. Without --all as many of these cases as fit into the time are drawn
by the seed; --only takes those whose name holds WORD."""
import argparse
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "overload"))

from broker import ROOT, binary, free_port  # noqa: E402
from protocol import crc32c  # noqa: E402

PRODUCE, FETCH, OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, CREATE_TOPICS, INIT_PRODUCER, ALTER_CONFIGS = 0, 1, 8, 9, 10, 19, 22, 33
STORAGE_ERROR, CORRUPT_MESSAGE = 56, 2
COORDINATOR_ERRORS = (14, 15, 16)  # load in progress, not available, not coordinator
START_SECONDS = 30
# The kernel lets go of a killed process's listening socket a little after its end: the next start takes another port.
PORTS_EACH = 20
# What is served and damaged: one and two hold the same number of batches of the same sizes.
PARTITIONS = (("one", 0), ("two", 0), ("three", 0), ("three", 1))
GROUPS = ("readers", "others")
ROUNDS, BATCHES, RECORDS = 4, 3, 3
SEGMENT_MS = 60
# Changes of a topic, some 30 KB each, until there are two snapshots of the metadata and the log begins at the older one.
CHANGES_MAX = 200
TOPIC = 2
SETTINGS = ("posthaste.cores=1", "posthaste.journal.bytes=16777216", "posthaste.memory.bytes=268435456",
            "offsets.topic.num.partitions=2", "auto.create.topics.enable=false", "posthaste.pin.cores=false")


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes((value,))


def batch_of(values, producer, sequence):
    records = b""
    for index, value in enumerate(values):
        record = b"\0" + varint(0) + varint(index) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(record)) + record
    now = int(time.time() * 1000)
    rest = struct.pack(">hiqqqhii", 0, len(values) - 1, now, now, producer, 0, sequence, len(values)) + records
    return struct.pack(">qiibI", 0, 9 + len(rest), -1, 2, crc32c(rest)) + rest


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.stream = self.socket.makefile("rb")

    def ask(self, key, version, body):
        request = struct.pack(">hhih4s", key, version, 1, 4, b"test") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", self.stream.read(4))
        return self.stream.read(size)[4:]

    def create_topic(self, name, partitions):
        configs = string("segment.ms") + string(str(SEGMENT_MS))
        answer = self.ask(CREATE_TOPICS, 2, struct.pack(">i", 1) + string(name) + struct.pack(">ihii", partitions, 1, 0, 1) + configs
                          + struct.pack(">ib", 10_000, 0))
        (error,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(name))
        assert error == 0, f"CreateTopics {name}: {error}"

    def alter_topic(self, name, key, value):
        configs = string("segment.ms") + string(str(SEGMENT_MS)) + string(key) + string(value)
        answer = self.ask(ALTER_CONFIGS, 0, struct.pack(">ib", 1, TOPIC) + string(name) + struct.pack(">i", 2) + configs + b"\0")
        (error,) = struct.unpack_from(">h", answer, 4 + 4)
        assert error == 0, f"AlterConfigs {name}: {error}"

    def producer_id(self):
        answer = self.ask(INIT_PRODUCER, 0, struct.pack(">hi", -1, 1000))
        error, producer = struct.unpack_from(">hq", answer, 4)
        assert error == 0, f"InitProducerId: {error}"
        return producer

    def produce(self, topic, partition, batch):
        answer = self.ask(PRODUCE, 3, struct.pack(">hhi", -1, -1, 5000) + struct.pack(">i", 1) + string(topic)
                          + struct.pack(">iii", 1, partition, len(batch)) + batch)
        return struct.unpack_from(">hq", answer, 4 + 2 + len(topic) + 4 + 4)

    def fetch(self, topic, partition, offset):
        """(error, high watermark, bytes)"""
        answer = self.ask(FETCH, 4, struct.pack(">iiiibi", -1, 0, 0, 1 << 20, 0, 1) + string(topic)
                          + struct.pack(">iiqi", 1, partition, offset, 1 << 20))
        at = 4 + 4 + 2 + len(topic) + 4
        _, error, high_watermark, _, aborted = struct.unpack_from(">ihqqi", answer, at)
        at += 26 + max(aborted, 0) * 16
        (size,) = struct.unpack_from(">i", answer, at)
        return error, high_watermark, answer[at + 4:at + 4 + max(size, 0)]

    def commit(self, group, topic, partition, offset):
        answer = self.ask(OFFSET_COMMIT, 2, string(group) + struct.pack(">i", -1) + string("") + struct.pack(">qi", -1, 1) + string(topic)
                          + struct.pack(">iiq", 1, partition, offset) + string(""))
        return struct.unpack_from(">h", answer, len(answer) - 2)[0]

    def committed(self, group, topic, partition):
        """(error, offset)"""
        answer = self.ask(OFFSET_FETCH, 1, string(group) + struct.pack(">i", 1) + string(topic) + struct.pack(">ii", 1, partition))
        at = 4 + 2 + len(topic) + 4 + 4
        (offset, metadata) = struct.unpack_from(">qh", answer, at)
        return struct.unpack_from(">h", answer, at + 10 + max(metadata, 0))[0], offset


class Process:
    """One start of a broker on a folder. `ready` says whether it serves."""

    def __init__(self, folder, port, log):
        self.log_path, self.port = log, port
        command = [binary(), "serve", "--data", str(folder), "--listen", f"127.0.0.1:{port}"]
        for setting in SETTINGS:
            command += ["--override", setting]
        with open(log, "wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self.ready = self._wait()

    def _wait(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                    probe.sendall(bytes.fromhex("0000000e" "0012" "0000" "00000007" "0004") + b"test")
                    if len(probe.recv(4)) == 4:
                        return True
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"neither ready nor ended after {START_SECONDS} s")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def end(self, number=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)


class Acked:
    """What a broker has acknowledged: per partition {base offset: bytes from the length on}, per group the offset."""

    def __init__(self):
        self.batches = {place: {} for place in PARTITIONS}
        self.ends = dict.fromkeys(PARTITIONS, 0)
        self.groups = {}


def content(stored):
    """What of a batch must come back as it was sent: all but base offset and leader epoch."""
    return stored[8:12] + stored[16:]


def produce_round(client, acked, producer, sequences, number):
    for topic, partition in PARTITIONS:
        place = (topic, partition)
        for batch_number in range(BATCHES):
            values = [f"{topic:5} {partition} {number} {batch_number} {index} ".encode().ljust(500, b"v") for index in range(RECORDS)]
            batch = batch_of(values, producer, sequences[place])
            error, base = client.produce(topic, partition, batch)
            assert error == 0, f"Produce {topic}-{partition}: {error}"
            sequences[place] += RECORDS
            acked.batches[place][base] = content(batch)
            acked.ends[place] = base + RECORDS


def make_snapshots(client, folder):
    """Changes metadata until two snapshots of it are kept and a third has been, so that neither is the first."""
    seen = set()
    for number in range(CHANGES_MAX):
        client.alter_topic("one", "leader.replication.throttled.replicas", ",".join(f"{index}:{number}" for index in range(3000)))
        seen |= {path.name for path in (folder / "metadata-snapshots").glob("*.snapshot")}
        if len(seen) == 3:
            return
    raise AssertionError(f"{CHANGES_MAX} changes made {len(seen)} snapshots")


def make_image(folder, ports, killed):
    """A broker's folder after a clean stop or SIGKILL, and what it had acknowledged."""
    port = ports[0]
    acked, sequences = Acked(), dict.fromkeys(PARTITIONS, 0)
    broker = Process(folder, port, folder.with_suffix(".log"))
    assert broker.ready, broker.log()
    client = Client(port)
    for topic, partitions in (("one", 1), ("two", 1), ("three", 2)):
        client.create_topic(topic, partitions)
    make_snapshots(client, folder)
    producer = client.producer_id()
    for number in range(ROUNDS):
        produce_round(client, acked, producer, sequences, number)
        for group in GROUPS:
            client.ask(FIND_COORDINATOR, 0, string(group))
            end = time.monotonic() + 10
            while (error := client.commit(group, "one", 0, number + 1)) in COORDINATOR_ERRORS and time.monotonic() < end:
                time.sleep(0.02)
            assert error == 0, f"OffsetCommit: {error}"
            acked.groups[group] = number + 1
        time.sleep(SEGMENT_MS / 1000 * 1.5)  # the next append rolls
        if number == 0 and killed:  # a life before this one, so that not everything is in the journal
            broker.end(signal.SIGTERM)
            port = ports[1]
            broker = Process(folder, port, folder.with_suffix(".log"))
            assert broker.ready, broker.log()
            client = Client(port)
    if killed:
        produce_round(client, acked, producer, sequences, ROUNDS)
    broker.end(signal.SIGKILL if killed else signal.SIGTERM)
    return acked


def kind_of(path):
    return "wal" if path.suffix == ".wal" else path.suffix


def files_of(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and not path.name.endswith("lock"))


def write_over(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def apply(folder, action, path, extra):
    target = folder / path
    if action == "deleted":
        target.unlink()
    elif action == "emptied":
        os.truncate(target, 0)
    elif action == "cut":
        os.truncate(target, target.stat().st_size // 2)
    elif action == "zeroed":
        used = len(target.read_bytes().rstrip(b"\0"))  # what is reserved ahead is zero anyhow
        write_over(target, used // 2, bytes(used - used // 2))
    elif action == "exchanged":
        other, aside = folder / extra, target.with_suffix(".aside")
        target.rename(aside)
        other.rename(target)
        aside.rename(other)
    elif action == "flipped":
        with open(target, "r+b") as file:
            file.seek(extra // 8)
            byte = file.read(1)[0]
            file.seek(extra // 8)
            file.write(bytes((byte ^ 1 << extra % 8,)))
    elif action == "folder":
        shutil.rmtree(target)


def cases_of(name, folder, dice, flips):
    """(image, action, path, extra) of every kind of damage."""
    files = files_of(folder)
    cases = []
    for path in files:
        size = (folder / path).stat().st_size
        cases.append((name, "deleted", path, None))
        if size > 0:
            cases += [(name, action, path, None) for action in ("emptied", "cut", "zeroed")]
        others = [other for other in files if other != path and kind_of(other) == kind_of(path)]
        same_name = [other for other in others if other.name == path.name]
        for chosen in (others, same_name):
            if chosen:
                cases.append((name, "exchanged", path, dice.choice(chosen)))
    folders = sorted({path.parent for path in files if path.parent != pathlib.Path(".")} | ({pathlib.Path("journal")} if (folder / "journal").exists() else set()))
    cases += [(name, "folder", path, None) for path in folders]
    flippable = [path for path in files if (folder / path).stat().st_size > 0]
    for _ in range(flips):
        path = dice.choice(flippable)
        # Journals and segments are reserved ahead: the bytes that mean something come first.
        span = max(1, min((folder / path).stat().st_size, 64 << 10))
        cases.append((name, "flipped", path, dice.randrange(span * 8)))
    return cases


def named(broker, word):
    """Is the word in the broker's log? Lines are written behind its back: what was said a moment ago may not be there yet."""
    end = time.monotonic() + 1
    while word not in broker.log():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def judge_partition(client, broker, place, acked):
    """Reads all of a partition. Returns how many offsets were refused."""
    topic, partition = place
    batches, end = acked.batches[place], acked.ends[place]
    offset, refused = 0, 0
    while offset < end:
        error, high_watermark, data = client.fetch(topic, partition, offset)
        if error in (STORAGE_ERROR, CORRUPT_MESSAGE):
            following = min((base for base in batches if base > offset), default=end)
            refused += following - offset
            offset = following
            continue
        assert error == 0, f"{topic}-{partition} offset {offset}: error {error}"
        assert high_watermark >= end, f"{topic}-{partition}: ends at {high_watermark}, acknowledged up to {end}"
        assert data, f"{topic}-{partition}: nothing at {offset}, acknowledged up to {end}"
        at = 0
        while at + 12 <= len(data):
            base, length = struct.unpack_from(">qi", data, at)
            stored = data[at:at + 12 + length]
            if len(stored) < 12 + length:
                break
            if base < end:
                assert base == offset, f"{topic}-{partition}: {base} is served where {offset} stands"
                assert batches.get(base) == content(stored), f"{topic}-{partition}: offset {base} holds something else"
            offset = base + struct.unpack_from(">i", stored, 23)[0] + 1
            at += 12 + length
    if refused:
        assert named(broker, f"{topic}-{partition}"), f"{topic}-{partition}: refused without a line in the log"
    return refused


def judge_groups(client, broker, acked):
    refused = 0
    for group, offset in acked.groups.items():
        client.ask(FIND_COORDINATOR, 0, string(group))
        end = time.monotonic() + 1
        while True:
            error, committed = client.committed(group, "one", 0)
            if error == 0 or time.monotonic() > end:
                break
            if "group_load_failed" in broker.log():
                break
            time.sleep(0.02)
        if error != 0:
            assert named(broker, "__consumer_offsets"), f"group {group}: error {error} without a line in the log"
            refused += 1
            continue
        assert committed >= offset, f"group {group}: offset {committed}, {offset} was acknowledged"
    return refused


def judge_rest(client, path):
    """Partitions that have nothing to do with the damage take records."""
    whole = [place for place in PARTITIONS if f"{place[0]}-{place[1]}" not in map(str, path)]
    for topic, partition in whole:
        error, _ = client.produce(topic, partition, batch_of([b"more"], -1, -1))
        assert error == 0, f"{topic}-{partition} takes no record: error {error}"


def run_case(case, image, acked, base, ports):
    """Returns (what happened, what is wrong or nothing)."""
    name, action, path, extra = case
    folder = base / f"case-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["cp", "-r", "--sparse=always", "--reflink=auto", str(image), str(folder)], check=True)
    apply(folder, action, path, extra)
    broker = None
    try:
        for port in ports:
            broker = Process(folder, port, base / f"case-{os.getpid()}.log")
            if broker.ready or "is in use" not in broker.log():
                break
        if not broker.ready:
            log = broker.log()
            names = {path.name, *(part for part in path.parts)} | ({extra.name} if isinstance(extra, pathlib.Path) else set())
            said = [line for line in log.splitlines() if any(one in line for one in names)]
            if broker.process.returncode <= 0 or not said:
                return "refused", f"ended with {broker.process.returncode}, and no line names the file: {log[-600:]}"
            return "refused", None
        client = Client(broker.port)
        refused = sum(judge_partition(client, broker, place, acked) for place in PARTITIONS)
        refused += judge_groups(client, broker, acked)
        damaged = [part for one in (path, extra) if isinstance(one, pathlib.Path) for part in one.parts]
        judge_rest(client, damaged)
        if broker.process.poll() is not None:
            return "died", f"ended with {broker.process.returncode}: {broker.log()[-600:]}"
        return ("ranges refused" if refused else "whole"), None
    except (AssertionError, OSError, struct.error) as why:
        return "wrong", f"{why!r}\n{broker.log()[-1500:] if broker else ''}"
    finally:
        if broker is not None:
            broker.end()


def label(case):
    name, action, path, extra = case
    return f"{name}: {path} {action}" + ("" if extra is None else f" {'bit' if action == 'flipped' else 'with'} {extra}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--without", default="", help="WORD,WORD: no case whose path holds one of them")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    base = ROOT / "build/test-data/damage"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    first = arguments.port or free_port()
    workers = [range(first + i * PORTS_EACH, first + (i + 1) * PORTS_EACH) for i in range(os.cpu_count() or 1)]
    images, cases = {}, []
    for name, killed in (("stopped", False), ("killed", True)):
        images[name] = (base / name, make_image(base / name, workers[0], killed))
        cases += cases_of(name, base / name, dice, arguments.flips // 2)
    unwanted = [word for word in arguments.without.split(",") if word]
    cases = [case for case in cases if arguments.only in label(case) and not any(word in str(case[2]) for word in unwanted)]
    possible = len(cases)
    dice.shuffle(cases)
    print(f"seed {arguments.seed}: {possible} cases")
    end = float("inf") if arguments.all or arguments.only else time.monotonic() + arguments.seconds
    counts, failures = {}, []

    def work(ports):
        results = []
        while cases and time.monotonic() < end:
            case = cases.pop()
            image, acked = images[case[0]]
            turn = len(results) % len(ports)
            results.append((case, *run_case(case, image, acked, base / str(ports[0]), (*ports[turn:], *ports[:turn]))))
        return results

    for ports in workers:
        (base / str(ports[0])).mkdir()
    with concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
        for results in pool.map(work, workers):
            for case, what, wrong in results:
                counts[what] = counts.get(what, 0) + 1
                if wrong:
                    failures.append(case)
                    print(f"FAILED: {label(case)}\n{wrong}\n")
    done = sum(counts.values())
    print(f"{done} of {possible} cases: " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    for case in failures:
        print(f"failed: {label(case)}")
    if not failures and not arguments.keep:
        shutil.rmtree(base, ignore_errors=True)
    print(f"{done - len(failures)} passed, {len(failures)} failed")
    sys.exit(1 if failures or done == 0 else 0)


main()

"""Starts that cannot succeed, and signals at any moment: every start ends in "ready" or, within seconds, with one error line that
names the thing and an exit code that is not 0; a signal ends it in order at any time. Last line: `N passed, M failed`.

usage: starts.py [ROUNDS]        50 rounds of SIGTERM at random moments by default. Needs root, for the file systems it makes."""
import concurrent.futures
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

from broker import ROOT, binary  # noqa: E402
from checks import expect, expect_equal, finish, step, wait_until  # noqa: E402

BASE = ROOT / "build/test-data/starts"
SECONDS = 10
ROUNDS = 50
MOMENT_MILLISECONDS_MAX = 300
NOBODY = "65534"
LARGE_JOURNAL_BYTES = 16 * 10**9  # an eighth of it is made before the broker is ready, which takes seconds
LARGE_JOURNAL_STOP_SECONDS = 2
THREADS_OF_TWO_CORES = 9  # main, log, and of each core its own, a helper and one of the kernel's; and one to spare
ANY_PORT = "127.0.0.1:0"


class Start:
    """with Start(base, arguments...) as start: one process of `posthaste serve`, killed at the end. `data`: its folder, else one of its own."""

    def __init__(self, base, *arguments, properties=None, data=None, before=(), environment=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="start-", dir=base))
        self.command = [*before, binary(), "serve"]
        if properties is not None:
            (self.folder / "server.properties").write_text(properties)
            self.command.append(str(self.folder / "server.properties"))
        self.command += ["--data", str(data or self.folder / "data"), *arguments]
        self.environment = environment
        self.process = None

    def __enter__(self):
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env=self.environment)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def said(self):
        return (self.folder / "log").read_text(errors="replace")

    def settled(self):
        """True when it is ready, False when it ended. Fails when neither comes to pass in time."""
        wait_until(lambda: " ready partitions=" in self.said() or self.process.poll() is not None, SECONDS, f"neither ready nor over: {self.said()[-600:]}")
        return self.process.poll() is None

    def ready(self):
        """Waits; the line that says where it listens."""
        expect(self.settled(), f"it ended with {self.process.returncode}: {self.said()[-600:]}")
        return next(line for line in self.said().splitlines() if " listener " in line and "advertised" in line)

    def ended(self):
        wait_until(lambda: self.process.poll() is not None, SECONDS, f"it goes on: {self.said()[-600:]}")
        return self

    def send(self, number):
        self.process.send_signal(number)

    def errors(self):
        return [line for line in self.said().splitlines() if " error core=" in line or line.startswith(("posthaste: ", "error: "))]


def refused(start, *words):
    """It ended by itself, said why in one line, and that line names the thing."""
    expect(start.process.returncode > 0, f"it ended with {start.process.returncode}: {start.said()[-600:]}")
    expect_equal(len(start.errors()), 1, f"lines of errors in {start.said()[-900:]}")
    for word in words:
        expect(word in start.errors()[0], f"'{word}' is not in: {start.errors()[0]}")


def cannot_start(what, *words, **how):
    arguments = how.pop("arguments", ())
    with step(what), Start(BASE, "--listen", ANY_PORT, *arguments, **how) as start:
        refused(start.ended(), *words)


class Mount:
    """with Mount(kind, options, make): a small file system below BASE."""

    def __init__(self, kind, options="", make=None, mebibytes=64):
        self.kind, self.options, self.make, self.mebibytes = kind, options, make, mebibytes

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="mount-", dir=BASE))
        self.image = None
        source = "none"
        if self.make:
            self.image = self.path.with_suffix(".image")
            with open(self.image, "wb") as file:
                file.truncate(self.mebibytes << 20)
            subprocess.run([*self.make, str(self.image)], check=True, capture_output=True)
            source = str(self.image)
        options = ",".join(one for one in ("loop" if self.make else "", self.options) if one) or "defaults"
        subprocess.run(["mount", "-t", self.kind, "-o", options, source, str(self.path)], check=True)
        return self

    def __exit__(self, *_):
        # The kernel lets go of a ring's files some time after the process has ended.
        wait_until(lambda: subprocess.run(["umount", str(self.path)], capture_output=True, check=False).returncode == 0, SECONDS, f"umount {self.path}")
        if self.image:
            self.image.unlink()


EXT4 = ["mkfs.ext4", "-q", "-F"]


def on_bad_file_systems():
    # Block maps instead of extents: no fallocate.
    with Mount("ext4", make=[*EXT4, "-O", "^extent,^64bit"]) as mount:
        cannot_start("a file system without fallocate", str(mount.path), "fallocate", data=mount.path / "data")
    with Mount("tmpfs", options="size=12m") as mount:
        cannot_start("a file system that the journal does not fit on", "posthaste.journal.bytes", str(mount.path), data=mount.path / "data")
    with Mount("ext4", make=EXT4) as mount:
        subprocess.run(["fallocate", "-l", "45M", str(mount.path / "strangers-file")], check=True)
        cannot_start("a file system that is full", str(mount.path), "no space left", "free space", data=mount.path / "data")
        (mount.path / "strangers-file").unlink()
        with step("and when there is space again, the same folder starts"), Start(BASE, "--listen", ANY_PORT, data=mount.path / "data") as start:
            start.ready()
            start.send(signal.SIGTERM)
            expect_equal(start.ended().process.returncode, 0, "exit code")
        subprocess.run(["mount", "-o", "remount,ro", str(mount.path)], check=True)
        cannot_start("a file system that is read-only", str(mount.path), "permission denied", data=mount.path / "data")
        cannot_start("a new folder on a file system that is read-only", str(mount.path), "permission denied", data=mount.path / "new")


def where_no_folder_is():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "file").write_text("")
        (folder / "link").symlink_to(folder / "nowhere")
        cannot_start("a data folder that is a file", f"{folder}/file is a file", "--data", data=folder / "file")
        cannot_start("a data folder below a file", f"{folder}/file is a file", "--data", data=folder / "file" / "data")
        cannot_start("a data folder that is a link to nothing", f"{folder}/link is a link", "--data", data=folder / "link")


def partition_of_another_user(place, program, start_there):
    """A folder of a plain user that root has started once; then one whose owner is changed while it is served."""
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    folder = place / "mixed"
    folder.mkdir()

    def give(user, *paths):
        for path in paths:
            subprocess.run(["chown", "-R", f"{user}:{user}", str(path)], check=True)

    def cli(start, *arguments, stdin=b""):
        address = start.ready().split("PLAINTEXT://")[1].split()[0]
        return subprocess.run([binary(), *arguments, "-b", address], input=stdin, capture_output=True, check=False, timeout=SECONDS * 3)

    def nobodys():
        start = Start(BASE, "--listen", ANY_PORT, data=folder, before=as_nobody)
        start.command[start.command.index(binary())] = str(program)
        return start

    def stop(start):
        start.send(signal.SIGTERM)
        return start.ended().process.returncode

    with Start(BASE, "--listen", ANY_PORT, data=folder) as start:
        expect_equal(cli(start, "topic", "create", "byroot").returncode, 0, "topic create")
        expect_equal(cli(start, "produce", "byroot", stdin=b"1\n2\n3\n").returncode, 0, "produce")
        expect_equal(stop(start), 0, "exit code")
    give(NOBODY, folder)
    give(0, folder / "byroot-0")
    start_there("a partition's folder that root has made: the line names it, whose it is, and the remedy", str(folder / "byroot-0"), "user 0", "mode 0",
                "permission denied", "chown -R", data=folder)
    give(NOBODY, folder)
    with step("given back it starts; taken away while it is served: readers are told, the process lives, SIGTERM ends it, nothing acked is lost"):
        with nobodys() as start:
            expect_equal(cli(start, "topic", "create", "other").returncode, 0, "topic create")
            give(0, folder / "byroot-0")
            (folder / "byroot-0").chmod(0o700)
            begin = time.monotonic()
            read = cli(start, "consume", "byroot", "--from-beginning", "--exit", "--timeout", "2")
            expect(read.returncode == 1 and b"KAFKA_STORAGE_ERROR" in read.stderr, f"consume: {read}")
            expect(time.monotonic() - begin < SECONDS, "consume took longer than its --timeout allows")
            expect("chown -R" in start.said(), f"no remedy: {start.said()[-600:]}")
            cli(start, "produce", "byroot", "--timeout", "1", stdin=b"x\n")
            expect_equal(cli(start, "produce", "other", stdin=b"y\n").returncode, 0, "produce elsewhere")
            expect_equal(stop(start), 0, "exit code")
        give(NOBODY, folder)
        with nobodys() as start:
            expect_equal(cli(start, "consume", "byroot", "--from-beginning", "--exit").stdout.split()[:3], [b"1", b"2", b"3"], "records")
            expect_equal(cli(start, "consume", "other", "--from-beginning", "--exit").stdout, b"y\n", "records elsewhere")
            expect_equal(stop(start), 0, "exit code")


def without_permission():
    # The test's own folders may lie where nobody else can go.
    with tempfile.TemporaryDirectory(prefix="posthaste-starts-") as outside:
        place = pathlib.Path(outside)
        place.chmod(0o755)
        program = place / "posthaste"
        shutil.copy(binary(), program)
        closed = place / "closed"
        closed.mkdir(mode=0o700)
        as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

        def start_there(what, *words, data, before=as_nobody, arguments=()):
            with step(what):
                start = Start(BASE, "--listen", ANY_PORT, *arguments, data=data, before=before)
                start.command[start.command.index(binary())] = str(program)
                with start:
                    refused(start.ended(), *words)

        start_there("a folder of another user", str(closed), "permission denied", data=closed)
        start_there("a folder inside that of another user", str(closed), "permission denied", data=closed / "data")
        owned = place / "owned"
        owned.mkdir()
        with Start(BASE, "--listen", ANY_PORT, data=owned) as start:
            start.ready()
            start.send(signal.SIGTERM)
            start.ended()
        for path in [owned, *owned.rglob("*")]:
            os.chown(path, int(NOBODY), int(NOBODY))
        for name in ("broker.meta", "table-0.snap", "journal", "journal/s00", "journal/s00/00.wal"):
            os.chown(owned / name, 0, 0)
            (owned / name).chmod(0o700)
            start_there(f"{name} of another user", str(owned), "permission denied", data=owned)
            os.chown(owned / name, int(NOBODY), int(NOBODY))
        partition_of_another_user(place, program, start_there)
        # Root has no such limit.
        start_there("more cores than threads allowed", "ulimit -u", data=owned, before=("prlimit", "--nproc=2", *as_nobody),
                    arguments=("--override", "posthaste.cores=8"))
        with step(f"each number of threads up to {THREADS_OF_TWO_CORES}: the start is refused with the limit's name, or ready"):
            ready = [starts_with_threads(program, place, as_nobody, number) for number in range(1, THREADS_OF_TWO_CORES + 1)]
            expect(ready[-1] and not ready[0], f"ready with 1, 2, ... threads: {ready}")


def starts_with_threads(program, place, as_nobody, number):
    """Whether a broker of two cores is ready when its user may have `number` threads. If not, it must say that."""
    folder = place / f"threads-{number}"
    folder.mkdir()
    os.chown(folder, int(NOBODY), int(NOBODY))
    start = Start(BASE, "--listen", ANY_PORT, "--override", "posthaste.cores=2", data=folder, before=("prlimit", f"--nproc={number}", *as_nobody))
    start.command[start.command.index(binary())] = str(program)
    with start:
        if not start.settled():
            expect_equal(start.process.returncode, 2, f"{number} threads: exit code, {start.said()[-300:]}")
            refused(start, "ulimit -u", "TasksMax")
            return False
        start.send(signal.SIGTERM)
        expect_equal(start.ended().process.returncode, 0, f"{number} threads: exit code after SIGTERM")
        return True


def with_small_limits():
    cannot_start("files limited to a megabyte", "ulimit -f", before=("prlimit", f"--fsize={1 << 20}"))
    cannot_start("few open files allowed", "ulimit -n", before=("prlimit", "--nofile=64"))
    with step("little address space"), Start(BASE, "--listen", ANY_PORT, "--override", "posthaste.cores=1", before=("prlimit", f"--as={300 << 20}")) as start:
        refused(start.ended(), "posthaste.memory.bytes")


def with_absurd_numbers():
    values = ["-9223372036854775808", "-1", "0", "1", "65536", "2147483647", "9223372036854775807"]
    keys = ["posthaste.journal.bytes", "posthaste.memory.bytes", "posthaste.cores", "posthaste.journal.streams", "queued.max.request.bytes",
            "socket.request.max.bytes", "fetch.max.bytes", "max.connections", "max.incremental.fetch.session.cache.slots",
            "offsets.topic.num.partitions", "log.segment.bytes", "producer.id.expiration.ms"]

    def one(setting):
        with Start(BASE, "--listen", ANY_PORT, "--override", setting) as start:
            if start.settled():
                start.send(signal.SIGTERM)
                expect_equal(start.ended().process.returncode, 0, f"{setting}: exit code after SIGTERM")
            else:
                expect(start.process.returncode > 0, f"{setting}: it ended with {start.process.returncode}: {start.said()[-300:]}")
                expect(start.errors(), f"{setting}: no line says why: {start.said()[-300:]}")
            return len(start.errors())

    settings = [f"{key}={value}" for key in keys for value in values]
    with step(f"{len(settings)} settings with values that are absurd or nearly so: each start is ready or says why not"):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            said = list(pool.map(one, settings))
        print(f"       {sum(1 for lines in said if not lines)} became ready, {sum(1 for lines in said if lines)} were refused")
    cannot_start("a journal larger than the file system", "posthaste.journal.bytes=9000000000000000", arguments=("--override", "posthaste.journal.bytes=9000000000000000"))


@contextlib.contextmanager
def frozen(path):
    """Whoever writes to the file system at `path` waits."""
    subprocess.run(["fsfreeze", "-f", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", str(path)], check=True)


def with_signals(rounds):
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        with step(f"{number.name} is an orderly stop"), Start(BASE, "--listen", ANY_PORT) as start:
            start.ready()
            start.send(number)
            expect_equal(start.ended().process.returncode, 0, "exit code")
            expect(f"stopping signal={number.name}" in start.said() and start.said().endswith("stopped\n"), start.said()[-400:])
    with step("under nohup SIGHUP is nothing"), Start(BASE, "--listen", ANY_PORT, before=("nohup",)) as start:
        start.ready()
        start.send(signal.SIGHUP)
        time.sleep(0.3)
        expect(start.process.poll() is None, f"it ended: {start.said()[-300:]}")
        start.send(signal.SIGTERM)
        expect_equal(start.ended().process.returncode, 0, "exit code")
    with Mount("ext4", make=EXT4, mebibytes=256) as mount:
        with step("while a stop hangs, a second signal says what it waits for, a third ends the process"):
            with Start(BASE, "--listen", ANY_PORT, data=mount.path / "data") as start:
                start.ready()
                with frozen(mount.path):
                    start.send(signal.SIGTERM)
                    wait_until(lambda: "stopping signal=SIGTERM" in start.said(), SECONDS, "the first signal")
                    time.sleep(0.3)
                    expect(start.process.poll() is None, "the stop did not wait for its disk")
                    start.send(signal.SIGINT)
                    wait_until(lambda: "still_stopping signal=SIGINT waits_for=" in start.said(), SECONDS, "the second signal")
                    start.send(signal.SIGTERM)
                    wait_until(lambda: "ended at once by SIGTERM" in start.said(), SECONDS, "the third signal")
                expect_equal(start.ended().process.returncode, 76, "exit code")
            with Start(BASE, "--listen", ANY_PORT, data=mount.path / "data") as start:
                start.ready()
        with step("a stop that hangs ends with its time: what it waits for is said, and the folder starts again"):
            with Start(BASE, "--listen", ANY_PORT, "--override", "posthaste.stop.timeout.ms=500", data=mount.path / "data") as start:
                start.ready()
                with frozen(mount.path):
                    start.send(signal.SIGTERM)
                    wait_until(lambda: "ended after 500 ms (posthaste.stop.timeout.ms), still waiting for" in start.said(), SECONDS, "its end")
                expect_equal(start.ended().process.returncode, 0, "exit code")
            with Start(BASE, "--listen", ANY_PORT, data=mount.path / "data") as start:
                start.ready()
    with step("SIGTERM while a large journal is made: it is not waited for"):
        with Start(BASE, "--listen", ANY_PORT, "--override", f"posthaste.journal.bytes={LARGE_JOURNAL_BYTES}") as start:
            wait_until(lambda: (start.folder / "data/journal/s00/01.wal").exists(), SECONDS, "its second file")
            start.send(signal.SIGTERM)
            begin = time.monotonic()
            expect_equal(start.ended().process.returncode, 0, "exit code")
            took = time.monotonic() - begin
        expect(took < LARGE_JOURNAL_STOP_SECONDS, f"the stop took {took:.1f} s")
    seed = random.randrange(1 << 32)
    with step(f"SIGTERM {rounds} times at a random moment of a start, seed {seed}: a clean end, and the folder starts"):
        chance = random.Random(seed)
        moments = [chance.random() * MOMENT_MILLISECONDS_MAX / 1000 for _ in range(rounds)]
        places = [BASE / f"stopped-{place}" for place in range(3)]
        free, lock = list(places), threading.Lock()

        def one(moment):
            with lock:
                folder = free.pop()
            try:
                fresh = moment * 1000 % 3 < 1
                if fresh:
                    shutil.rmtree(folder, ignore_errors=True)
                with Start(BASE, "--listen", ANY_PORT, data=folder) as start:
                    time.sleep(moment)
                    start.send(signal.SIGTERM)
                    code = start.ended().process.returncode
                    # Before main() has begun nobody has said what the signal means.
                    expect(code == 0 or (code == -signal.SIGTERM and not start.said()), f"after {moment * 1000:.0f} ms: {code}: {start.said()[-500:]}")
                    expect(not start.errors(), f"after {moment * 1000:.0f} ms: {start.said()[-500:]}")
            finally:
                with lock:
                    free.append(folder)

        with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
            list(pool.map(one, moments))
        for folder in places:
            with Start(BASE, "--listen", ANY_PORT, data=folder) as start:
                start.ready()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    with Start(BASE, "--listen", ANY_PORT) as other:
        listening = other.ready()
        address = listening.split("PLAINTEXT://")[1].split()[0]
        with step("an address in use"), Start(BASE, "--listen", address) as start:
            refused(start.ended(), address, "is in use")
        with step("a data folder in use"), Start(BASE, "--listen", ANY_PORT, data=other.folder / "data") as start:
            refused(start.ended(), str(other.folder / "data"), "in use")
    on_bad_file_systems()
    where_no_folder_is()
    without_permission()
    with_small_limits()
    with_absurd_numbers()
    with_signals(rounds)
    shutil.rmtree(BASE, ignore_errors=True)
    finish()


if __name__ == "__main__":
    main()

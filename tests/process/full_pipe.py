"""The log of the broker is a full pipe whose reader lives and does not read. The broker serves all the same, and everything that ends
it ends it: a stop, a third signal, a fatal error, a start that is refused. Last line: `N passed, M failed`.

usage: full_pipe.py"""
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from broker import ROOT, answers_api_versions, binary, free_port  # noqa: E402
from checks import CheckFailed, expect, expect_equal, finish, step, wait_until  # noqa: E402

BASE = ROOT / "build/test-data/full-pipe"
END_SECONDS = 5
READY_SECONDS = 20
PIPE_BYTES = 4096


class Unread:
    """with Unread(folder) as broker: one `posthaste serve` that writes to a full pipe; killed at the end."""

    def __init__(self, folder, port=None):
        self.folder = folder
        self.port = port or free_port()

    def __enter__(self):
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.write(self.writer, b"x" * PIPE_BYTES)
        command = [binary(), "serve", "--data", str(self.folder), "--listen", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stdout=self.writer, stderr=self.writer, stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.reader)
        os.close(self.writer)

    def ready(self):
        wait_until(lambda: answers_api_versions("127.0.0.1", self.port), READY_SECONDS, "an answer")
        return self

    def send(self, *numbers):
        for number in numbers:
            self.process.send_signal(number)

    def ends_with(self, *codes):
        try:
            code = self.process.wait(END_SECONDS)
            expect(code in codes, f"exit code {code}, wanted {codes}")
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"it goes on after {END_SECONDS} s") from None


def main():
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    folder = BASE / "data"
    with step("SIGTERM stops it in order"), Unread(folder) as broker:
        broker.ready().send(signal.SIGTERM)
        broker.ends_with(0)
    with step("a third signal ends it at once"), Unread(folder) as broker:
        broker.ready()
        # Stopped, so that all are there before it acts on the first.
        broker.send(signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCONT)
        broker.ends_with(76)
    with step("a data folder that is removed ends it"), Unread(BASE / "removed") as broker:
        broker.ready()
        shutil.rmtree(broker.folder)
        broker.ends_with(75, 70)  # the watch sees it, or a write that is under way
    with step("a journal that cannot be written ends it"), Unread(BASE / "limited") as broker:
        broker.ready()
        subprocess.run(["prlimit", "--pid", str(broker.process.pid), "--fsize=4096:unlimited"], check=True)
        subprocess.run([binary(), "topic", "create", "one", "--timeout", "3", "-b", f"127.0.0.1:{broker.port}"], capture_output=True, check=False)
        broker.ends_with(70)
    with step("a start that is refused ends"), Unread(folder) as other:
        other.ready()
        with Unread(folder) as broker:
            broker.ends_with(2)
    with step("who starts to read again gets whole lines"), Unread(folder) as broker:
        broker.ready()
        os.set_blocking(broker.reader, False)
        said = b""

        def more():
            nonlocal said
            try:
                said += os.read(broker.reader, 1 << 16)
            except BlockingIOError:
                pass
            return b"ready partitions=" in said

        wait_until(more, END_SECONDS, "the line that it is ready")
        expect(b"machine kernel=" in said and b"dropped" not in said, said[-900:].decode(errors="replace"))
        broker.send(signal.SIGTERM)
        wait_until(lambda: more() and said.endswith(b"stopped\n"), END_SECONDS, "the last line")
        broker.ends_with(0)
    shutil.rmtree(BASE, ignore_errors=True)
    finish()


main()

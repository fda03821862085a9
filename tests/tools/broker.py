"""Starts, stops and kills a broker process for tests with real clients: a free loopback port, a data folder of its own
under build/, a log in build/logs/. It knows nothing of what a test asks the broker.

With POSTHASTE_TEST_BOOTSTRAP=HOST:PORT tests use the broker that runs there instead (to check a test against Apache Kafka);
tests that kill their broker do not."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# A broker that begins with SIGHUP ignored, as everything below nohup does, keeps it so: the tests may run below one.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_SECONDS = 20
STOP_SECONDS = 20


class BrokerError(Exception):
    pass


def free_port():
    """A loopback port that nothing listens on. Below the kernel's ephemeral range, so that no client socket takes it while
    the broker is down."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for attempt in range(200):
        port = low - 1 - (os.getpid() * 7 + attempt * 13) % 10000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise BrokerError("no free port")


def binary():
    return os.environ.get("POSTHASTE_BINARY", str(ROOT / "build/release/bin/posthaste"))


def answers_api_versions(host, port):
    """Does a broker answer an ApiVersions request there? A listening socket alone is not ready."""
    request = bytes.fromhex("0012" "0000" "00000007" "0004") + b"test"
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(len(request).to_bytes(4, "big") + request)
            answer = b""
            while len(answer) < 8:
                part = connection.recv(64)
                if not part:
                    return False
                answer += part
            return answer[4:8] == bytes.fromhex("00000007")
    except OSError:
        return False


class Broker:
    """with Broker("name") as broker: ... broker.bootstrap ... `overrides` are KEY=VALUE of the broker's configuration."""

    def __init__(self, name, overrides=(), folder=None):
        self.name = name
        self.overrides = list(overrides)
        self.external = os.environ.get("POSTHASTE_TEST_BOOTSTRAP")
        self.process = None
        self.starts = 0
        self.folder = folder
        self.port = None

    @property
    def bootstrap(self):
        return self.external or f"127.0.0.1:{self.port}"

    def __enter__(self):
        if self.external:
            return self
        if self.folder is None:
            (ROOT / "build/test-data").mkdir(parents=True, exist_ok=True)
            self.folder = tempfile.mkdtemp(prefix=self.name + "-", dir=ROOT / "build/test-data")
        self.port = free_port()
        self.start()
        return self

    def __exit__(self, kind, *_):
        if self.external:
            return
        self.kill()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"the data folder is kept: {self.folder}; the broker's log: {self.log_path}")
            print("\n".join(self.log_path.read_text(errors="replace").splitlines()[-30:]))

    @property
    def log_path(self):
        return ROOT / "build/logs" / f"{self.name}.broker.log"

    def start(self):
        """Starts the broker and waits until it answers. Returns the seconds that took."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        command = [binary(), "serve", "--data", str(self.folder), "--listen", f"127.0.0.1:{self.port}"]
        for override in self.overrides:
            command += ["--override", override]
        with open(self.log_path, "ab" if self.starts else "wb") as log:
            begin = time.monotonic()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.starts += 1
        while not answers_api_versions("127.0.0.1", self.port):
            if self.process.poll() is not None:
                raise BrokerError(f"the broker ended with {self.process.returncode}:\n" + self.log_path.read_text(errors="replace")[-2000:])
            if time.monotonic() - begin > READY_SECONDS:
                raise BrokerError(f"the broker did not answer within {READY_SECONDS} s")
            time.sleep(0.005)
        return time.monotonic() - begin

    def kill(self):
        """SIGKILL, and waits for the end. Fine when it has ended already."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self):
        """SIGTERM; fails when the broker does not end cleanly in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise BrokerError(f"SIGTERM did not end the broker within {STOP_SECONDS} s") from None
        if code != 0:
            raise BrokerError(f"after SIGTERM the broker ended with {code}")

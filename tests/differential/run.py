"""Starts Apache Kafka and Posthaste with the same settings and runs posthaste-differential against both; what it prints, its last line
`N passed, M failed` included, is this program's output.

usage: run.py [--spoilt] [ARGUMENT OF posthaste-differential]...
       run.py --keep      only the brokers, until Ctrl-C; prints their addresses

--spoilt: Posthaste takes no batch above 100 bytes, which must be found."""
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import apache_kafka  # noqa: E402
from broker import ROOT, Broker, BrokerError, answers_api_versions, free_port  # noqa: E402

DATA = ROOT / "build/test-data"
LOG = ROOT / "build/logs/differential.kafka.log"
READY_SECONDS = 90
STOP_SECONDS = 30
HEAP = "512m"
# Where the brokers would differ by their settings alone. Few partitions of __consumer_offsets: quick to load. Sessions of
# fetches that a sequence leaves are never pushed out.
SAME = {"offsets.topic.num.partitions": "4", "max.incremental.fetch.session.cache.slots": "100000", "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0", "log.retention.ms": "604800000"}


class Kafka:
    def __enter__(self):
        apache_kafka.fetch_jars()
        DATA.mkdir(parents=True, exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="differential-kafka-", dir=DATA))
        LOG.parent.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        properties = self.folder / "server.properties"
        with open(LOG, "wb") as log:
            apache_kafka.prepare(self.folder / "data", self.port, self.port - 1, properties, SAME, log)
            self.process = subprocess.Popen(apache_kafka.command(properties, HEAP), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        begin = time.monotonic()
        while not answers_api_versions("127.0.0.1", self.port):
            if self.process.poll() is not None or time.monotonic() - begin > READY_SECONDS:
                self.__exit__()
                raise BrokerError(f"Apache Kafka did not start: see {LOG}")
            time.sleep(0.1)
        print(f"Apache Kafka answers after {time.monotonic() - begin:.1f} s", flush=True)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    arguments = sys.argv[1:]
    overrides = [f"{key}={value}" for key, value in SAME.items()] + ["node.id=1"]
    if "--spoilt" in arguments:
        arguments.remove("--spoilt")
        overrides.append("message.max.bytes=100")
    with Kafka() as kafka, Broker("differential", overrides) as posthaste:
        brokers = ["--kafka", f"127.0.0.1:{kafka.port}", "--posthaste", posthaste.bootstrap]
        if arguments == ["--keep"]:
            print(" ".join(brokers), flush=True)
            signal.sigwait([signal.SIGINT, signal.SIGTERM])
            return 0
        begin = time.monotonic()
        done = subprocess.run([str(ROOT / "build/release/bin/posthaste-differential"), *brokers, *arguments])
        print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)
        return done.returncode


sys.exit(main())

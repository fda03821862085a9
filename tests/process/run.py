"""The broker as a process: how fast it is ready and how much memory it takes when idle, clean stops, restarts, a data folder in
use, a port in use, wrong configuration. Last line: `N passed, M failed`.

usage: run.py"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from broker import ROOT, Broker, binary, free_port  # noqa: E402
from checks import expect, expect_equal, finish, step  # noqa: E402

READY_MILLISECONDS = 100
# A start waits for some ten flushes of the disk, and other work on the machine only ever adds. So the fastest of several starts
# counts, and on a busy machine more of them are made until one is not disturbed.
STARTS_LEAST, STARTS_MOST = 5, 40
STOP_MILLISECONDS = 1000
IDLE_MIB = 128
TIMEOUT_SECONDS = 30


# The keys that are found in the files of others, with values of our own: name, text, whether it starts, what is said of it.
STRANGERS = [
    ("kafka-combined", "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n"
     "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nadvertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
     "controller.listener.names=CONTROLLER\nlistener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
     "num.network.threads=3\nlog.dirs=/tmp/stranger\n", True, ["one thread per core", "would start"]),
    ("kafka-controller", "process.roles=controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"
     "listener.security.protocol.map=CONTROLLER:PLAINTEXT\nlisteners=CONTROLLER://:9093\n", False, ["must hold broker", "would not start"]),
    ("compose", "node.id=0\nprocess.roles=controller,broker\ncontroller.quorum.voters=0@kafka:9093\n"
     "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nlistener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
     "controller.listener.names=CONTROLLER\nadvertised.host.name=localhost\nport.9092.tcp.proto=tcp\nmax.request.size=1048576\n"
     "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\nzookeeper.metadata.migration.enable=false\n", True,
     ["set advertised.listeners", "unknown, ignored", "have no ZooKeeper"]),
    ("vendor", "broker.id=2\nlisteners=PLAINTEXT://:9092\nlog.dirs=/tmp/stranger\nconfluent.license.topic.replication.factor=1\n"
     "confluent.metrics.reporter.sasl.jaas.config=hunter2\nmetric.reporters=io.example.Reporter\nldap.user.name.attribute=name\n"
     "zookeeper.connect=a:2181\nzookeeper.connection.timeout.ms=18000\nsuper.users=User:admin\n"
     "listener.name.plaintext.gssapi.sasl.jaas.config=hunter2\n", True, ["another vendor's broker", "an authorizer reads it"]),
    ("vendor-secured", "broker.id=2\nlisteners=INTERNAL://:9092\nlistener.security.protocol.map=INTERNAL:SASL_SSL\n"
     "authorizer.class.name=io.example.Authorizer\nssl.keystore.password=hunter2\n", False,
     ["PLAINTEXT only", "access control comes with a later version"]),
    ("operator", "node.id=0\nprocess.roles=broker\nconfig.providers=strimzienv\nconfig.providers.strimzienv.class=io.example.Provider\n"
     "listeners=PLAIN-9092://:9092\nlistener.security.protocol.map=PLAIN-9092:PLAINTEXT\nadvertised.listeners=PLAIN-9092://broker:9092\n"
     "inter.broker.listener.name=PLAIN-9092\n", False, ["values from providers are not filled in"]),
    ("cluster", "process.roles=broker,controller\nnode.id=1\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
     "controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@a:9093,2@b:9093,3@c:9093\n", False,
     ["names 3 voters", "to start it alone", "would not start"]),
    ("slips", "num.partition=3\nlog_retention_hours=5\nretention.ms=7\nlog.retention.ms=0\n", False,
     ["did you mean num.partitions?", "did you mean log.retention.hours?", "the broker's is log.retention.ms", "-1 (no limit) or 1 or more"]),
]


def serve(*arguments, **options):
    """Runs `posthaste serve` that is expected to end by itself."""
    return subprocess.run([binary(), "serve", *arguments], text=True, capture_output=True, timeout=TIMEOUT_SECONDS, check=False, **options)


def config_check(*arguments):
    return subprocess.run([binary(), "config", "check", *arguments], text=True, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)


def refused(done, *words):
    expect(done.returncode > 0, f"it ended with {done.returncode}: {done.stderr[-500:]}")
    said = done.stderr + done.stdout
    for word in words:
        expect(word in said, f"'{word}' is not in: {said[-500:]}")


def cli(broker, *arguments, stdin=""):
    return subprocess.run([binary(), *arguments, "--bootstrap-server", broker.bootstrap], input=stdin, text=True, capture_output=True,
                          timeout=TIMEOUT_SECONDS, check=True).stdout


def described(broker, topic):
    return json.loads(cli(broker, "topic", "describe", topic, "--json"))[0]


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no Rss")


def on_one_folder(folder):
    with Broker("process", folder=folder) as broker:
        with step("a second process on the same data folder is refused"):
            refused(serve("--data", str(folder), "--listen", f"127.0.0.1:{free_port()}"), str(folder))
        with step("a port in use is named"):
            refused(serve("--data", str(folder) + "-other", "--listen", broker.bootstrap), str(broker.port))
        with step("records, groups and the cluster's id survive a clean stop"):
            cli(broker, "topic", "create", "kept", "-p", "2")
            cli(broker, "produce", "kept", stdin="".join(f"{number}\n" for number in range(100)))
            cli(broker, "consume", "kept", "-g", "readers", "--from-beginning", "-n", "60")
            before = described(broker, "kept")
            broker.stop()
            broker.start()
            after = described(broker, "kept")
            # A leader that was restarted leads in a later epoch; all else is as it was.
            epochs = [[one.pop("leader_epoch") for one in topic["partitions"]] for topic in (before, after)]
            expect(all(old < new for old, new in zip(*epochs)), f"leader epochs {epochs}")
            expect_equal(after, before, "the topic")
            rest = cli(broker, "consume", "kept", "-g", "readers", "--from-beginning", "--exit").split()
            expect_equal(len(rest), 40, "records left for the group")
            expect_equal(sorted(map(int, cli(broker, "consume", "kept", "--from-beginning", "--exit").split())), list(range(100)), "records")
        with step("SIGTERM while clients are connected"):
            member = subprocess.Popen([binary(), "consume", "kept", "-g", "readers", "--bootstrap-server", broker.bootstrap], stdout=subprocess.DEVNULL)
            try:
                broker.stop()
                broker.start()
            finally:
                member.terminate()
                member.wait(TIMEOUT_SECONDS)
        with step("a third signal ends it at once"):
            broker.process.send_signal(signal.SIGSTOP)  # so that all are there before it acts on the first
            broker.process.send_signal(signal.SIGTERM)
            broker.process.send_signal(signal.SIGINT)
            broker.process.send_signal(signal.SIGHUP)
            broker.process.send_signal(signal.SIGCONT)
            expect_equal(broker.process.wait(TIMEOUT_SECONDS), 76, "exit code")
            broker.start()
        with step("a data folder that is removed while it is served ends the process"):
            moved = folder.with_name(folder.name + "-moved")
            folder.rename(moved)
            expect_equal(broker.process.wait(TIMEOUT_SECONDS), 75, "exit code")
            expect(str(folder) in broker.log_path.read_text(), "the folder is not named")
            moved.rename(folder)
            broker.start()
        with step("SIGKILL and restart"):
            broker.kill()
            broker.start()
            expect_equal(len(cli(broker, "consume", "kept", "--from-beginning", "--exit").split()), 100, "records")


def main():
    base = ROOT / "build/test-data/process"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)

    with step(f"ready in under {READY_MILLISECONDS} ms with an empty folder, in under {IDLE_MIB} MiB"):
        first, stops, second, sizes = [], [], [], []
        with Broker("process-start", folder=base / "empty") as broker:
            while len(first) < STARTS_LEAST or (min(first) >= READY_MILLISECONDS and len(first) < STARTS_MOST):
                broker.stop()
                shutil.rmtree(broker.folder)
                first.append(broker.start() * 1000)
                sizes.append(resident_mib(broker.process.pid))
                # The journal's other files are being made now: a stop must not wait for all of them.
                begin = time.monotonic()
                broker.stop()
                stops.append((time.monotonic() - begin) * 1000)
                second.append(broker.start() * 1000)
        for what, times in ("an empty folder", first), ("a folder that was used", second):
            print(f"       ready with {what} after {min(times):.0f} ms at best, {sorted(times)[len(times) // 2]:.0f} ms as a rule")
        print(f"       stopped at once after {min(stops):.0f} ms at best; idle {max(sizes):.0f} MiB")
        expect(max(sizes) < IDLE_MIB, f"idle memory is {max(sizes):.0f} MiB")
        expect(min(first) < READY_MILLISECONDS, f"the fastest of {len(first)} starts took {min(first):.0f} ms")
        expect(min(stops) < STOP_MILLISECONDS, f"the fastest stop after a start took {min(stops):.0f} ms")

    on_one_folder(base / "one")

    with step("configuration mistakes are refused, with what would be right"):
        refused(serve("--data", str(base / "none"), "--override", "num.partition=3"), "num.partitions")
        refused(serve("--data", str(base / "none"), "--override", "num.partitions=0"), "1 to 2147483647")
        refused(serve(str(base / "no.properties")), "no.properties")
        expect(not (base / "none").exists(), "it made a data folder")
    with step("values that are no values are refused, not taken for a default or the nearest one"):
        refused(serve("--data", "", cwd=base), "--data", "names no folder")
        refused(serve("--listen", "", "--data", str(base / "none")), "--listen", "HOST:PORT")
        for arguments, word in ((["topic", "list", "--timeout", "nan"], "nan"), (["topic", "list", "--timeout", "0"], "86400"),
                                (["consume", "one", "-n", str(1 << 64)], str(1 << 64)), (["consume", "one", "-n", "-1"], "-1")):
            done = subprocess.run([binary(), *arguments], text=True, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
            expect_equal(done.returncode, 2, f"{arguments}: exit code")
            refused(done, word)
    with step("strangers' files: what starts, what does not, and each line is explained"):
        for name, text, starts, words in STRANGERS:
            file = base / f"{name}.properties"
            file.write_text(text)
            checked = config_check(str(file))
            expect_equal(checked.returncode, 0 if starts else 1, f"{name}: exit code\n{checked.stdout}{checked.stderr}")
            told = json.loads(config_check("--json", str(file)).stdout)
            expect_equal(told["would_start"], starts, f"{name} in JSON")
            expect_equal(len(told["settings"]), text.count("\n"), f"{name}: lines explained")
            for word in words:
                expect(word in checked.stdout, f"{name}: '{word}' is not in\n{checked.stdout}")
            expect("hunter2" not in checked.stdout, f"{name}: a password is printed")
            served = serve(str(file), "--print-config")
            expect_equal(served.returncode, 0 if starts else 2, f"{name}: serve\n{served.stderr}")
    with step("a data folder that cannot be made or written is named"):
        (base / "file").write_text("not a folder")
        refused(serve("--data", str(base / "file" / "data"), "--listen", f"127.0.0.1:{free_port()}"), str(base / "file"))
    with step("a properties file"):
        properties = base / "server.properties"
        port = free_port()
        properties.write_text(f"# ours\nlog.dirs={base / 'from-file'}\nlisteners=PLAINTEXT://127.0.0.1:{port}\nnum.partitions = 4\n")
        shown = serve(str(properties), "--print-config", "--override", "num.partitions=5")
        expect_equal(shown.returncode, 0, "exit code")
        expect("\nnum.partitions=5\n" in shown.stdout and "# log.segment.bytes=1073741824\n" in shown.stdout, shown.stdout[:300])
    os.sync()
    shutil.rmtree(base, ignore_errors=True)
    finish()


main()

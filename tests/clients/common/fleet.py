"""Runs test programs side by side against one broker, each with topics and groups of its own: the scenario with several clients,
and whatever else a suite has. Each program ends with a line `N passed, M failed`, and so does this."""
import json
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from broker import Broker  # noqa: E402

SCENARIO = pathlib.Path(__file__).with_name("scenario.py")


def scenario(name, adapter, environment=None):
    """The program that runs the scenario with one client: `adapter` is the command of its adapter, `environment` is added to it."""
    return name, lambda bootstrap: [sys.executable, str(SCENARIO), name, bootstrap, json.dumps(environment or {}), *adapter]


class Run(threading.Thread):
    def __init__(self, name, command):
        super().__init__()
        self.name, self.lines, self.begin, self.seconds = name, [], time.monotonic(), 0.0
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self):
        for line in self.process.stdout:
            self.lines.append(line)
            print(re.sub(r"^(ok    |FAILED|-     ) ", rf"\1 {self.name}: ", re.sub(r"^(\d+ passed, )", r"       \1", line)), end="", flush=True)
        self.process.wait()
        self.seconds = time.monotonic() - self.begin

    def counts(self):
        result = re.fullmatch(r"(\d+) passed, (\d+) failed\n", self.lines[-1]) if self.lines else None
        passed, failed = (int(result.group(1)), int(result.group(2))) if result else (0, 1)
        return passed, max(failed, int(self.process.returncode != 0))


def side_by_side(suite, programs):
    """`programs`: (name, function from the broker's address to a command). Ends the program."""
    passed = failed = 0
    with Broker(suite) as broker:
        runs = [Run(name, command(broker.bootstrap)) for name, command in programs]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        for run in runs:
            good, bad = run.counts()
            print(f"{run.name}: {good} passed, {bad} failed, {run.seconds:.0f} s")
            passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)

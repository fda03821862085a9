"""Runs the guide scenario with each pinned version of kafka-python: a virtual environment per version (kept in build/venvs), a
fresh broker per version. Last line: `N passed, M failed`.

usage: run.py      (POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from broker import Broker  # noqa: E402
from venvs import python_with  # noqa: E402

VERSIONS = ("3.0.12", "2.0.2")  # the newest, and the old one that many installations still have


def main():
    passed = failed = 0
    for version in VERSIONS:
        python = python_with(f"kafka-python=={version}")
        with Broker(f"clients-python-{version}") as broker:
            scenario = pathlib.Path(__file__).with_name("scenario.py")
            lines = []
            with subprocess.Popen([python, "-W", "ignore::DeprecationWarning", str(scenario), broker.bootstrap], stdout=subprocess.PIPE, text=True) as process:
                for line in process.stdout:
                    print(line, end="", flush=True)
                    lines.append(line)
            result = next((re.fullmatch(r"(\d+) passed, (\d+) failed\n", line) for line in reversed(lines) if "passed" in line), None)
            good, bad = (int(result.group(1)), int(result.group(2))) if result else (0, 1)
            passed, failed = passed + good, failed + max(bad, int(process.returncode != 0))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())

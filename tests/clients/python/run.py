"""Runs the guide scenario with each pinned version of kafka-python, and with the newest what administrators do and the example
of README.md: a virtual environment per version (kept in build/venvs), a fresh broker per run. Last line: `N passed, M failed`.

usage: run.py [all|guide]      guide: the scenario with the newest version only
(POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from broker import Broker  # noqa: E402
from venvs import python_with  # noqa: E402

VERSIONS = ("3.0.12", "2.0.2")  # the newest, and the old one that many installations still have


def run(version, program):
    """Runs one program against a broker of its own. Returns how many checks passed and failed."""
    python = python_with(f"kafka-python=={version}")
    script = pathlib.Path(__file__).with_name(program)
    with Broker(f"clients-python-{script.stem}-{version}") as broker:
        lines = []
        with subprocess.Popen([python, "-W", "ignore::DeprecationWarning", str(script), broker.bootstrap], stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line)
        result = next((re.fullmatch(r"(\d+) passed, (\d+) failed\n", line) for line in reversed(lines) if "passed" in line), None)
        good, bad = (int(result.group(1)), int(result.group(2))) if result else (0, 1)
        return good, max(bad, int(process.returncode != 0))


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else "all"
    if what not in ("all", "guide"):
        sys.exit(f"not known: {what}; all or guide")
    passed = failed = 0
    programs = [(VERSIONS[0], "scenario.py")]
    if what == "all":
        programs += [(version, "scenario.py") for version in VERSIONS[1:]] + [(VERSIONS[0], program) for program in ("admin.py", "readme.py")]
    for version, program in programs:
        good, bad = run(version, program)
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())

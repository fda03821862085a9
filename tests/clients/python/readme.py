"""Runs the guide of README.md from top to bottom, word for word but for the broker's address: what a newcomer pastes must work, also
twice: the Python example, and the commands after it.

usage: readme.py BOOTSTRAP"""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from checks import expect, expect_equal, finish, step  # noqa: E402

README = pathlib.Path(__file__).resolve().parents[3] / "README.md"
ADDRESS = "127.0.0.1:9092"
TIMEOUT_SECONDS = 60


def example(bootstrap):
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.M | re.S)
    expect_equal(code.count(ADDRESS), 2, "addresses in the example")
    return code.replace(ADDRESS, bootstrap)


def commands(bootstrap):
    """The block of commands that follows the example; each is told where the broker is, as a newcomer's default already says."""
    (block,) = re.findall(r"^```\n(build/release/bin/posthaste .*?)^```$", README.read_text(), re.M | re.S)
    return [re.sub(r"posthaste (topic \w+|group \w+|produce|consume)", rf"posthaste \1 --bootstrap-server {bootstrap}", line) for line in block.splitlines()]


def run(command, **how):
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, **how)
    expect_equal(done.returncode, 0, f"exit code of {command} ({done.stdout[-300:]}{done.stderr[-500:]})")
    return done.stdout


def main():
    bootstrap = sys.argv[1]
    for round_ in range(2):
        with step(f"the example of README.md prints the ten orders that it sent, run {round_ + 1}"):
            wanted = [f"0 {round_ * 10 + n} b'table-{n % 3}' {{'order': {n}, 'dish': 'ramen'}}" for n in range(10)]
            expect_equal(run([sys.executable, "-c", example(bootstrap)]).splitlines(), wanted, "output")
    with step("the commands that follow it work, in their order"):
        said = "".join(run(line, shell=True, cwd=README.parent) for line in commands(bootstrap))
        for word in ("payments", '"paid": 12.5', "kitchen"):
            expect(word in said, f"{word} is not in: {said}")
    finish()


main()

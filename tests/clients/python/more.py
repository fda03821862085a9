"""The scenario of tests/clients/common/ with the Python clients, side by side. Last line: `N passed, M failed`.

usage: more.py      (POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "common"), str(HERE.parents[1] / "tools")]

from fleet import scenario, side_by_side  # noqa: E402
from venvs import python_with  # noqa: E402

CLIENTS = {  # adapter -> packages: the client and what it compresses with
    "kafka_python": ["kafka-python==3.0.12", "crc32c==2.9.post0", "lz4==4.4.5", "python-snappy==0.7.3", "zstandard==0.25.0"],
    "confluent_kafka": ["confluent-kafka==2.16.1"],
    "aiokafka": ["aiokafka==0.14.0", "cramjam==2.11.0"],
}

side_by_side("clients-python-more", [scenario(name.replace("_", "-"), [python_with(*packages), str(HERE / f"{name}_adapter.py")]) for name, packages in CLIENTS.items()])

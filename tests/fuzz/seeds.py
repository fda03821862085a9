"""Makes the seeds that fuzzing starts from, out of the vectors that Kafka's own library made: one folder per target.

usage: seeds.py FOLDER"""
import pathlib
import random
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MADE_SEEDS = 3  # per API and version: choices by which a target makes a valid message
CONTROL_RECORDS = {"leader_change": 2, "snapshot_header": 3, "snapshot_footer": 4, "kraft_version": 5, "voters": 6}
RANDOM_SEEDS = 60  # for targets whose formats have no vectors


class Seeds:
    def __init__(self, folder):
        self.folder = folder
        self.count = {}

    def add(self, target, *parts):
        number = self.count[target] = self.count.get(target, 0) + 1
        path = self.folder / target / f"{number:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(parts))


def wire(seeds, source):
    headers = {}
    for line in (ROOT / "net/kafka/testdata/vectors.txt").read_text().splitlines():
        key, version, kind, variant, *rest = line.split()
        key, version, body = int(key), int(version), bytes.fromhex(rest[0] if rest else "")
        if kind == "request_header":
            headers[key, version] = body
        elif kind in ("subscription", "assignment"):
            seeds.add("frame", version.to_bytes(2, "big"), body)
        elif kind in ("request", "response"):
            seeds.add(kind, bytes([key, version]), body)
            if kind == "request":
                seeds.add("frame", headers[key, version], body)
            if variant == "full":
                for _ in range(MADE_SEEDS):
                    seeds.add(kind, bytes([key, 128 + version]), source.randbytes(200))
        elif kind == "response_header":
            seeds.add("frame", body)
        elif kind in CONTROL_RECORDS:
            seeds.add("frame", bytes([CONTROL_RECORDS[kind]]), body)


def batches(seeds):
    for line in (ROOT / "storage/testdata/record_batches.inc").read_text().splitlines():
        if line.startswith("bytes "):
            batch = bytes.fromhex(line.split()[1])
            for mode in range(3):
                seeds.add("record-batch", bytes([mode]), batch)
            seeds.add("record-batch", bytes([1]), batch, batch)


def main():
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    seeds = Seeds(folder)
    source = random.Random(1)
    wire(seeds, source)
    batches(seeds)
    for target in ("journal", "table", "recovery", "broker-records"):
        for number in range(RANDOM_SEEDS):
            seeds.add(target, bytes([number % 8]), source.randbytes(source.randrange(200)))
    print(", ".join(f"{target} {count}" for target, count in sorted(seeds.count.items())))


main()

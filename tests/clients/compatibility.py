"""Writes the generated part of docs/compatibility.md: the versions of each API that a running broker lists, and what each client
library could do in the last run of its suite (build/clients/NAME.json, left by tests/clients/common/scenario.py). What stands outside
the two marker lines is written by hand and stays.

usage: compatibility.py            rewrites the document
       compatibility.py --check    fails when the document is not what the runs give; the last line is `N passed, M failed`"""
import difflib
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools")]

import wire  # noqa: E402
from broker import ROOT, Broker  # noqa: E402
from checks import CheckFailed, expect, finish, step  # noqa: E402

DOCUMENT = ROOT / "docs/compatibility.md"
BEGIN, END = "<!-- begin: written by tests/clients/compatibility.py -->", "<!-- end -->"
CLIENTS = ("java", "kafka-python", "confluent-kafka", "aiokafka", "kafkajs", "confluent-kafka-javascript", "franz-go", "sarama", "kafka-go")
SHOWN = {"ok": "yes", "failed": "FAILED", "not offered": "-"}


def table(header, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def api_table():
    """Names are those of net/kafka/api_keys.h; the versions are what the broker answers."""
    names = {int(key): name for name, key in re.findall(r"^  k(\w+) = (\d+),$", (ROOT / "net/kafka/api_keys.h").read_text(), re.M)}
    with Broker("compatibility") as broker:
        versions = wire.api_versions(broker.bootstrap)
    expect(versions, "the broker lists nothing")
    return table(["API", "key", "versions"], [[names[key], str(key), str(least) if least == greatest else f"{least}-{greatest}"]
                                              for key, (least, greatest) in sorted(versions.items())])


def client_table():
    runs = []
    for name in CLIENTS:
        report = ROOT / "build/clients" / f"{name}.json"
        if not report.is_file():
            raise CheckFailed(f"{report.name} is missing: its suite has not run (./test full clients)")
        runs.append(json.loads(report.read_text()))
    features = list(dict.fromkeys(feature for run in runs for feature in run["features"]))
    rows = [[feature, *(SHOWN[run["features"][feature]] if feature in run["features"] else "not run" for run in runs)] for feature in features]
    return table(["", *(f"{run['client']} {run['version']}" for run in runs)], rows)


def generated():
    return f"""{BEGIN}

## Requests

What a running broker answers to ApiVersions:

{api_table()}

## Clients

What each library did in `tests/clients/common/scenario.py`, unmodified; `-`: the library does not offer it.

{client_table()}

{END}"""


def renewed(text):
    expect(text.count(BEGIN) == 1 and text.count(END) == 1 and text.index(BEGIN) < text.index(END), "the marker lines are not there once each")
    return text[:text.index(BEGIN)] + generated() + text[text.index(END) + len(END):]


def main():
    text = DOCUMENT.read_text()
    if sys.argv[1:] != ["--check"]:
        DOCUMENT.write_text(renewed(text))
        return
    with step("docs/compatibility.md is what the runs give"):
        wanted = renewed(text)
        difference = "\n".join(difflib.unified_diff(text.splitlines(), wanted.splitlines(), "docs/compatibility.md", "the runs", lineterm="", n=0))
        expect(text == wanted, f"python3 tests/clients/compatibility.py rewrites it:\n{difference}")
    finish()


main()

"""What the adapters of the Python clients share (tests/clients/common/worker.py says what an adapter is): reading what is asked
and writing answers. It knows no client."""
import base64
import json
import os
import signal
import struct
import sys
import traceback

HEARTBEAT_MS = int(os.environ.get("HEARTBEAT_MS", "500"))
DEADLINE_SECONDS = 30  # for one thing that is asked; the scenario gives up a little later


class NotOffered(Exception):
    pass


def encoded(data):
    return None if data is None else base64.b64encode(data).decode()


def decoded(text):
    return None if text is None else base64.b64decode(text)


def write(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve(name, version, methods, run=lambda result: result):
    """Answers until standard input ends. `methods` has a method per thing that can be asked; `run` turns what a method returns
    into its result (for coroutines)."""
    write({"client": name, "version": version})
    for line in sys.stdin:
        arguments = json.loads(line)
        method = getattr(methods, arguments.pop("do"), None)
        try:
            if method is None:
                raise NotOffered("no such function")
            write({"result": run(method(**arguments))})
        except NotOffered as why:
            write({"not_offered": str(why)})
        except Exception as error:  # whatever it is: the scenario judges
            traceback.print_exc()
            write({"error": repr(error)})


def stored(offset, key, value, headers, timestamp):
    """A consumed record as the scenario wants it."""
    return {"offset": offset, "key": encoded(key), "value": encoded(value), "headers": [[name, encoded(data)] for name, data in headers or []], "timestamp": timestamp}


def report_record(partition, offset, key, value):
    write({"event": "record", "partition": partition, "offset": offset, "key": encoded(key), "value": encoded(value)})


def report_committed(next_offsets):
    write({"event": "committed", "next": next_offsets})


def until_terminated():
    """A list that is empty once SIGTERM has come."""
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    return running


def assigned(member_assignment):
    """The partitions in the assignment of a member, as bytes of the consumer protocol: version, topics, partitions."""
    if not member_assignment:
        return []
    (topics,), at, partitions = struct.unpack_from(">i", member_assignment, 2), 6, []
    for _ in range(topics):
        (size,) = struct.unpack_from(">h", member_assignment, at)
        (count,) = struct.unpack_from(">i", member_assignment, at + 2 + size)
        partitions += struct.unpack_from(f">{count}i", member_assignment, at + 6 + size)
        at += 6 + size + 4 * count
    return partitions

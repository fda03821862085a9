"""Client libraries as processes: a worker does what the scenario asks, a member is one consumer of a group and can be
killed. Each library has a small program (an adapter) that is both, in its own language; this file starts them and reads what
they write. It asserts nothing.

An adapter is started as `ADAPTER BOOTSTRAP` (a worker) or `ADAPTER BOOTSTRAP member TOPIC GROUP SESSION_MS NAME`.

A worker first writes {"client": NAME, "version": VERSION, "lacks": {STEP OF THE SCENARIO: WHY}}, then reads one JSON object a line, {"do": WHAT, ...}, and answers
each with one line: {"result": ...}, {"error": TEXT} or {"not_offered": WHY}. Keys, values and values of headers are base64 or
null. What it is asked:

  create_topic   topic, partitions, configs {key: value}          -> null
  list_topics                                                     -> [name]
  describe_topic topic                                            -> {partition: leader}
  delete_topic   topic                                            -> null
  add_partitions topic, total                                     -> null
  configs        topic                                            -> {key: value}
  alter_config   topic, key, value                                -> null     (no other key of the topic changes)
  produce        topic, codec, idempotent, records                -> [[partition, offset]], in the order of `records`
                 a record: partition (or null: by its key), key, value, headers [[name, value]], timestamp (ms)
  consume        topic, partition, offset, count                  -> [{offset, key, value, headers, timestamp}]
  offset         topic, partition, at ("earliest", "latest", ms)  -> offset
  delete_records topic, partition, offset                         -> null
  list_groups                                                     -> [group]
  describe_group group                                            -> {state, members: [[partition]]} (of each member its partitions)
  committed      group, topic                                     -> {partition: next offset}
  delete_group   group                                            -> null

A member joins the group, reads from the committed offsets (at first from the start), commits after each lot what it has
written, and writes {"event": "record", "partition", "offset", "key", "value"} and, when a commit has succeeded,
{"event": "committed", "next": {partition: offset}}; "sure" in it is what the member does not read again, if that is less. A commit that a rebalance refuses is {"event": "commit failed"}. SIGTERM makes
it leave the group and end. The heartbeat interval is HEARTBEAT_MS of the environment."""
import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from broker import ROOT  # noqa: E402
from checks import CheckFailed, NotOffered  # noqa: E402

ANSWER_SECONDS = 40
STOP_SECONDS = 20
HEARTBEAT_MS = 500


class Adapter:
    """How a client's program is started; its standard error goes to build/logs/."""

    def __init__(self, name, command, bootstrap, environment):
        self.name, self.command, self.bootstrap = name, command, bootstrap
        self.environment = {**os.environ, **environment, "HEARTBEAT_MS": str(HEARTBEAT_MS)}
        self.log_path = ROOT / "build/logs" / f"clients-{name}.adapter.log"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.log_path.write_bytes(b"")

    def start(self, *arguments):
        with open(self.log_path, "ab") as log:
            return subprocess.Popen([*self.command, self.bootstrap, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                    env=self.environment, text=True)


class Worker:
    def __init__(self, adapter):
        self.process = adapter.start()
        self.answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        hello = self._answer("its greeting")
        self.client, self.version, self.lacks = hello["client"], hello["version"], hello.get("lacks") or {}

    def _read(self):
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def _answer(self, what):
        try:
            line = self.answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            self.process.kill()  # an answer that comes late must not be taken for the next one's
            raise CheckFailed(f"no answer within {ANSWER_SECONDS} s to {what}") from None
        if line is None:
            raise CheckFailed(f"the client's process ended with {self.process.wait()} at {what}")
        return json.loads(line)

    def ask(self, do, **arguments):
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise CheckFailed(f"the client's process has ended before {do}") from None
        answer = self._answer(do)
        if "not_offered" in answer:
            raise NotOffered(answer["not_offered"])
        if "error" in answer:
            raise CheckFailed(f"{do}: {answer['error']}")
        return answer["result"]

    def stop(self):
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class EventProcess:
    """A process that writes one JSON object a line until it is stopped or killed. `took` is called with each, on a thread of this
    object: what it needs must be there before the constructor of this class is called."""

    def __init__(self, process):
        self.process = process
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            if line.endswith("\n"):  # a line that SIGKILL cut was never reported
                self.took(json.loads(line))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()

    def stop(self):
        """Asks it to end. Returns whether it ended by itself in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                return False
        self.reader.join()
        return True


class Member(EventProcess):
    """A member of a group and what it has reported so far. It leaves the group when it is stopped."""

    def __init__(self, adapter, topic, group, session_ms, name):
        self.name, self.read, self.commits, self.surprises = name, [], [], []
        self.last_committed, self.sure = {}, {}
        super().__init__(adapter.start("member", topic, group, str(session_ms), name))

    def took(self, event):
        if event["event"] == "record":
            self.read.append((event["partition"], event["offset"], event["key"], event["value"], self.sure.get(event["partition"], 0)))
        elif event["event"] == "committed":
            done = {int(partition): offset for partition, offset in event["next"].items()}
            self.commits.append(done)
            self.last_committed = {**self.last_committed, **done}
            self.sure.update({int(partition): offset for partition, offset in event.get("sure", event["next"]).items()})
        elif event["event"] != "commit failed":
            self.surprises.append(event)

    def records(self):
        """(partition, offset, key, value, where the member was sure not to go back behind when it reported the record)"""
        return list(self.read)

    def committed(self):
        return dict(self.last_committed)

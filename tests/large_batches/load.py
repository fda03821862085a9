"""The clients of the test of large batches, one role a process. A role goes on for some seconds or until the broker is gone, and
prints one line of JSON with what it saw. It judges nothing; run.py does.

usage: load.py raw PORT TOPIC CONNECTIONS SECONDS    each connection has a partition of its own and sends a batch of 1 MB when the
                                                     one before is answered
       load.py producer PORT TOPIC PARTITIONS SECONDS   confluent-kafka: 10 KB messages to all partitions, batch.size 1 MB"""
import json
import os
import pathlib
import random
import selectors
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "overload"))

import protocol  # noqa: E402

BATCH_BYTES = 1_000_000
MESSAGE_BYTES = 10_000
CONNECT_SECONDS = 10
SPREAD_SECONDS = 3
# A broker that is gone is seen at once; one that hangs is waited for so long.
PATIENCE_SECONDS = 30


class Acks:
    """When acknowledgements came, on the clock that all processes share: to the hundredth of a second, which is fine enough."""

    def __init__(self):
        self.begin = time.monotonic()
        self.count = self.errors = 0
        self.times = []
        self.first_error = None

    def came(self):
        self.count += 1
        now = round(time.monotonic(), 2)
        if not self.times or now > self.times[-1]:
            self.times.append(now)

    def failed(self, why):
        self.errors += 1
        self.first_error = self.first_error or str(why)

    def report(self, unanswered, until):
        print(json.dumps({"begin": self.begin, "until": until, "acks": self.count, "errors": self.errors, "first_error": self.first_error,
                          "unanswered": unanswered, "times": self.times}), flush=True)


class Connection:
    def __init__(self, port, number, frame):
        self.socket = socket.socket()
        self.socket.settimeout(CONNECT_SECONDS)
        self.socket.bind((f"127.0.4.{1 + number % 16}", 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.frame = frame
        self.unsent = frame
        # Not all at once: a thousand megabytes that arrive side by side are complete, and answered, at the same moment.
        self.starts = time.monotonic() + random.uniform(0, SPREAD_SECONDS)
        self.answer = bytearray()

    def send(self):
        """True when all of the frame is on its way."""
        while self.unsent:
            self.unsent = self.unsent[self.socket.send(self.unsent):]
        return True

    def receive(self):
        """The answer behind its length, or None while it is not whole."""
        part = self.socket.recv(4096)
        if not part:
            raise ConnectionResetError("closed")
        self.answer += part
        if len(self.answer) < 4 or len(self.answer) < 4 + struct.unpack_from(">i", self.answer)[0]:
            return None
        answer, self.answer = bytes(self.answer[4:]), bytearray()
        return answer


def raw(port, topic, count, seconds):
    records = protocol.batch(os.urandom(1000) * ((BATCH_BYTES - 100) // 1000))
    connections = [Connection(port, number, memoryview(protocol.produce(topic, number, records))) for number in range(count)]
    acks = Acks()
    end = acks.begin + seconds
    alive = len(connections)
    waiting = sorted(connections, key=lambda one: one.starts, reverse=True)
    with selectors.EpollSelector() as selector:
        while alive and time.monotonic() < end + PATIENCE_SECONDS:
            while waiting and waiting[-1].starts <= time.monotonic():
                one = waiting.pop()
                selector.register(one.socket, selectors.EVENT_WRITE, one)
            for key, events in selector.select(0.01 if waiting else 1):
                one = key.data
                try:
                    if events & selectors.EVENT_WRITE:
                        one.send()
                        selector.modify(one.socket, selectors.EVENT_READ, one)
                        continue
                    answer = one.receive()
                    if answer is None:
                        continue
                    error, _ = protocol.produce_result(answer, topic)
                    acks.came() if error == 0 else acks.failed(f"error {error}")
                    if time.monotonic() < end:
                        one.unsent = one.frame
                        selector.modify(one.socket, selectors.EVENT_WRITE, one)
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass  # the broker has ended
                selector.unregister(one.socket)
                one.socket.close()
                alive -= 1
    acks.report(alive, end)


def producer(port, topic, partitions, seconds):
    import confluent_kafka
    client = confluent_kafka.Producer({
        "bootstrap.servers": f"127.0.0.1:{port}", "batch.size": BATCH_BYTES, "linger.ms": 100, "acks": "all",
        "queue.buffering.max.kbytes": 256 << 10, "socket.timeout.ms": 60_000, "request.timeout.ms": 60_000,
        "message.timeout.ms": 120_000, "log_level": 0})
    value = os.urandom(MESSAGE_BYTES)
    acks = Acks()

    def delivered(error, _):
        acks.failed(error) if error else acks.came()

    end = acks.begin + seconds
    number = 0
    while time.monotonic() < end:
        try:
            client.produce(topic, value, partition=number % partitions, on_delivery=delivered)
            number += 1
        except BufferError:
            client.poll(0.01)
        client.poll(0)
    client.flush(PATIENCE_SECONDS)
    acks.report(len(client), end)
    os._exit(0)  # what a hanging broker has not answered is not waited for


if __name__ == "__main__":
    os.nice(5)  # the load may be slow; what is measured must not be
    {"raw": raw, "producer": producer}[sys.argv[1]](int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))

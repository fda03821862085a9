"""A client for the full-disk test: one connection, one request at a time, each with a time limit; and the ledger of what was
acknowledged to it. It builds on the plain bytes of tests/overload/protocol.py. It judges nothing but answers."""
import pathlib
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "overload"))

import protocol  # noqa: E402

LIST_OFFSETS, OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS = 2, 8, 9, 10, 19, 20, 21
TOPIC_RESOURCE = 2
KAFKA_STORAGE_ERROR = 56
FETCH_BYTES = 4 << 20


def _string(text):
    return struct.pack(">h", len(text)) + text.encode()


class NoAnswer(Exception):
    """The broker did not answer in time, or the connection broke."""


class Client:
    def __init__(self, port, seconds):
        self.seconds = seconds
        self.slowest = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)

    def close(self):
        self.socket.close()

    def ask(self, request):
        """The answer behind its length and correlation id."""
        begin = time.monotonic()
        try:
            self.socket.sendall(request)
            size = struct.unpack(">i", self._read(4))[0]
            answer = self._read(size)
        except OSError as error:
            raise NoAnswer(f"no answer after {time.monotonic() - begin:.1f} s: {error!r}") from None
        self.slowest = max(self.slowest, time.monotonic() - begin)
        return answer

    def _read(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(min(size - len(data), 1 << 20))
            if not part:
                raise OSError("the connection was closed")
            data += part
        return bytes(data)

    def produce(self, topic, partition, batch, timeout_ms=5000):
        """(error, base offset)."""
        return protocol.produce_result(self.ask(protocol.produce(topic, partition, batch, timeout_ms=timeout_ms)), topic)

    def fetch_values(self, topic, partition):
        """All values of a partition by offset."""
        first, end = self.offset(topic, partition, -2), self.offset(topic, partition, -1)
        found = {}
        while first < end:
            error, records = protocol.fetch_result(self.ask(protocol.fetch(topic, partition, first, FETCH_BYTES)), topic)
            if error != 0:
                raise NoAnswer(f"fetch of {topic}-{partition} at {first}: error {error}")
            values = protocol.values(bytes(records))
            if not values:
                raise NoAnswer(f"fetch of {topic}-{partition} at {first} of {end} gave nothing")
            found.update(values)
            first = max(found) + 1
        return found

    def offset(self, topic, partition, time_ms):
        body = struct.pack(">ii", -1, 1) + _string(topic) + struct.pack(">iiq", 1, partition, time_ms)
        answer = self.ask(protocol.request(LIST_OFFSETS, 1, body))
        _, error, _, found = struct.unpack_from(">ihqq", answer, 4 + 4 + 2 + len(topic) + 4)
        if error != 0:
            raise NoAnswer(f"offsets of {topic}-{partition}: error {error}")
        return found

    def create_topics(self, names, partitions=1, timeout_ms=5000):
        """The error of each."""
        body = struct.pack(">i", len(names))
        for name in names:
            body += _string(name) + struct.pack(">ihii", partitions, 1, 0, 0)
        answer = self.ask(protocol.request(CREATE_TOPICS, 2, body + struct.pack(">ib", timeout_ms, 0)))
        errors, at = {}, 12
        for _ in names:
            name, at = self._text(answer, at)
            (errors[name],) = struct.unpack_from(">h", answer, at)
            _, at = self._text(answer, at + 2)
        return errors

    def delete_topics(self, names, timeout_ms=5000):
        body = struct.pack(">i", len(names)) + b"".join(map(_string, names)) + struct.pack(">i", timeout_ms)
        answer = self.ask(protocol.request(DELETE_TOPICS, 1, body))
        errors, at = {}, 12
        for _ in names:
            name, at = self._text(answer, at)
            (errors[name],) = struct.unpack_from(">h", answer, at)
            at += 2
        return errors

    def delete_records(self, topic, partition, offset, timeout_ms=5000):
        """(low watermark, error)."""
        body = struct.pack(">i", 1) + _string(topic) + struct.pack(">iiqi", 1, partition, offset, timeout_ms)
        answer = self.ask(protocol.request(DELETE_RECORDS, 0, body))
        _, low, error = struct.unpack_from(">iqh", answer, 4 + 4 + 4 + 2 + len(topic) + 4)
        return low, error

    def set_topic_config(self, topic, name, value):
        config = struct.pack(">i", 1) + protocol._string(name) + struct.pack(">b", 0) + protocol._string(value)
        body = struct.pack(">ib", 1, TOPIC_RESOURCE) + _string(topic) + config + b"\0"
        return protocol.set_broker_config_error(self.ask(protocol.request(protocol.INCREMENTAL_ALTER_CONFIGS, 0, body)))

    def find_coordinator(self, group):
        return struct.unpack_from(">h", self.ask(protocol.request(FIND_COORDINATOR, 0, _string(group))), 4)[0]

    def commit(self, group, topic, partition, offset):
        body = _string(group) + struct.pack(">i", -1) + _string("") + struct.pack(">q", -1)
        body += struct.pack(">i", 1) + _string(topic) + struct.pack(">iiq", 1, partition, offset) + _string("")
        answer = self.ask(protocol.request(OFFSET_COMMIT, 2, body))
        return struct.unpack_from(">ih", answer, 4 + 4 + 2 + len(topic) + 4)[1]

    def committed(self, group, topic, partition):
        body = _string(group) + struct.pack(">i", 1) + _string(topic) + struct.pack(">ii", 1, partition)
        answer = self.ask(protocol.request(OFFSET_FETCH, 1, body))
        return struct.unpack_from(">iq", answer, 4 + 4 + 2 + len(topic) + 4)[1]

    @staticmethod
    def _text(data, at):
        (size,) = struct.unpack_from(">h", data, at)
        at += 2
        return (data[at:at + size].decode(), at + size) if size >= 0 else (None, at)


class Ledger:
    """What was acknowledged, by partition and offset."""

    def __init__(self):
        self.records = {}

    def note(self, topic, partition, offset, value):
        self.records.setdefault((topic, partition), {})[offset] = value

    def forget(self, topic, partition=None, below=None):
        for key in list(self.records):
            if key[0] != topic or partition not in (None, key[1]):
                continue
            kept = {} if below is None else {offset: value for offset, value in self.records[key].items() if offset >= below}
            self.records[key] = kept

    def missing(self, client, topics):
        """Lines about acknowledged records that are not there as they were."""
        lines = []
        for (topic, partition), wanted in self.records.items():
            if topic not in topics or not wanted:
                continue
            found = client.fetch_values(topic, partition)
            lost = [offset for offset, value in wanted.items() if found.get(offset) != value]
            if lost:
                lines.append(f"{topic}-{partition}: {len(lost)} of {len(wanted)} from offset {min(lost)} on")
        return lines

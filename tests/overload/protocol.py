"""The requests of the overload test in plain bytes, and the few answers that it reads. Versions without compact lengths only.
It opens no socket."""
import struct

PRODUCE, FETCH, METADATA, OFFSET_COMMIT, FIND_COORDINATOR, JOIN_GROUP = 0, 1, 3, 8, 10, 11
API_VERSIONS, INCREMENTAL_ALTER_CONFIGS = 18, 44
BATCH_HEADER_BYTES = 61
BROKER_RESOURCE = 4


def _crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _string(text):
    return struct.pack(">h", len(text)) + text.encode()


def batch(value, time_ms=1000):
    """A batch with one record of this value and time."""
    record = b"\0" + _varint(0) + _varint(0) + _varint(-1) + _varint(len(value)) + value + _varint(0)
    record = _varint(len(record)) + record
    rest = struct.pack(">hiqqqhii", 0, 0, time_ms, time_ms, -1, -1, -1, 1) + record
    return struct.pack(">qiibI", 0, 9 + len(rest), -1, 2, crc32c(rest)) + rest


def values(records):
    """The values of batches as batch() makes them, with the offset of each."""
    found, at = [], 0
    while at + BATCH_HEADER_BYTES <= len(records):
        base, length = struct.unpack_from(">qi", records, at)
        end = at + 12 + length
        if end > len(records):
            break
        place = at + BATCH_HEADER_BYTES
        _, place = _read_varint(records, place)  # of the record
        place += 1
        for _ in range(3):  # time, offset, no key
            _, place = _read_varint(records, place)
        size, place = _read_varint(records, place)
        found.append((base, bytes(records[place:place + size])))
        at = end
    return found


def _read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def request(key, version, body=b"", correlation=1):
    frame = struct.pack(">hhih4s", key, version, correlation, 4, b"load") + body
    return struct.pack(">i", len(frame)) + frame


def api_versions():
    return request(API_VERSIONS, 0)


def metadata_of_all():
    return request(METADATA, 1, struct.pack(">i", -1))


def produce(topic, partition, records, acks=-1, timeout_ms=120_000):
    return request(PRODUCE, 3, struct.pack(">hhi", -1, acks, timeout_ms) + struct.pack(">i", 1) + _string(topic)
                   + struct.pack(">iii", 1, partition, len(records)) + records)


def produce_result(answer, topic):
    """(error, base offset) out of the answer behind its length."""
    return struct.unpack_from(">hq", answer, 4 + 4 + 2 + len(topic) + 4 + 4)


def fetch(topic, partition, offset, max_bytes, max_wait_ms=500):
    return request(FETCH, 4, struct.pack(">iiiibi", -1, max_wait_ms, 1, max_bytes, 0, 1) + _string(topic)
                   + struct.pack(">iiqi", 1, partition, offset, max_bytes))


def fetch_result(answer, topic):
    """(error, records) out of the answer behind its length."""
    at = 4 + 4 + 4 + 2 + len(topic) + 4
    _, error, _, _, aborted = struct.unpack_from(">ihqqi", answer, at)
    at += 26 + max(aborted, 0) * 16
    (size,) = struct.unpack_from(">i", answer, at)
    return error, memoryview(answer)[at + 4:at + 4 + max(size, 0)]


def set_broker_config(name, value):
    """Sets one key of all brokers while they run."""
    configs = struct.pack(">i", 1) + _string(name) + struct.pack(">b", 0) + _string(value)
    return request(INCREMENTAL_ALTER_CONFIGS, 0, struct.pack(">ib", 1, BROKER_RESOURCE) + _string("") + configs + b"\0")


def set_broker_config_error(answer):
    return struct.unpack_from(">h", answer, 4 + 4 + 4)[0]


def _bytes(data):
    return struct.pack(">i", len(data)) + data


def metadata_of(names, create=True):
    """Asks for topics by name, and so creates them."""
    return request(METADATA, 4, struct.pack(">i", len(names)) + b"".join(_string(name) for name in names) + bytes([create]))


def metadata_errors(answer):
    """Error of each topic out of a METADATA 4 answer behind its length."""
    at = 4 + 4  # correlation, throttle
    (brokers,) = struct.unpack_from(">i", answer, at)
    at += 4
    for _ in range(brokers):
        at += 4
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 4
        (rack,) = struct.unpack_from(">h", answer, at)
        at += 2 + max(rack, 0)
    (cluster,) = struct.unpack_from(">h", answer, at)
    at += 2 + max(cluster, 0) + 4  # and the controller
    (topics,) = struct.unpack_from(">i", answer, at)
    at += 4
    errors = {}
    for _ in range(topics):
        error, length = struct.unpack_from(">hh", answer, at)
        name = bytes(answer[at + 4:at + 4 + length]).decode()
        errors[name] = error
        at += 4 + length + 1
        (partitions,) = struct.unpack_from(">i", answer, at)
        at += 4
        for _ in range(partitions):
            at += 2 + 4 + 4
            for _ in range(2):  # replicas, in sync
                at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
    return errors


def find_coordinator(group):
    return request(FIND_COORDINATOR, 0, _string(group))


def join_group(group, metadata, session_ms=30_000, rebalance_ms=300_000):
    return request(JOIN_GROUP, 3, _string(group) + struct.pack(">ii", session_ms, rebalance_ms) + _string("") + _string("consumer")
                   + struct.pack(">i", 1) + _string("range") + _bytes(metadata))


def join_error(answer):
    return struct.unpack_from(">h", answer, 4 + 4)[0]


def long_poll(topic, bytes_wanted, max_wait_ms):
    """A Fetch of about so many bytes: one partition by many names, of which the last counts. At its end, so that it waits."""
    partition = struct.pack(">iqi", 0, 0, 1 << 20)
    count = bytes_wanted // len(partition)
    return request(FETCH, 4, struct.pack(">iiiibi", -1, max_wait_ms, 1 << 30, 1 << 20, 0, 1) + _string(topic) + struct.pack(">i", count)
                   + partition * count)


def commit(group, topic, partitions, metadata=""):
    """Offset 1 for each of the first partitions of a topic, from outside of the group."""
    one = struct.pack(">q", 1) + _string(metadata)
    return request(OFFSET_COMMIT, 2, _string(group) + struct.pack(">i", -1) + _string("") + struct.pack(">q", -1) + struct.pack(">i", 1)
                   + _string(topic) + struct.pack(">i", partitions) + b"".join(struct.pack(">i", number) + one for number in range(partitions)))


def commit_error(answer, topic):
    """Of the first partition."""
    return struct.unpack_from(">h", answer, 4 + 4 + 2 + len(topic) + 4 + 4)[0]

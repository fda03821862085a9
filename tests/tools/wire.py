"""A few requests of the Kafka protocol in plain bytes, for what no client library shows: which versions a broker lists, and
how batches are stored. It decodes only the versions that it asks for."""
import socket
import struct

TIMEOUT_SECONDS = 10
FETCH_BYTES = 50_000_000
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def _ask(bootstrap, key, version, body):
    """One request with header version 1 on a connection of its own. Returns the answer behind the correlation id."""
    host, port = bootstrap.rsplit(":", 1)
    request = struct.pack(">hhih4s", key, version, 1, 4, b"test") + body
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answer:
            (size,) = struct.unpack(">i", answer.read(4))
            frame = answer.read(size)
    if len(frame) != size or frame[:4] != struct.pack(">i", 1):
        raise ValueError(f"the answer to key {key} is cut short or another's: {frame[:20]!r}")
    return frame[4:]


def api_versions(bootstrap):
    """{key: (least, greatest version)} as the broker lists them."""
    answer = _ask(bootstrap, 18, 0, b"")
    error, count = struct.unpack_from(">hi", answer)
    if error:
        raise ValueError(f"ApiVersions: error {error}")
    return {key: (least, greatest) for key, least, greatest in struct.iter_unpack(">hhh", answer[6:6 + 6 * count])}


def batches(bootstrap, topic, partition, offset):
    """The batches from `offset` on as (base offset, codec, producer id, number of records)."""
    name = topic.encode()
    answer = _ask(bootstrap, 1, 4, struct.pack(">iiiibi", -1, 0, 1, FETCH_BYTES, 0, 1) + struct.pack(">h", len(name)) + name
                  + struct.pack(">iiqi", 1, partition, offset, FETCH_BYTES))
    at = 4 + 4 + 2 + len(name) + 4  # throttle time, number of topics, name, number of partitions
    _, error, _, _, aborted = struct.unpack_from(">ihqqi", answer, at)
    if error:
        raise ValueError(f"Fetch: error {error}")
    at += 26 + max(aborted, 0) * 16
    (size,) = struct.unpack_from(">i", answer, at)
    at += 4
    end, found = at + size, []
    while at < end:
        base, length, _, magic, _, attributes = struct.unpack_from(">qiibIh", answer, at)
        if magic != 2:
            raise ValueError(f"a batch of format {magic}")
        producer, _, _, count = struct.unpack_from(">qhii", answer, at + 43)
        found.append((base, CODECS[attributes & 7], producer, count))
        at += 12 + length
    return found

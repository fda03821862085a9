"""The clients of the overload test, one role a process, so that no process runs out of descriptors and a slow role does not
slow another. A role prints `ready` when it stands, goes on until its standard input closes or its work is done, and prints
one line of JSON with what it saw. It judges nothing; run.py does.

usage: load.py ROLE PORT [COUNT]"""
import json
import os
import select
import selectors
import socket
import struct
import sys
import time

import protocol

CONNECT_SECONDS = 60
ANSWER_SECONDS = 120
ROUND_SECONDS = 0.25
SLOW_BATCHES = 20  # in each of the two partitions of the topic "slow"


def connect(port, source, receive_bytes=None):
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(CONNECT_SECONDS)
    client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    client.settimeout(ANSWER_SECONDS)
    return client


def answer_of(client):
    """One answer without its length; None when the other side has closed."""
    data = bytearray()
    wanted = 4
    while len(data) < wanted:
        part = client.recv(min(wanted - len(data), 1 << 20))
        if not part:
            return None
        data += part
        if wanted == 4 and len(data) == 4:
            wanted = 4 + struct.unpack(">i", data)[0]
    return data[4:]


def say_ready():
    print("ready", flush=True)


def told_to_end():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def report(**what):
    print(json.dumps(what), flush=True)


def close_hard(client):
    """With a reset, so that tens of thousands of ports do not wait for their last packets."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def idle(port, count):
    """Connections that ask for versions and then say nothing; a thousand for each line on standard input. In the end each of
    them must still answer."""
    clients = []
    say_ready()
    for _ in sys.stdin:
        if len(clients) >= count:
            break
        for _ in range(min(1000, count - len(clients))):
            client = connect(port, f"127.0.1.{1 + len(clients) % 16}")
            client.sendall(protocol.api_versions())
            if answer_of(client) is None:
                break
            clients.append(client)
        report(open=len(clients))
    alive = 0
    for client in clients:
        try:
            client.sendall(protocol.api_versions())
            alive += answer_of(client) is not None
        except OSError:
            pass
    for client in clients:
        close_hard(client)
    report(open=len(clients), alive=alive)


def watch(asks, may_stay=0, read=lambda client: None):
    """Sends to each client of `asks` its bytes, again and again, as far as they go, until all but `may_stay` were closed by the
    other side or the end is asked for. Reads only what `read` does, so that what was sent stays where it is. Returns after how
    many seconds each was closed."""
    begin = time.monotonic()
    closed = {}
    poll = select.poll()
    alive = {client.fileno(): client for client in asks}
    unsent = {client: b"" for client in asks}
    for number, client in alive.items():
        client.setblocking(False)
        poll.register(number, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    while len(alive) > may_stay and not told_to_end():
        gone = {number for number, _ in poll.poll(0)}
        for number, client in alive.items():
            try:
                read(client)
                unsent[client] = unsent[client] or asks[client]
                unsent[client] = unsent[client][client.send(unsent[client]):]
            except BlockingIOError:
                pass
            except OSError:
                gone.add(number)
        for number in gone:
            closed[alive[number]] = round(time.monotonic() - begin, 1)
            poll.unregister(number)
            close_hard(alive.pop(number))
        time.sleep(ROUND_SECONDS)
    return closed


def slow_writers(port, count):
    """Announce a megabyte and send a byte now and then."""
    clients = []
    for number in range(count):
        client = connect(port, f"127.0.2.{1 + number % 8}")
        client.sendall(struct.pack(">i", 1_000_000) + b"\0\0\0\3")
        clients.append(client)
    say_ready()
    report(open=count, closed=list(watch({client: b"\0" for client in clients}).values()))


def slow_readers(port, count):
    """Ask for a large topic, each from a place of its own so that each holds other memory, again and again, and read nothing."""
    asks = {}
    for number in range(count):
        client = connect(port, f"127.0.2.{21 + number % 8}", 8192)
        asks[client] = protocol.fetch("slow", number % 2, number // 2 % SLOW_BATCHES, 8 << 20, 0)
    say_ready()
    report(open=count, closed=list(watch(asks).values()))


def metadata_flood(port, count):
    """All ask for all topics more often than they read: half of them read steadily, but slowly, half never."""
    ask = (protocol.metadata_of_all() + protocol.api_versions()) * 4
    readers = {connect(port, f"127.0.2.{41 + number % 8}") for number in range(count // 2)}
    silent = [connect(port, f"127.0.2.{41 + number % 8}", 8192) for number in range(count // 2)]
    seen = {"bytes": 0}
    say_ready()

    def read(client):
        if client not in readers:
            return
        try:
            seen["bytes"] += len(client.recv(64 << 10))
        except BlockingIOError:
            pass

    closed = watch({client: ask for client in (*readers, *silent)}, len(readers), read)
    report(open=count, closed=list(closed.values()), readers_closed=len(readers & set(closed)), bytes_read=seen["bytes"])


def too_large(port, count):
    """Announce more than socket.request.max.bytes."""
    say_ready()
    closed = 0
    for number in range(count):
        client = connect(port, f"127.0.2.{61 + number % 8}")
        client.sendall(struct.pack(">i", (8 << 20) + 1) + b"\0\0\0\3")
        try:
            closed += answer_of(client) is None
        except ConnectionResetError:
            closed += 1
        close_hard(client)
    report(open=count, closed=closed)


def big_produce(port, count):
    """All send a request of nearly 4 MiB at once: together far more than there is memory for. Each must be answered."""
    frames = [memoryview(protocol.produce("big", partition, protocol.batch(os.urandom(1024) * 3990))) for partition in range(2)]
    clients = {connect(port, f"127.0.2.{81 + number % 8}"): [frames[number % 2], bytearray()] for number in range(count)}
    offsets = [set(), set()]
    errors, lost = [], 0
    say_ready()
    begin = time.monotonic()
    with selectors.EpollSelector() as selector:
        for client in clients:
            client.setblocking(False)
            selector.register(client, selectors.EVENT_WRITE | selectors.EVENT_READ)
        while clients and time.monotonic() - begin < ANSWER_SECONDS:
            for key, events in selector.select(1):
                client = key.fileobj
                work = clients[client]
                over = False
                try:
                    if events & selectors.EVENT_WRITE and work[0]:
                        work[0] = work[0][client.send(work[0][:1 << 18]):]
                        if not work[0]:
                            selector.modify(client, selectors.EVENT_READ)
                    if events & selectors.EVENT_READ:
                        part = client.recv(4096)
                        work[1] += part
                        over = not part
                except BlockingIOError:
                    pass
                except OSError as error:
                    errors.append(str(error))
                    over = True
                if len(work[1]) >= 4 and len(work[1]) == 4 + struct.unpack_from(">i", work[1])[0]:
                    error, offset = protocol.produce_result(work[1][4:], "big")
                    partition = struct.unpack_from(">i", work[1], 4 + 4 + 4 + 2 + 3 + 4)[0]
                    offsets[partition].add(offset) if error == 0 else errors.append(error)
                    over = True
                elif over:
                    lost += 1
                if over:
                    selector.unregister(client)
                    close_hard(client)
                    del clients[client]
    report(open=count, acknowledged=len(offsets[0]) + len(offsets[1]), lost=lost, unanswered=len(clients), errors=errors[:5],
           seconds=round(time.monotonic() - begin, 1))


def per_address(port, count):
    """From one address; how many get an answer."""
    clients = [connect(port, "127.0.3.1") for _ in range(count)]
    say_ready()
    answered = 0
    for client in clients:
        try:
            client.sendall(protocol.api_versions())
            answered += answer_of(client) is not None
        except OSError:
            pass
    sys.stdin.read()
    for client in clients:
        close_hard(client)
    report(open=count, answered=answered)


class Latencies:
    def __init__(self):
        self.seconds = []

    def timed(self, client, frame):
        begin = time.monotonic()
        client.sendall(frame)
        answer = answer_of(client)
        self.seconds.append(time.monotonic() - begin)
        return answer

    def shown(self):
        ordered = sorted(self.seconds)
        return {"count": len(ordered), "slowest": round(ordered[-1], 3), "middle": round(ordered[len(ordered) // 2], 4)}


def good(port, _):
    """One producer with acks=all and one consumer of the same partition, in turns; now and then the metadata, on a third
    connection, and a new connection. Every record is read back, in order."""
    producer, consumer, asker = (connect(port, f"127.0.0.{number}") for number in (11, 12, 13))
    produced, fetched, asked, connected = Latencies(), Latencies(), Latencies(), Latencies()
    sent, read, problems = [], [], []
    say_ready()
    number = 0
    last_question = time.monotonic()
    while not told_to_end() and not problems:
        # Sizes in turn: one that lies in its connection, some out of the memory for small requests.
        value = b"%d " % number + b"x" * (100, 1500, 6000)[number % 3]
        number += 1
        answer = produced.timed(producer, protocol.produce("good", 0, protocol.batch(value)))
        if answer is None:
            problems.append("the producer was cut off")
            break
        error, offset = protocol.produce_result(answer, "good")
        if error or offset != len(sent):
            problems.append(f"record {len(sent)}: error {error}, offset {offset}")
        sent.append(value)
        while len(read) < len(sent) and not problems:
            answer = fetched.timed(consumer, protocol.fetch("good", 0, len(read), 1 << 20))
            if answer is None:
                problems.append("the consumer was cut off")
                break
            error, records = protocol.fetch_result(answer, "good")
            if error:
                problems.append(f"fetch: error {error}")
            for offset, value_read in protocol.values(records):
                if offset == len(read):
                    read.append(value_read)
        if time.monotonic() - last_question > 1:
            if asked.timed(asker, protocol.metadata_of_all()) is None:
                problems.append("who asked for metadata was cut off")
            begin = time.monotonic()
            new = connect(port, "127.0.0.14")
            if connected.timed(new, protocol.api_versions()) is None:
                problems.append("a new connection was cut off")
            connected.seconds[-1] = time.monotonic() - begin
            new.close()
            last_question = time.monotonic()
    if not problems and read != sent:
        problems.append("what was read is not what was acknowledged")
    report(records=len(sent), problems=problems, produce=produced.shown(), fetch=fetched.shown(), metadata=asked.shown(),
           connect=connected.shown())


ROLES = {one.__name__: one for one in (idle, slow_writers, slow_readers, metadata_flood, too_large, big_produce, per_address, good)}

if __name__ == "__main__":
    role = ROLES[sys.argv[1]]
    if role is not good:
        os.nice(5)  # the load may be slow; who measures must not be
    role(int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)

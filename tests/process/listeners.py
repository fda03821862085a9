"""Where a broker listens and what it tells clients: names, every address of both kinds, Kafka's own files. Each client must be
told an address that it can connect to. Last line: `N passed, M failed`.

usage: listeners.py"""
import pathlib
import shutil
import socket
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from broker import ROOT, binary, free_port  # noqa: E402
from checks import expect, expect_equal, finish, step  # noqa: E402
from starts import Start, refused  # noqa: E402

BASE = ROOT / "build/test-data/listeners"
HAS_IPV6 = pathlib.Path("/proc/net/if_inet6").exists() and pathlib.Path("/proc/net/if_inet6").read_text() != ""


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        expect(part, "the broker closed the connection")
        data += part
    return data


def told(host, port):
    """What Metadata names as the only broker to a client that comes by this address."""
    with socket.create_connection((host, port), timeout=5) as connection:
        request = struct.pack(">hhih", 3, 1, 7, -1) + struct.pack(">i", 0)
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = exactly(connection, struct.unpack(">i", exactly(connection, 4))[0])
    _correlation, brokers, _node, length = struct.unpack_from(">iiih", answer)
    expect_equal(brokers, 1, "brokers")
    return answer[14:14 + length].decode(), struct.unpack_from(">i", answer, 14 + length)[0]


def own_address():
    """An address of this machine that is not loopback, or nothing. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return None


def on_every_address():
    port = free_port()
    for listen in (f"0.0.0.0:{port}", f":{port}", f"[::]:{port}"):
        with step(f"--listen {listen}: each client is told the address that it reached"), Start(BASE, "--listen", listen) as broker:
            line = broker.ready()
            expect("advertised as the address that each client connects to" in line, f"the start does not say so: {line}")
            addresses = ["127.0.0.1", "127.0.0.2"] + [one for one in [own_address()] if one]
            if HAS_IPV6 and not listen.startswith("0"):
                addresses.append("::1")
            for address in addresses:
                host, named = told(address, port)
                expect_equal((host, named), (address, port), f"what a client at {address} is told")
                told(host, named)
    with step("an IPv4 and an IPv6 listener on one port"):
        if not HAS_IPV6:
            print("       this machine has no IPv6: only that this is said is checked")
        with Start(BASE, properties=f"listeners=A://127.0.0.1:{port},B://[::1]:{port}\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\n") as broker:
            if HAS_IPV6:
                broker.ready()
                expect_equal((told("127.0.0.1", port), told("::1", port)), (("127.0.0.1", port), ("::1", port)), "each its own")
            else:
                refused(broker.ended(), f"[::1]:{port}", "no interface")


def with_names():
    port = free_port()
    with step("--listen localhost: bound at all its addresses"), Start(BASE, "--listen", f"localhost:{port}") as broker:
        broker.ready()
        for _family, _type, _protocol, _name, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
            expect_equal(told(address[0], port), ("localhost", port), f"what a client at {address[0]} is told")
    with step("a name that nobody knows ends the start"), Start(BASE, "--listen", f"no-such-host.invalid:{port}") as broker:
        refused(broker.ended(), "no-such-host.invalid")
    with step("an address of another machine ends the start"), Start(BASE, "--listen", f"203.0.113.1:{port}") as broker:
        refused(broker.ended(), f"203.0.113.1:{port}", "no interface")


def with_kafkas_files():
    port = free_port()
    broker_properties = f"""process.roles=broker
node.id=2
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://localhost:{port}
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
"""
    with step("the listeners of Kafka's broker.properties"), Start(BASE, properties=broker_properties) as broker:
        broker.ready()
        expect_equal(told("127.0.0.1", port), ("localhost", port), "what a client is told")
    server_properties = f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:{port},CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:{port},CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
"""
    with step("both roles, without a protocol map: the controller's listener is PLAINTEXT and not opened"), Start(BASE, properties=server_properties) as broker:
        broker.ready()
        expect("listener CONTROLLER://:9093 is not opened" in broker.said(), "the start does not say so")
        expect("only clients on this machine can use that" in broker.said(), "localhost is advertised beyond the machine without a word")
        expect_equal(told("127.0.0.1", port), ("localhost", port), "what a client is told")
    with step("every address cannot be advertised"):
        done = subprocess.run([binary(), "serve", "--data", str(BASE / "none"), "--override", "advertised.listeners=PLAINTEXT://0.0.0.0:9092"],
                              text=True, capture_output=True, timeout=10, check=False)
        expect(done.returncode == 2 and "is no address a client can connect to" in done.stderr, done.stderr)


def main():
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    on_every_address()
    with_names()
    with_kafkas_files()
    shutil.rmtree(BASE, ignore_errors=True)
    finish()


if __name__ == "__main__":
    main()

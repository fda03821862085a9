"""SIGTERM while connections come and go: several processes connect, ask now and then, and close, as fast as they can, beside
some hundred idle connections; each stop at a random moment of that must be clean. Last line: `N passed, M failed`.

usage: stops.py [ROUNDS]        30 by default; 300 before a release"""
import multiprocessing
import os
import pathlib
import random
import shutil
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

from broker import ROOT, Broker  # noqa: E402
from checks import expect, finish, step  # noqa: E402

ROUNDS = 30
CHURNERS = 3
SOCKETS_OF_A_CHURNER = 20
IDLE_CONNECTIONS = 300  # more ends at once than one core has credits for calls to another
STOP_SECONDS = 5
API_VERSIONS = bytes.fromhex("0012" "0000" "00000007" "0004") + b"stop"
ASK = len(API_VERSIONS).to_bytes(4, "big") + API_VERSIONS
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets


def connect(port):
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=1)
    except OSError:
        return None  # the broker is down: that is the point


def come_and_go(port, seed):
    chance = random.Random(seed)
    while True:
        sockets = [one for one in (connect(port) for _ in range(SOCKETS_OF_A_CHURNER)) if one]
        if not sockets:
            time.sleep(0.01)
        for one in sockets:
            try:
                if chance.random() < 0.5:
                    one.sendall(ASK)
                if chance.random() < 0.3:
                    one.recv(64)
                if chance.random() < 0.3:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            except OSError:
                pass
            one.close()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    folder = ROOT / "build/test-data/stops"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    slowest = 0.0
    with step(f"{rounds} stops while connections come and go (seed {seed})"):
        with Broker("stops", folder=folder / "data") as broker:
            churners = [multiprocessing.Process(target=come_and_go, args=(broker.port, seed + number), daemon=True) for number in range(CHURNERS)]
            for churner in churners:
                churner.start()
            try:
                for _ in range(rounds):
                    idle = [connect(broker.port) for _ in range(IDLE_CONNECTIONS)]
                    time.sleep(chance.random() * 0.1)
                    begin = time.monotonic()
                    broker.stop()
                    slowest = max(slowest, time.monotonic() - begin)
                    for one in filter(None, idle):
                        one.close()
                    broker.start()
            finally:
                for churner in churners:
                    churner.kill()
                    churner.join()
        expect(slowest < STOP_SECONDS, f"the slowest stop took {slowest:.1f} s")
    print(f"       the slowest stop took {slowest:.2f} s")
    os.sync()
    shutil.rmtree(folder, ignore_errors=True)
    finish()


main()

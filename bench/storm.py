"""All clients lose their connection at once and reconnect: the time until all are back, and the latency of other
clients.

python -m bench.storm --connections 10000

The server has its default limits. The clients connect from many addresses of the loopback network, back off as
`chatd.client` does (exponential, with jitter, honouring Retry-After), and count as back when they have synced. Two
other clients stay connected in a separate process and send messages to each other.
"""

import argparse
import errno
import heapq
import itertools
import multiprocessing
import random
import re
import selectors
import socket
import statistics
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from uuid import uuid4

import msgspec

from bench.processes import Cpu, cpu_of
from bench.report import main
from bench.scenario import Bench, Figures, Goal
from bench.servers import Chatd, Server, token, upgrade
from bench.wire import frame
from chatd.client.backoff import Backoff
from chatd.db.embedded.postgres import binaries

PER_ADDRESS = 80
RESET = struct.pack("ii", 1, 0)
RETRY_AFTER = re.compile(rb"retry-after: (\d+)", re.IGNORECASE)
# Seconds until Postgres reports the statistics of an idle connection.
STATISTICS_DELAY_S = 11
CONNECT_TIMEOUT = 15.0
UPGRADED = b"HTTP/1.1 101\r\n\r\n"
PING = b"\x89\x00"


class Visitor:
    """One client and its attempts to connect."""

    __slots__ = ("attempt", "backoff", "began", "buffer", "cursor", "head", "is_back", "sock", "source", "user")

    def __init__(self, number: int) -> None:
        self.user = str(uuid4())
        lines = ("Sec-WebSocket-Protocol: chatd.v1.msgpack", f"Authorization: Bearer {token(self.user)}")
        self.head = upgrade("/v1/ws", *lines)
        self.source = f"127.{1 + number // PER_ADDRESS // 250}.1.{1 + number // PER_ADDRESS % 250}"
        self.backoff = Backoff(random.random)
        self.sock: socket.socket | None = None
        self.buffer = b""
        self.cursor: str | None = None
        self.began = 0.0
        self.attempt = 0
        self.is_back = False

    def dial(self, address: tuple[str, int]) -> socket.socket:
        self.sock = sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.bind((self.source, 0))
        found = sock.connect_ex(address)
        if found not in (0, errno.EINPROGRESS):
            raise OSError(found, "connect")
        self.buffer, self.began, self.is_back = b"", time.perf_counter(), False
        self.attempt += 1
        return sock

    def sync(self) -> bytes:
        body = {"t": "session.sync"} | ({"cursor": self.cursor} if self.cursor else {})
        return frame(msgspec.msgpack.encode([1, body]), 2)


class Storm:
    """All clients, in one epoll loop."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self._address = address
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Visitor, int]] = []
        self._numbers = itertools.count()
        self.visitors = [Visitor(number) for number in range(count)]
        self.back = 0
        self.times: list[float] = []
        self.handshakes: list[float] = []
        self.counts: Counter[str] = Counter()

    def come(self, spread: float, step: Callable[[], None]) -> None:
        """Connect all clients within `spread` seconds; return when all have synced."""
        start = time.perf_counter()
        self.back, self.times, self.handshakes, self.counts = 0, [], [], Counter()
        for visitor in self.visitors:
            self._later(visitor, random.random() * spread)
        while self.back < len(self.visitors):
            wait = max(0.0, self._due[0][0] - time.perf_counter()) if self._due else 1.0
            for key, events in self._selector.select(min(wait, 1.0)):
                self._happened(key.data, events, start, step)
            self._dial_due()

    def drop(self) -> None:
        """End all connections at once with RST."""
        for visitor in self.visitors:
            self._let_go(visitor)
            visitor.is_back = False

    def _later(self, visitor: Visitor, wait: float) -> None:
        heapq.heappush(self._due, (time.perf_counter() + wait, next(self._numbers), visitor, visitor.attempt))

    def _dial_due(self) -> None:
        """Retry attempts that made no progress for too long."""
        now = time.perf_counter()
        while self._due and self._due[0][0] <= now:
            _, _, visitor, attempt = heapq.heappop(self._due)
            if visitor.attempt != attempt or visitor.is_back:
                continue
            if visitor.sock is not None:
                self._fail(visitor, "timed out")
                continue
            self._selector.register(visitor.dial(self._address), selectors.EVENT_WRITE, visitor)
            self._later(visitor, CONNECT_TIMEOUT)

    def _let_go(self, visitor: Visitor) -> None:
        if visitor.sock is not None:
            self._selector.unregister(visitor.sock)
            visitor.sock.close()
            visitor.sock = None

    def _fail(self, visitor: Visitor, why: str, asked: float | None = None) -> None:
        self.counts[why] += 1
        self._let_go(visitor)
        self._later(visitor, visitor.backoff.next_wait(time.perf_counter(), asked))

    def _happened(self, visitor: Visitor, events: int, start: float, step: Callable[[], None]) -> None:
        assert visitor.sock is not None
        try:
            if events & selectors.EVENT_WRITE:
                visitor.sock.send(visitor.head)
                self._selector.modify(visitor.sock, selectors.EVENT_READ, visitor)
                return
            part = visitor.sock.recv(65536)
        except OSError as error:
            self._fail(visitor, errno.errorcode.get(error.errno or 0, "error"))
            return
        visitor.buffer += part
        if not part:
            self.back -= visitor.is_back
            visitor.is_back = False
            self._fail(visitor, "hung up")
        elif b"\r\n\r\n" in visitor.buffer:
            self._answered(visitor, visitor.sock, start, step)

    def _answered(self, visitor: Visitor, sock: socket.socket, start: float, step: Callable[[], None]) -> None:
        """Handle a frame after the handshake: refusal, `connected` (then sync), or the end of the sync."""
        if visitor.buffer[9:12] != b"101":
            asked = RETRY_AFTER.search(visitor.buffer)
            self._fail(visitor, visitor.buffer[9:12].decode(), float(asked[1]) if asked else None)
        elif visitor.is_back:
            if PING in visitor.buffer:
                sock.send(frame(b"", 10))
            visitor.buffer = UPGRADED
        elif b"session.state" in visitor.buffer:
            visitor.is_back = True
            visitor.cursor = cursor_in(visitor.buffer)
            visitor.backoff.connected(time.perf_counter())
            self.back += 1
            self.times.append(time.perf_counter() - start)
            if self.back % 100 == 0:
                step()
        elif b"connected" in visitor.buffer and not visitor.buffer.endswith(b"\r\n\r\n"):
            self.handshakes.append(time.perf_counter() - visitor.began)
            visitor.buffer = UPGRADED
            sock.send(visitor.sync())


def cursor_in(answer: bytes) -> str:
    """`session.state` is the last frame."""
    at = answer.index(b"\x92\x01")
    return str(msgspec.msgpack.decode(answer[at:])[1]["cursor"])


def canary(server: Chatd, pipe: Connection) -> None:
    """Two connected clients that send ten messages a second from "begin" to "stop". Replies with the latencies."""
    users = [str(uuid4()) for _ in range(2)]
    alice, bob = [server.connect(user) for user in users]
    room = server.room(list(zip(users, (alice, bob), strict=True)))
    pipe.send("ready")
    latencies: list[float] = []
    pipe.recv()
    while not pipe.poll(0.1):
        began = time.perf_counter()
        alice.send(server.message(room, str(uuid4())))
        bob.wait_for(server.new)
        latencies.append(time.perf_counter() - began)
        alice.wait_for(server.ack)
    pipe.send(latencies)


def transactions(server: Chatd) -> int:
    """Transactions of Postgres; each statement of chatd outside the message log is one."""
    return int(psql(server, "select sum(xact_commit)::bigint from pg_stat_database where datname = 'chatd'"))


def make_users(server: Chatd, users: list[str]) -> None:
    """Connect each client once before the measurement."""
    psql(
        server,
        "insert into users (tenant, id, created_at) select 'default', id, 0 from "
        f"unnest('{{{','.join(users)}}}'::uuid[]) id",
    )


def psql(server: Chatd, statement: str) -> bytes:
    command = [str(binaries() / "psql"), "-At", server.dsn]
    return subprocess.run(command, input=statement.encode(), capture_output=True, check=True, cwd="/").stdout


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    assert isinstance(server, Chatd)
    host, _, rest = server.socket.removeprefix("ws://").partition(":")
    # Fork before sockets exist that the child would inherit.
    ours, theirs = multiprocessing.Pipe()
    watcher = multiprocessing.Process(target=canary, args=(server, theirs), daemon=True)
    watcher.start()
    theirs.close()
    assert ours.recv() == "ready"
    storm = Storm((host, int(rest.partition("/")[0])), options.connections)
    make_users(server, [visitor.user for visitor in storm.visitors])
    storm.come(options.connections / 300, step)
    time.sleep(options.statistics_delay)
    before, cpu, database, load = transactions(server), server.cpu(), server.database_cpu(), own_cpu()
    ours.send("begin")
    storm.drop()
    storm.come(0.5, step)
    used, database, load = server.cpu().since(cpu), server.database_cpu().since(database), own_cpu().since(load)
    ours.send("stop")
    latencies = ours.recv()
    watcher.join()
    time.sleep(options.statistics_delay)
    statements = transactions(server) - before - len(latencies)
    storm.drop()
    return figures(storm, latencies, used, database, load) | {
        "statements per reconnect": statements / options.connections
    }


def own_cpu() -> Cpu:
    return cpu_of([multiprocessing.current_process().pid or 0])


def figures(storm: Storm, latencies: list[float], used: Cpu, database: Cpu, load: Cpu) -> Figures:
    count, times = len(storm.visitors), sorted(storm.times)
    refused = storm.counts.pop("503", 0)
    return {
        "seconds until half are back": times[count // 2],
        "seconds until 99 % are back": times[count * 99 // 100],
        "seconds until all are back": times[-1],
        "handshake p99 ms": statistics.quantiles(storm.handshakes, n=100)[98] * 1000,
        "refused handshakes per client": refused / count,
        "other failures": sum(storm.counts.values()),
        "server us per client": used.total / count * 1e6,
        "server busy %": used.total / times[-1] * 100,
        "Postgres busy %": database.total / times[-1] * 100,
        "load busy %": load.total / times[-1] * 100,
        "canary messages": len(latencies),
        "canary p50 ms": statistics.median(latencies) * 1000,
        "canary worst ms": max(latencies) * 1000,
    }


GOALS = [
    Goal("seconds until all are back", most=20),
    Goal("handshake p99 ms", most=2000),
    Goal("statements per reconnect", most=2.5),
    Goal("canary worst ms", most=500),
]
BENCH = Bench(
    "storm",
    "all clients reconnect at once",
    "seconds until all are back",
    run,
    lambda options: 2 * options.connections // 100,
    lambda options: GOALS,
    {"connections": 2000, "statistics-delay": STATISTICS_DELAY_S},
    limits={},
    has_peers=False,
)

if __name__ == "__main__":
    main(BENCH)

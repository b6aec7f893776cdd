"""The servers to compare with, in `peer/`. Each does the same work, and each runs in one process, as chatd does."""

import asyncio
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar
from uuid import uuid4

import asyncpg
import trio

from bench.packages import FOLDER, NODE, PYTHON, Packages
from bench.processes import STOP_TIMEOUT_S, Cpu, cpu_of, cpu_of_family, pin, pin_threads
from bench.servers import SECRET, TEXT, ServerFailed, token, upgrade
from bench.wire import Connection
from chatd.bench.processes import family, resident_bytes, stop
from chatd.db.embedded import postgres, redis
from chatd.db.embedded.sockets import listener

START_TIMEOUT_S, POLL_S = 30.0, 0.05
# The adapter subscribes and publishes, which the Redis of chatd does not permit.
REDIS_RULES = "+@all -@scripting"
TABLE = """
    create table if not exists peer_messages (
        id bigserial primary key, room text not null, sender text not null, client_id text not null, text text,
        created_at timestamptz not null default now()
    );
    create index if not exists peer_messages_room on peer_messages (room, id);
"""


@dataclass(frozen=True)
class Databases:
    """What the peers store messages in. `redis`: the path of a socket."""

    dsn: str
    redis: str
    postmaster: int


@contextmanager
def databases() -> Iterator[Databases]:
    """A Postgres of the peers, with the settings of that of chatd, and a Redis; on the second core."""
    with tempfile.TemporaryDirectory(prefix="chatd-bench-") as folder, ExitStack() as stack:
        store, bus = postgres.Server(Path(folder, "postgres"), {}), redis.Server(Path(folder, "redis"), REDIS_RULES)
        stack.callback(trio.run, stop_databases, store, bus)
        trio.run(start_databases, store, bus)
        pids = [listener(store.socket), listener(bus.socket)]
        postmaster, other = (pid for pid in pids if pid is not None)
        for pid in (*family(postmaster), other):
            pin(pid, 1)
        yield Databases(store.dsn, str(bus.socket), postmaster)


async def start_databases(store: postgres.Server, bus: redis.Server) -> None:
    await store.start()
    await bus.start()


async def stop_databases(store: postgres.Server, bus: redis.Server) -> None:
    await store.stop("immediate")
    await bus.stop()


def make_table(dsn: str) -> None:
    async def make() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(TABLE)
        await connection.close()

    asyncio.run(make())


class Peer:
    """A server process, on the first core. Subclasses implement its protocol."""

    ack: ClassVar[bytes]
    new: ClassVar[bytes]
    typing: ClassVar[bytes]

    def __init__(self, name: str, command: list[str], data: Databases, log: IO[bytes]) -> None:
        self.name, self._data, self._log = name, data, log
        self.port = free_port()
        command = [*command, str(self.port), SECRET, data.dsn, data.redis]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        self.pid = self.process.pid
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise
        pin_threads(self.pid, 0)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(POLL_S)
        raise ServerFailed(f"{self.name} did not start: {self.output()}")

    def output(self) -> str:
        """The end of its output."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:].strip()

    def cpu(self) -> Cpu:
        return cpu_of([self.pid])

    def database_cpu(self) -> Cpu:
        return cpu_of_family(self._data.postmaster)

    def resident(self) -> int:
        return resident_bytes(self.pid)

    def close(self) -> None:
        stop(self.process, STOP_TIMEOUT_S)


class SocketIoPeer(Peer):
    """Events and acknowledgements of Socket.IO 4, over WebSocket alone."""

    ack, new, typing = b"43", b'42["message:new"', b'42["typing"'

    def connect(self, user: str) -> Connection:
        return self.connect_with(token(user))

    def connect_with(self, jwt: str) -> Connection:
        """Raises ConnectionError if the server rejects the token."""
        head = upgrade("/socket.io/?EIO=4&transport=websocket")
        connection = Connection(("127.0.0.1", self.port), head, 1, heartbeat=(b"2", b"3"))
        connection.wait_for(b"0{")
        connection.send(b"40" + json.dumps({"token": jwt}).encode())
        answer = connection.wait_for(b"4")
        if not answer.startswith(b"40"):
            connection.close()
            raise ConnectionError(answer.decode())
        return connection

    def room(self, members: list[tuple[str, Connection]]) -> str:
        room = str(uuid4())
        for _, connection in members:
            connection.send(f'420["join","{room}"]'.encode())
            connection.wait_for(b"430")
        return room

    def message(self, room: str, client_id: str, number: int = 1) -> bytes:
        return self._event("message", room, client_id, number)

    def broadcast(self, room: str, client_id: str) -> bytes:
        return self._event("broadcast", room, client_id, 1)

    def _event(self, event: str, room: str, client_id: str, number: int) -> bytes:
        body = {"room": room, "client_id": client_id, "text": TEXT}
        return f"42{number}{json.dumps([event, body], separators=(',', ':'))}".encode()

    def type_in(self, room: str, *, on: bool = True, unanswered: bool = False) -> bytes:
        """The events of Socket.IO have no answer."""
        return f'42["typing","{room}"]'.encode()


class JsonPeer(Peer):
    """JSON objects with a `type`; the token is in the header of the handshake."""

    ack, new, typing = b'"ack"', b'"message:new"', b'"typing"'

    def connect(self, user: str) -> Connection:
        return self.connect_with(token(user))

    def connect_with(self, jwt: str) -> Connection:
        """Raises ConnectionError if the server rejects the token."""
        return Connection(("127.0.0.1", self.port), upgrade("/", f"Authorization: Bearer {jwt}"), 1)

    def room(self, members: list[tuple[str, Connection]]) -> str:
        room = str(uuid4())
        for _, connection in members:
            connection.send(encoded(type="join", id=1, room=room))
            connection.wait_for(b'"ok"')
        return room

    def message(self, room: str, client_id: str, number: int = 1) -> bytes:
        return encoded(type="message", id=number, room=room, client_id=client_id, text=TEXT)

    def broadcast(self, room: str, client_id: str) -> bytes:
        return encoded(type="broadcast", id=1, room=room, client_id=client_id, text=TEXT)

    def type_in(self, room: str, *, on: bool = True, unanswered: bool = False) -> bytes:
        """It has no answer."""
        return encoded(type="typing", room=room)


def encoded(**body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Kind:
    """A server of `peer/`: its file, and what it is, for reports."""

    client: type[SocketIoPeer] | type[JsonPeer]
    file: str
    about: str

    @property
    def packages(self) -> Packages:
        return NODE if self.file.endswith(".js") else PYTHON


KINDS = {
    "socket.io": Kind(SocketIoPeer, "socket_io.js", "Socket.IO 4 on Node"),
    "socket.io-redis": Kind(SocketIoPeer, "socket_io_redis.js", "Socket.IO 4 with the Redis adapter"),
    "ws": Kind(JsonPeer, "ws.js", "`ws` on Node"),
    "python-socketio": Kind(SocketIoPeer, "python_socketio_server.py", "python-socketio under uvicorn"),
    "websockets": Kind(JsonPeer, "websockets_server.py", "`websockets` on asyncio and uvloop"),
    "trio-websocket": Kind(JsonPeer, "trio_websocket_server.py", "trio-websocket, used plainly"),
}


@contextmanager
def peers(names: list[str], data: Databases) -> Iterator[list[SocketIoPeer | JsonPeer]]:
    """Running servers of these kinds. Raises NotInstalled, ServerFailed."""
    with ExitStack() as stack:
        make_table(data.dsn)
        started: list[SocketIoPeer | JsonPeer] = []
        for name in names:
            kind = KINDS[name]
            kind.packages.install()
            log = stack.enter_context(tempfile.TemporaryFile())
            peer = kind.client(name, [kind.packages.interpreter(), str(FOLDER / kind.file)], data, log)
            stack.callback(peer.close)
            started.append(peer)
        yield started


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])

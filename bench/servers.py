"""The servers under load behind one interface, so that each scenario is written once."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import jwt
import msgspec
import trio

from bench.processes import STOP_TIMEOUT_S, Cpu, cpu_of, cpu_of_family, pin_threads
from bench.wire import KEY, Connection
from chatd.bench.own_server import RAISED_LIMITS
from chatd.bench.processes import family, resident_bytes, stop, with_helpers
from chatd.db.embedded import postgres, redis

SECRET = "0123456789abcdef0123456789abcdef"
TEXT = "x" * 100
SETTLE_S = 0.3
NO_SETTINGS: Mapping[str, str] = {}
# A server is idle when it and its database use less than this share of a core.
IDLE_LOOK_S, IDLE_SHARE, MAX_IDLE_WAIT_S = 0.25, 0.1, 20.0


class ServerFailed(Exception):
    """A server did not start, or lost or repeated a message, or delivered one that no client had sent."""


class Server(Protocol):
    """`ack`, `new`, `typing`: what a message of that kind contains."""

    name: str
    ack: bytes
    new: bytes
    typing: bytes

    def connect(self, user: str) -> Connection:
        """An authenticated connection."""
        ...

    def room(self, members: list[tuple[str, Connection]]) -> str:
        """A conversation of these users."""
        ...

    def message(self, room: str, client_id: str, number: int = 1) -> bytes:
        """A message that is stored before it is acknowledged. `number`: the id of the command."""
        ...

    def broadcast(self, room: str, client_id: str) -> bytes:
        """A message that the server may forward without storing it."""
        ...

    def type_in(self, room: str, *, on: bool = True, unanswered: bool = False) -> bytes:
        """Start or stop typing."""
        ...

    def cpu(self) -> Cpu: ...

    def database_cpu(self) -> Cpu: ...

    def resident(self) -> int:
        """Bytes of memory."""
        ...

    def close(self) -> None: ...


def token(user: str, secret: str = SECRET) -> str:
    return jwt.encode(
        {"sub": user, "exp": 2**31, "iat": 1, "jti": str(uuid4()), "scope": "user"}, secret, algorithm="HS256"
    )


def upgrade(path: str, *lines: str) -> bytes:
    head = [
        f"GET {path} HTTP/1.1",
        "Host: bench",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


class Chatd:
    """chatd with its embedded Postgres and Redis: the server on the first core, its index process and Postgres on the
    second.

    `settings`: environment variables. With a Postgres among them, `cpu` does not include that server.
    """

    ack, new, typing = b"message.ack", b"message.new", b"typing.st"

    def __init__(
        self,
        limits: Mapping[str, float] = RAISED_LIMITS,
        name: str = "chatd",
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-bench-"))
        environment = {f"CHATD_LIMITS__{name}": str(value) for name, value in limits.items()}
        environment |= {"CHATD_DATA__DIR": str(self.folder), "CHATD_AUTH__SECRET": SECRET, "CHATD_DATA__SECRET": SECRET}
        environment |= {"CHATD_GATEWAY__PORT": "0", "CHATD_HTTP__PORT": "0", "CHATD_LOG__LEVEL": "warning"}
        # If the load generator is killed, its end of standard input is closed, and the server stops by itself.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatd", "serve", "--supervised"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | environment | settings,
            start_new_session=True,
        )
        try:
            line = self._first_line()
        except BaseException:
            # A server that is stopped while it starts leaves databases that cannot be found yet.
            self._first_line()
            self.close()
            raise
        if len(line) < 2:
            self.close()
            raise ServerFailed("chatd did not start")
        self.socket, self.http = line[-2], line[-1]
        self.pid = self.process.pid
        lock = self.folder / "postgres" / "postmaster.pid"
        self.postmaster = int(lock.read_text().split()[0]) if lock.exists() else None
        pin_threads(self.pid, 0)
        for pid in (*with_helpers(self.pid)[1:], *(family(self.postmaster) if self.postmaster else ())):
            pin_threads(pid, 1)

    def _first_line(self) -> list[str]:
        """What it prints when it is ready; nothing if it ends."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().split()

    @property
    def dsn(self) -> str:
        return f"postgresql://chatd@/chatd?host={self.folder / 'postgres'}"

    def connect(self, user: str) -> Connection:
        host, _, rest = self.socket.removeprefix("ws://").partition(":")
        lines = ("Sec-WebSocket-Protocol: chatd.v1.msgpack", f"Authorization: Bearer {token(user)}")
        connection = Connection((host, int(rest.partition("/")[0])), upgrade("/v1/ws", *lines), 2)
        connection.wait_for(b"connected")
        return connection

    def rest(self, path: str, user: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(user)}"}
        request = urllib.request.Request(self.http + path, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def room(self, members: list[tuple[str, Connection]]) -> str:
        users = [user for user, _ in members]
        if len(users) == 2:
            made = self.rest("/v1/conversations/direct", users[0], {"user": users[1]})
        else:
            made = self.rest("/v1/conversations", users[0], {"members": users})
        return str(made["conversation"]["id"])

    def message(self, room: str, client_id: str, number: int = 1) -> bytes:
        body = {"t": "message.send", "conversation": room, "client_id": client_id, "text": TEXT}
        return msgspec.msgpack.encode([number, body])

    def broadcast(self, room: str, client_id: str) -> bytes:
        return self.message(room, client_id)

    def type_in(self, room: str, *, on: bool = True, unanswered: bool = False) -> bytes:
        """A repetition of either would not be sent on."""
        kind = "typing.start" if on else "typing.stop"
        return msgspec.msgpack.encode([0 if unanswered else 1, {"t": kind, "conversation": room}])

    def cpu(self) -> Cpu:
        """That of the index process too."""
        return cpu_of(with_helpers(self.pid))

    def database_cpu(self) -> Cpu:
        return cpu_of_family(self.postmaster) if self.postmaster else Cpu(0, 0)

    def resident(self) -> int:
        return resident_bytes(self.pid)

    def close(self) -> None:
        """Stop it, and its databases if it left them running."""
        stop(self.process, STOP_TIMEOUT_S)
        trio.run(self._stop_databases)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _stop_databases(self) -> None:
        await postgres.Server(self.folder / "postgres", {}).stop("immediate")
        await redis.Server(self.folder / "redis").stop()


def settle() -> None:
    time.sleep(SETTLE_S)


def wait_until_idle(server: Server) -> None:
    """Wait for work that the server does after its last answer, such as indexing, so that it is measured too."""
    deadline = time.monotonic() + MAX_IDLE_WAIT_S
    while time.monotonic() < deadline:
        before = server.cpu().total + server.database_cpu().total
        time.sleep(IDLE_LOOK_S)
        if server.cpu().total + server.database_cpu().total - before < IDLE_SHARE * IDLE_LOOK_S:
            return

"""The two servers behind one interface, so that each scenario is written once."""

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
from typing import Any
from uuid import uuid4

import jwt
import msgspec

from bench.processes import Cpu, cpu_of, end, family, pin, resident
from bench.wire import KEY, Peer
from chatd.bench.own_server import RAISED_LIMITS

HERE = Path(__file__).parent
SECRET = "0123456789abcdef0123456789abcdef"
TEXT = "x" * 100


def token(user: str) -> str:
    return jwt.encode(
        {"sub": user, "exp": 2**31, "iat": 1, "jti": str(uuid4()), "scope": "user"}, SECRET, algorithm="HS256"
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
    """chatd and its embedded Postgres, which the peer uses too.

    The server runs on the first core, the rest on the second.
    """

    name = "chatd"
    ack, new, typing = b"message.ack", b"message.new", b"typing.st"

    def __init__(self, limits: Mapping[str, float] = RAISED_LIMITS) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-bench-"))
        environment = {f"CHATD_LIMITS__{name}": str(value) for name, value in limits.items()}
        environment |= {"CHATD_DATA__DIR": str(self.folder), "CHATD_AUTH__SECRET": SECRET, "CHATD_DATA__SECRET": SECRET}
        environment |= {"CHATD_GATEWAY__PORT": "0", "CHATD_HTTP__PORT": "0", "CHATD_LOG__LEVEL": "warning"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatd", "serve"], stdout=subprocess.PIPE, env=os.environ | environment
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode().split()
        self.socket, self.http = line[-2], line[-1]
        self.pid = self.process.pid
        self.postmaster = int((self.folder / "postgres" / "postmaster.pid").read_text().split()[0])
        pin(self.pid, 0)
        for pid in family(self.postmaster):
            pin(pid, 1)

    @property
    def dsn(self) -> str:
        return f"postgresql://chatd@/chatd?host={self.folder / 'postgres'}"

    def connect(self, user: str) -> Peer:
        host, _, rest = self.socket.removeprefix("ws://").partition(":")
        lines = ("Sec-WebSocket-Protocol: chatd.v1.msgpack", f"Authorization: Bearer {token(user)}")
        peer = Peer((host, int(rest.partition("/")[0])), upgrade("/v1/ws", *lines), 2)
        peer.wait_for(b"connected")
        return peer

    def rest(self, path: str, user: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(user)}"}
        request = urllib.request.Request(self.http + path, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def room(self, members: list[tuple[str, Peer]]) -> str:
        """A conversation of these users."""
        users = [user for user, _ in members]
        if len(users) == 2:
            made = self.rest("/v1/conversations/direct", users[0], {"user": users[1]})
        else:
            made = self.rest("/v1/conversations", users[0], {"members": users})
        return str(made["conversation"]["id"])

    def message(self, room: str, client_id: str, *, stored: bool = True) -> bytes:
        body = {"t": "message.send", "conversation": room, "client_id": client_id, "text": TEXT}
        return msgspec.msgpack.encode([1, body])

    def type_in(self, room: str, *, on: bool = True, unanswered: bool = False) -> bytes:
        """Start or stop typing: a repetition of either would not be sent on."""
        kind = "typing.start" if on else "typing.stop"
        return msgspec.msgpack.encode([0 if unanswered else 1, {"t": kind, "conversation": room}])

    def cpu(self) -> Cpu:
        return cpu_of([self.pid])

    def database_cpu(self) -> Cpu:
        return cpu_of(family(self.postmaster))

    def resident(self) -> int:
        return resident(self.pid)

    def close(self) -> None:
        end(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


class SocketIO:
    """Socket.IO 4 on Node, with the Postgres of the running chatd."""

    name = "socket.io"
    ack, new, typing = b"43", b"message:new", b'"typing"'

    def __init__(self, chatd: Chatd) -> None:
        folder = HERE / "peer"
        if not (folder / "node_modules").exists():
            subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
        self._chatd = chatd
        self.port = 20_000 + os.getpid() % 20_000
        command = ["node", str(folder / "server.js"), str(self.port), SECRET, chatd.dsn]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.pid = self.process.pid
        pin(self.pid, 0)
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            pin(int(thread.name), 0)

    def connect(self, user: str) -> Peer:
        peer = Peer(("127.0.0.1", self.port), upgrade("/socket.io/?EIO=4&transport=websocket"), 1)
        peer.wait_for(b"0{")
        peer.send(b"40" + json.dumps({"token": token(user)}).encode())
        peer.wait_for(b"40{")
        return peer

    def room(self, members: list[tuple[str, Peer]]) -> str:
        room = str(uuid4())
        for _, peer in members:
            peer.send(f'420["join","{room}"]'.encode())
            peer.wait_for(b"430")
        return room

    def message(self, room: str, client_id: str, *, stored: bool = True) -> bytes:
        body = {"room": room, "client_id": client_id, "text": TEXT}
        return b"421" + json.dumps(["message" if stored else "broadcast", body], separators=(",", ":")).encode()

    def type_in(self, room: str, *, on: bool = True, unanswered: bool = False) -> bytes:
        """The events of Socket.IO have no answer."""
        return f'42["typing","{room}"]'.encode()

    def cpu(self) -> Cpu:
        return cpu_of([self.pid])

    def database_cpu(self) -> Cpu:
        return self._chatd.database_cpu()

    def resident(self) -> int:
        return resident(self.pid)

    def close(self) -> None:
        end(self.process)


Server = Chatd | SocketIO


def settle() -> None:
    time.sleep(0.3)

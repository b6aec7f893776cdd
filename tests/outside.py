"""A minimal external HTTP server: it records requests, and sends the answers of the test."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answers = Callable[[Asked], Awaitable[bytes]]


@dataclass
class Outside:
    """Its address, and the requests so far."""

    port: int
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=not-for-the-log"


def answer(body: Any, status: str = "200 OK", **headers: str) -> bytes:
    """A complete response; bytes are sent as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{lines}\r\n".encode() + data


@asynccontextmanager
async def outside(answers: Answers) -> AsyncIterator[Outside]:
    """Serve as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = Outside(listeners[0].socket.getsockname()[1])

        async def serve(stream: trio.SocketStream) -> None:
            try:
                while asked := await read(stream):
                    server.asked.append(asked)
                    await stream.send_all(await answers(asked))
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield server
        nursery.cancel_scope.cancel()


async def read(stream: trio.SocketStream) -> Asked | None:
    """The next request, or None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = await stream.receive_some()
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += await stream.receive_some()
    method, path, _ = first.split(" ")
    return Asked(method, path, headers, body)

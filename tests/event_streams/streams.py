"""Clients of /v1/events, as bytes: a stream of Server-Sent Events, and a long poll."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode

import h11
import trio

from tests.support import PATIENCE, Answer, Daemon

Frame = list[Any]


class EventStream:
    """One response of Server-Sent Events. `position`: the id of the last event; `events`: all of them."""

    def __init__(self, stream: trio.SocketStream, connection: h11.Connection) -> None:
        self.socket = stream
        self.head: Any = None
        self.position = ""
        self.events: list[dict[str, Any]] = []
        self.comments = 0
        self.is_over = False
        self._connection = connection
        self._text = b""

    async def _part(self) -> bytes | None:
        """The next part of the body; None at its end."""
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                try:
                    self._connection.receive_data(await self.socket.receive_some(65_536))
                except trio.BrokenResourceError:
                    return None
            elif isinstance(event, h11.Response):
                self.head = event
                return b""
            elif isinstance(event, h11.Data):
                return bytes(event.data)
            else:
                return None

    async def read_more(self) -> bool:
        """Read at least one part. Returns False at the end."""
        try:
            part = await self._part()
        except h11.RemoteProtocolError:
            part = None
        if part is None:
            self.is_over = True
            return False
        self._text += part
        *blocks, self._text = self._text.split(b"\n\n")
        for block in blocks:
            self._take(block.decode())
        return True

    def _take(self, block: str) -> None:
        """One block (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)."""
        fields = [line.partition(": ") for line in block.split("\n")]
        self.comments += sum(name.startswith(":") for name, _, _ in fields)
        found = {name: value for name, _, value in fields if name in ("id", "data")}
        if "data" in found:
            frame = json.loads(found["data"])
            assert frame[0] == 0
            self.position = found["id"]
            self.events.append(frame[1])

    async def event(self, kind: str, patience: float = PATIENCE) -> dict[str, Any]:
        """The first event of this type that was not returned before; earlier ones stay."""
        with trio.fail_after(patience):
            while True:
                for event in self.events:
                    if event["t"] == kind and not event.get("returned"):
                        event["returned"] = True
                        return event
                assert await self.read_more(), self.events

    async def rest(self, patience: float = PATIENCE) -> list[dict[str, Any]]:
        """All events, once the response is over."""
        with trio.fail_after(patience):
            while await self.read_more():
                pass
        return self.events

    @property
    def status(self) -> int:
        return int(self.head.status_code)

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.head.headers}


@asynccontextmanager
async def event_stream(
    daemon: Daemon, token: str | None = None, after: str = "", *, buffer_bytes: int = 0, **query: str
) -> AsyncIterator[EventStream]:
    """Connect, and read the head of the response. `after` is sent as an EventSource does."""
    host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
    sock = trio.socket.socket()
    if buffer_bytes:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, buffer_bytes)
    await sock.connect((host, int(port)))
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", "chatd.test"), ("Accept", "text/event-stream")]
    headers += [("Authorization", f"Bearer {token}")] if token else []
    headers += [("Last-Event-ID", after)] if after else []
    target = "/v1/events" + (f"?{urlencode(query)}" if query else "")
    async with trio.SocketStream(sock) as stream:
        await stream.send_all(connection.send(h11.Request(method="GET", target=target, headers=headers)) or b"")
        connection.send(h11.EndOfMessage())
        found = EventStream(stream, connection)
        with trio.fail_after(PATIENCE):
            while found.head is None and await found.read_more():
                pass
        with suppress(trio.BrokenResourceError):
            yield found


class Poller:
    """A client that polls, at any node. `events`: all that it has got."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.position = ""
        self.session = ""
        self.events: list[dict[str, Any]] = []

    async def poll(self, daemon: Daemon, wait: float = 0, *, is_lost: bool = False) -> list[dict[str, Any]]:
        """One poll. `is_lost`: the client does not get the response."""
        answer = await self.answer(daemon, wait)
        assert answer.status == 200, answer.body
        found = [frame[1] for frame in answer.body]
        if not is_lost:
            self.position = answer.headers["chatd-position"]
            self.events += found
            for event in found:
                if event["t"] == "connected":
                    self.session = event["session"]
        return found

    async def answer(self, daemon: Daemon, wait: float = 0) -> Answer:
        after = f"&after={self.position}" if self.position else ""
        return await daemon.rest("GET", f"/v1/events?wait={wait}{after}", token=self.token)

    async def event(self, daemon: Daemon, kind: str) -> dict[str, Any]:
        """The next event of this type."""
        with trio.fail_after(PATIENCE):
            while True:
                for event in await self.poll(daemon, 5):
                    if event["t"] == kind:
                        return event

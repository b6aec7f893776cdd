"""A browser: no headers, an Origin, tokens in a subprotocol, and REST from another origin."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import trio
from msgspec.structs import replace

from chatd.core.config import Config
from tests.interop.tools import tool
from tests.support import PATIENCE, running

PAGE = """<!doctype html><script type="module">
const seen = [];
const report = () => fetch("/report", { method: "POST", body: JSON.stringify(seen) });
const answer = await fetch("%(http)s/v1/auth/anonymous",
  { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
const account = await answer.json();
const socket = new WebSocket("%(socket)s", ["chatd.v1.json", "bearer." + account.access_token]);
socket.onmessage = ({ data }) => {
  const [id, body] = JSON.parse(data);
  seen.push(body.t);
  if (body.t === "connected") socket.send(JSON.stringify([1, { t: "conversation.open", user: "%(other)s" }]));
  if (body.t === "conversation")
    socket.send(JSON.stringify([2, {
      t: "message.send", conversation: body.conversation.id, client_id: "1", text: "héllo" }]));
  if (body.t === "message.ack") report();
};
socket.onclose = ({ code }) => { seen.push("closed " + code); report(); };
</script>"""


class Site:
    """The origin of the page, and the address for its report."""

    def __init__(self, listeners: list[trio.SocketListener]) -> None:
        self._listeners = listeners
        self._send, self._reports = trio.open_memory_channel[Any](10)
        self.origin = "http://127.0.0.1:" + str(listeners[0].socket.getsockname()[1])
        self.page = ""

    async def run(self) -> None:
        await trio.serve_listeners(self._answer, self._listeners)

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            data = b""
            while not whole(data):
                part = await stream.receive_some()
                if not part:
                    return
                data += part
            head, _, body = data.partition(b"\r\n\r\n")
            if head.startswith(b"POST /report"):
                self._send.send_nowait(json.loads(body))
            page = self.page.encode()
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
                + f"Content-Length: {len(page)}\r\n\r\n".encode()
                + page
            )

    async def report(self) -> Any:
        with trio.fail_after(6 * PATIENCE):
            return await self._reports.receive()


def whole(data: bytes) -> bool:
    head, end, body = data.lower().partition(b"\r\n\r\n")
    _, _, length = head.partition(b"content-length: ")
    return bool(end) and len(body) >= int(length.split(b"\r\n")[0] or 0)


@asynccontextmanager
async def chromium(url: str, home: Path) -> AsyncIterator[None]:
    command = [
        tool("chromium", "chromium"),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={home}",
        url,
    ]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    async with trio.open_nursery() as nursery:
        started = Site(await trio.open_tcp_listeners(0, host="127.0.0.1"))
        nursery.start_soon(started.run)
        yield started
        nursery.cancel_scope.cancel()


async def test_a_page_signs_up_and_sends(config: Config, tmp_path: Path) -> None:
    tool("chromium", "chromium")
    async with site() as page:
        allowed = replace(
            config,
            gateway=replace(config.gateway, origins=[page.origin]),
            http=replace(config.http, cors_origins=[page.origin]),
        )
        async with running(allowed) as daemon, daemon.person() as other:
            page.page = PAGE % {"http": daemon.addresses.http, "socket": daemon.addresses.socket, "other": other.user}
            async with chromium(page.origin, tmp_path / "profile"):
                assert await page.report() == ["connected", "conversation", "message.ack"]
                assert (await other.event("message.new"))["message"]["text"] == "héllo"


async def test_page_of_an_unlisted_origin_cannot_connect(config: Config, tmp_path: Path) -> None:
    tool("chromium", "chromium")
    async with site() as page:
        allowed = replace(config, http=replace(config.http, cors_origins=[page.origin]))
        async with running(allowed) as daemon:
            page.page = PAGE % {"http": daemon.addresses.http, "socket": daemon.addresses.socket, "other": str(uuid4())}
            async with chromium(page.origin, tmp_path / "profile"):
                assert await page.report() == ["closed 1006"]

"""Both ports behind one port of a reverse proxy, with the configuration of docs/operations.md."""

import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from textwrap import dedent

import httpx
import pytest
import trio
from msgspec.structs import replace

from chatd.app.addresses import Addresses
from chatd.client import sign_up
from chatd.core.config import Config
from tests.event_streams.streams import Poller, event_stream
from tests.interop.tools import tool
from tests.support import PATIENCE, Daemon, Person, running

Proxied = Callable[[Daemon, Path], AbstractAsyncContextManager[tuple[int, int]]]
DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
NGINX = """
daemon off;
user root;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_types *;
    server {{ listen 127.0.0.1:{port}; {snippet} }}
    server {{ listen 127.0.0.1:{h2_port} http2; {snippet} }}
}}
"""


def documented(begin: str, daemon: Daemon) -> str:
    """The block of the document that begins with this line, for the ports of the daemon."""
    block = re.search(rf"(?m)^    {re.escape(begin)}.*\n(?:(?:    .*)?\n)+", DOCUMENT.read_text())
    assert block is not None
    ports = [address.split(":")[2].split("/")[0] for address in (daemon.addresses.socket, daemon.addresses.http)]
    return (
        dedent(block[0])
        .replace("127.0.0.1:8080", f"127.0.0.1:{ports[0]}")
        .replace("127.0.0.1:8081", f"127.0.0.1:{ports[1]}")
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(*command: str) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as proxy:
        try:
            yield
        finally:
            proxy.terminate()


async def wait_for(port: int) -> None:
    with trio.fail_after(PATIENCE):
        while True:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            except OSError:
                await trio.sleep(0.05)
            else:
                return


@asynccontextmanager
async def behind_nginx(daemon: Daemon, folder: Path) -> AsyncIterator[tuple[int, int]]:
    program = tool("nginx", "nginx-light")
    port, h2_port = free_port(), free_port()
    snippet = documented("location = /v1/ws {", daemon)
    (folder / "conf").write_text(NGINX.format(folder=folder, port=port, h2_port=h2_port, snippet=snippet))
    with started(program, "-c", str(folder / "conf"), "-e", str(folder / "log")):
        await wait_for(port)
        yield port, h2_port


@asynccontextmanager
async def behind_caddy(daemon: Daemon, folder: Path) -> AsyncIterator[tuple[int, int]]:
    program, port, h2_port = tool("caddy", "caddy"), free_port(), free_port()
    snippet = documented("chat.example.org {", daemon)
    options = "{\n    admin off\n    auto_https off\n    servers {\n        protocols h1 h2c\n    }\n}\n"
    sites = [snippet.replace("chat.example.org", f":{one}") for one in (port, h2_port)]
    (folder / "Caddyfile").write_text(options + "".join(sites))
    with started(program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")):
        await wait_for(port)
        yield port, h2_port


@pytest.mark.parametrize("proxied", [behind_nginx, behind_caddy])
async def test_one_port_serves_everything(config: Config, tmp_path: Path, proxied: Proxied) -> None:
    gateway = replace(config.gateway, trusted_proxies=["127.0.0.1"], heartbeat=0.5)
    async with running(replace(config, gateway=gateway)) as inner, proxied(inner, tmp_path) as (port, h2_port):
        http = f"http://127.0.0.1:{port}"
        daemon = Daemon(inner.config, Addresses(f"ws://127.0.0.1:{port}/v1/ws", http))
        bob = await sign_up(http, name="bob")
        async with daemon.person("alice") as alice, event_stream(daemon, bob.access_token) as stream:
            conversation = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
            poller = Poller(bob.access_token)
            await poller.poll(daemon)
            await alice.send(conversation, "hi")
            assert (await stream.event("message.new"))["message"]["text"] == "hi"
            assert (await poller.event(daemon, "message.new"))["message"]["text"] == "hi"
            assert "content-encoding" not in stream.headers
            before = stream.comments
            while stream.comments < before + 2:
                assert await stream.read_more()
            await stream_over_http2(f"http://127.0.0.1:{h2_port}/v1/events", bob.access_token, alice, conversation)


async def stream_over_http2(url: str, token: str, alice: Person, conversation: str) -> None:
    """As browsers do it: the stream arrives in parts, each at once."""
    async with httpx.AsyncClient(http2=True, http1=False) as client:
        with trio.fail_after(PATIENCE):
            async with client.stream("GET", url, headers={"Authorization": f"Bearer {token}"}) as response:
                assert (response.status_code, response.http_version) == (200, "HTTP/2")
                text, was_sent = "", False
                async for part in response.aiter_text():
                    text += part
                    if '"connected"' in text and not was_sent:
                        was_sent = True
                        await alice.send(conversation, "over http2")
                    if "over http2" in text:
                        return

"""With `gateway.single_port`, the WebSocket port serves what the HTTP port does."""

import json
from collections.abc import AsyncIterator

import pytest
import trio
from msgspec.structs import replace

from chatd.app.addresses import Addresses
from chatd.client import sign_up
from chatd.core.config import Config
from tests.event_streams.streams import event_stream
from tests.support import PATIENCE, Answer, Daemon, running


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A daemon whose HTTP address is that of the WebSocket port."""
    config = replace(config, gateway=replace(config.gateway, single_port=True, handshake_timeout=1.0))
    async with running(config) as started:
        http = started.addresses.socket.removesuffix("/v1/ws").replace("ws:", "http:")
        yield Daemon(config, Addresses(started.addresses.socket, http))


async def connect(daemon: Daemon) -> trio.SocketStream:
    host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
    return await trio.open_tcp_stream(host, int(port))


async def test_one_port_serves_both(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob = await sign_up(daemon.addresses.http, name="bob")
        async with event_stream(daemon, bob.access_token) as stream:
            conversation = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
            body = {"client_id": "1", "text": "x" * 16_000}
            sent = await daemon.rest("POST", f"/v1/conversations/{conversation}/messages", body, bob.access_token)
            assert (await alice.event("message.new"))["message"]["id"] == sent.body["message"]
            await alice.send(conversation, "hi")
            while (await stream.event("message.new"))["message"]["text"] != "hi":
                pass
        assert (await daemon.rest("GET", "/readyz")).status == 200
        assert (await daemon.rest("GET", "/nothing")).status == 404
        assert (await daemon.rest("GET", "/v1/ws/")).status == 404
        assert (await daemon.rest("GET", "/openapi.json")).body["servers"] == [{"url": daemon.addresses.http}]
        # What is for the socket is answered by it.
        assert (await daemon.rest("GET", "/v1/ws?ticket=x")).status == 426
        assert await alice.is_served()


async def test_requests_may_arrive_in_pieces_and_together(daemon: Daemon) -> None:
    body = json.dumps({"name": "bob", "login_name": "x" * 90}).encode()
    head = (
        b"POST /v1/auth/anonymous HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    request = head % len(body) + body
    async with await connect(daemon) as stream:
        for start in range(0, len(request), 50):
            await stream.send_all(request[start : start + 50])
            await trio.sleep(0.001)
        with trio.fail_after(PATIENCE):
            assert (await Answer.receive(stream)).status == 200
        # The same connection, and two requests in one segment.
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        data = b""
        with trio.fail_after(PATIENCE):
            while data.count(b'{"status":"ok"}') < 2:
                data += (part := bytes(await stream.receive_some()))
                assert part, data


async def test_a_head_that_does_not_arrive_is_not_waited_for(daemon: Daemon) -> None:
    async with await connect(daemon) as stream:
        await stream.send_all(b"GET /healthz HTT")
        with trio.fail_after(PATIENCE):
            assert await stream.receive_some() == b""
    async with await connect(daemon) as stream:
        await stream.send_all(b"\x16\x03\x01\r\n\r\n")
        with trio.fail_after(PATIENCE):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
    async with await connect(daemon) as stream:
        await stream.send_all(b"GET\r\n\r\n")
        with trio.fail_after(PATIENCE):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")

"""The tools of the tests themselves."""

from functools import partial

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket
from wsproto.events import Ping
from wsproto.utilities import LocalProtocolError

from chatd.app.addresses import Addresses
from chatd.client import Account
from chatd.core.config import Config
from tests.support import Daemon


async def send_pings(request: WebSocketRequest) -> None:
    """Greet, and send pings without a pause."""
    connection: WebSocketConnection = await request.accept(subprotocol="chatd.v1.json")
    await connection.send_message('[0,{"t":"hello"}]')
    try:
        while True:
            await connection._send(Ping(payload=b"x"))
    except (ConnectionClosed, LocalProtocolError):
        pass


async def test_a_ping_may_arrive_while_a_connection_ends() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, send_pings, "127.0.0.1", 0, None))
        daemon = Daemon(Config(), Addresses(f"ws://127.0.0.1:{server.port}", ""))
        for _ in range(50):
            async with daemon.connected(Account("default", "ann", "token", "")) as person:
                assert person.hello["t"] == "hello"
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()

"""A client that waits for its response has nothing to say: the timeout between parts of a request is not for it."""

import trio

from chatd.app.listening import open_listener
from chatd.core.config import Config, Http
from chatd.core.health import Health
from chatd.http.server import ServerTunables, open_http

PARTS = 6
READ_TIMEOUT_S = 0.1


async def test_a_response_may_take_longer_than_a_pause_in_a_request() -> None:
    """And afterwards the connection takes the next request."""

    async def slowly(scope: object, receive: object, send: object) -> None:
        length = (b"content-length", str(PARTS).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        for _ in range(PARTS):
            await trio.sleep(READ_TIMEOUT_S)
            await send({"type": "http.response.body", "body": b".", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    with open_listener("127.0.0.1", 0, 16) as listener:
        place = listener.getsockname()
        tunables = ServerTunables(read_timeout_s=READ_TIMEOUT_S)
        async with open_http(slowly, listener, Config(http=Http()), Health(), tunables):
            stream = await trio.open_tcp_stream(*place)
            async with stream:
                for _ in range(2):
                    await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    data = b""
                    while not data.endswith(b"." * PARTS):
                        data += (part := bytes(await stream.receive_some()))
                        assert part, data

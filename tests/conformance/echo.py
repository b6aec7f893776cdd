"""An echo server on the production listener, handshake and fast path, for any WebSocket conformance suite.

python -m tests.conformance.echo PORT [MAX_MESSAGE_BYTES]
"""

import sys

import trio
from trio_websocket import WebSocketConnection

from chatd.app.listening import open_listener
from chatd.core.config import Gateway, Limits
from chatd.core.rate_limit import TokenBucket
from chatd.gateway.admission import Admission
from chatd.gateway.fast_path import Lane
from chatd.gateway.handshake import Handshake
from chatd.gateway.limits import Rules
from chatd.gateway.listener import House, Listener
from chatd.wire.frames import BINARY, TEXT, encode_frame

GENEROUS = Limits(
    connections_per_address=100_000, pending_per_address=100_000, accepts_per_second=100_000, accepts_per_address=100_000
)


def echo_house(settings: Gateway) -> House[None]:
    async def authenticate(handshake: Handshake) -> None:
        return None

    async def serve(connection: WebSocketConnection, lane: Lane, handshake: Handshake, guest: None) -> None:
        async def receive(opcode: int, payload: bytes) -> None:
            if connection.closed is None:
                lane.send_nowait(encode_frame(opcode, payload))

        def exceeded(close: str) -> None:
            raise AssertionError(f"the limit of {close} is lifted here")

        control = TokenBucket(float("inf"), float("inf"))
        lane.open(Rules(receive, exceeded, {TEXT, BINARY}, settings.max_message_bytes, settings.max_frames, control))
        await lane.pump(connection)

    return House(authenticate, lambda handshake: None, serve)


async def main(port: int, max_message: int = 16 * 2**20) -> None:
    settings = Gateway(path="/", max_message_bytes=max_message, max_frames=10**9, outbox_bytes=2**30, outbox_frames=10**9)
    sock = open_listener("127.0.0.1", port, settings.backlog)
    print(f"echo at ws://127.0.0.1:{sock.getsockname()[1]}/", flush=True)
    await Listener(sock, settings, Admission(GENEROUS), echo_house(settings)).run()


if __name__ == "__main__":
    trio.run(main, *map(int, sys.argv[1:]))

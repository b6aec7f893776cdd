"""An echo server on the production listener, handshake and fast path, for any WebSocket conformance suite.

python -m tests.conformance.echo PORT [MAX_MESSAGE_BYTES]
"""

import sys

import trio

from chatd.app.listening import open_listener
from chatd.core.config import Gateway, Limits
from chatd.core.rate_limit import TokenBucket
from chatd.gateway.admission import Admission
from chatd.gateway.fast_path import FastPathStream
from chatd.gateway.frame_rules import FrameRules
from chatd.gateway.handshake import Handshake
from chatd.gateway.listener import Listener
from chatd.wire.frames import BINARY, TEXT, encode_frame

GENEROUS = Limits(
    connections_per_address=100_000,
    pending_per_address=100_000,
    accepts_per_second=100_000,
    accepts_per_address=100_000,
)


class Echo:
    """An endpoint that returns each message to its sender."""

    def __init__(self, settings: Gateway) -> None:
        self._settings = settings

    async def authenticate(self, handshake: Handshake) -> None:
        """Admit every peer."""

    def choose_subprotocol(self, handshake: Handshake) -> None:
        """Choose none."""

    async def serve(self, stream: FastPathStream, handshake: Handshake, peer: None) -> None:
        def echo(opcode: int, payload: bytes) -> None:
            stream.send_nowait(encode_frame(opcode, payload))

        def exceeded(close: str) -> None:
            raise AssertionError(f"the limit of {close} is lifted here")

        settings, control = self._settings, TokenBucket(float("inf"), float("inf"))
        stream.open(
            FrameRules(echo, exceeded, {TEXT, BINARY}, settings.max_message_bytes, settings.max_frames, control)
        )
        stream.send_nowait(handshake.accepted(None))
        await stream.run()


def listener(port: int = 0, max_message: int = 16 * 2**20) -> tuple[Listener[None], int]:
    """The echo server, to be run, and its port."""
    settings = Gateway(
        path="/", max_message_bytes=max_message, max_frames=10**9, outbox_bytes=2**30, outbox_frames=10**9
    )
    sock = open_listener("127.0.0.1", port, settings.backlog)
    return Listener(sock, settings, Admission(GENEROUS), Echo(settings)), sock.getsockname()[1]


async def main(*numbers: int) -> None:
    server, port = listener(*numbers)
    print(f"echo at ws://127.0.0.1:{port}/", flush=True)
    await server.run()


if __name__ == "__main__":
    trio.run(main, *map(int, sys.argv[1:]))

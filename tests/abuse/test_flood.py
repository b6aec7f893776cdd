"""Refusing a flood costs less than serving it, measured by counts."""

import trio
from msgspec.structs import replace
from trio.testing import MockClock

from chatd.core.config import Config
from chatd.gateway.cork import NO_CORK
from chatd.gateway.fast_path import MUTED_POLL_S, FastPathStream
from chatd.gateway.send_queue import SendQueue
from chatd.gateway.transport import READ_SIZE, Frames, Handle
from tests.support import running
from tests.wire_client import Raw, upgrade

SECONDS = 10
RECONNECTS = 20


class Flood:
    """A transport whose peer sends endlessly; it counts the bytes that are read."""

    cork = NO_CORK

    def __init__(self) -> None:
        self.reads = 0

    async def read(self, handle: Handle | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        self.reads += 1
        return bytes(READ_SIZE)

    def write_nowait(self, data: bytes) -> int:
        return len(data)

    async def write(self, frames: Frames) -> int:
        return sum(map(len, frames()))

    def finish(self) -> None: ...

    async def aclose(self) -> None: ...


async def test_a_closed_flooder_is_read_ten_times_a_second(autojump_clock: MockClock) -> None:
    flood = Flood()
    async with trio.open_nursery() as nursery:
        stream = FastPathStream(flood, SendQueue(flood, nursery, 2**20, 2**20))
        stream.mute()
        with trio.move_on_after(SECONDS):
            await stream.receive_some()
    assert SECONDS / MUTED_POLL_S - 2 <= flood.reads <= SECONDS / MUTED_POLL_S + 2


async def test_each_reconnect_of_a_flooder_is_counted_and_refused(config: Config) -> None:
    """The refusal has the seconds to wait, which do not restart. Other users of the address are admitted."""
    limits = replace(config.limits, commands_per_second=5.0, commands_burst=10)
    async with running(replace(config, limits=limits)) as daemon, daemon.person() as other:
        async with Raw.session(daemon) as raw:
            await raw.send(Raw.frame_of(b'[1,{"t":"ping","ts":1}]') * 3000)
            assert await raw.close_code() == 4029
        for _ in range(RECONNECTS):
            async with Raw.to(daemon) as again:
                await again.send(upgrade(daemon))
                assert (await again.read_to_end()).startswith(b"HTTP/1.1 429 ")
        async with daemon.connected(other.account):
            assert await other.is_served()
        metrics = (await daemon.rest("GET", "/metrics", Host="localhost")).body.decode()
        assert f'chatd_handshakes_refused_total{{code="rate_limited"}} {RECONNECTS}.0' in metrics.splitlines()

"""The way out: bounded, whatever the peer does."""

from collections.abc import Sequence

import trio

from chatd.gateway.outbox import Outbox

MOST_BYTES, MOST_FRAMES = 10_000, 50


class Stuck:
    """A peer that takes some bytes and then none, until it is told to read on."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.written = b""
        self.reads = trio.Event()

    async def read(self) -> bytes:
        raise NotImplementedError

    def write_nowait(self, data: bytes) -> int:
        taken = data[: self.takes]
        self.takes -= len(taken)
        self.written += taken
        return len(taken)

    async def write(self, frames: Sequence[bytes]) -> int:
        await self.reads.wait()
        data = b"".join(frames)[:777]
        self.written += data
        return len(data)

    def finish(self) -> None: ...

    async def aclose(self) -> None: ...


async def filled(outbox: Outbox, size: int, *, volatile: bool = False) -> list[bytes]:
    """Send until it is refused; what was taken."""
    taken = []
    while outbox.send_nowait(frame := len(taken).to_bytes(4, "big") + bytes(size - 4), volatile):
        taken.append(frame)
        assert len(taken) < 100_000
    return taken


async def test_it_is_bounded_by_bytes_and_by_frames() -> None:
    """F10: at most one frame over, and what was taken goes out whole and in order once the peer reads."""
    for size in (4, 100, 199, 5000, 30_000):
        async with trio.open_nursery() as nursery:
            peer = Stuck(takes=123)
            outbox = Outbox(peer, nursery, MOST_BYTES, MOST_FRAMES)
            taken = await filled(outbox, size)
            assert outbox.queued_bytes <= MOST_BYTES + size
            assert len(taken) <= MOST_FRAMES + 123 // size + 1
            peer.reads.set()
            await outbox.drained()
            assert peer.written == b"".join(taken)
            assert outbox.queued_bytes == 0


async def test_what_nobody_keeps_leaves_room_for_what_counts() -> None:
    async with trio.open_nursery() as nursery:
        peer = Stuck(takes=0)
        outbox = Outbox(peer, nursery, MOST_BYTES, MOST_FRAMES)
        events = await filled(outbox, 100, volatile=True)
        messages = await filled(outbox, 100)
        assert (len(events), len(messages)) == (MOST_FRAMES // 2, MOST_FRAMES // 2)
        nursery.cancel_scope.cancel()

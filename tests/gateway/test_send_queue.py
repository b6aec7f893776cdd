"""The send queue: bounded, whole frames only, and every dropped event is announced, whatever the peer does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from chatd.gateway.cork import Cork
from chatd.gateway.send_queue import GapPosition, SendQueue
from chatd.gateway.transport import Frames

MOST_BYTES, MOST_FRAMES = 10_000, 50
VOLATILE = GapPosition("c", 0, ephemeral=True)


class Stuck:
    """A peer that takes some bytes, and more only when it `reads`."""

    def __init__(self, takes: int, step: int = 777) -> None:
        self.cork = Cork()
        self.takes = takes
        self.step = step
        self.written = b""
        self.reads = trio.Event()

    async def read(self) -> bytes:
        raise NotImplementedError

    def write_nowait(self, data: bytes) -> int:
        taken = data[: self.takes]
        self.takes -= len(taken)
        self.written += taken
        return len(taken)

    async def write(self, frames: Frames) -> int:
        await self.reads.wait()
        await trio.lowlevel.checkpoint()
        data = b"".join(frames())[: self.step]
        self.written += data
        return len(data)

    def finish(self) -> None: ...

    async def aclose(self) -> None: ...


class Sipping(Stuck):
    """Takes some bytes whenever it `reads`, as long as it `sips`."""

    sips = True

    async def write(self, frames: Frames) -> int:
        written = await super().write(frames)
        if self.sips:
            self.reads = trio.Event()
        return written


def frame_of(kind: str, conversation: str, rev: int, size: int = 0) -> bytes:
    """A frame with its length."""
    return f"<{kind}:{conversation}:{rev}:{'.' * size}>".encode()


def frames_in(data: bytes) -> list[tuple[str, str, int]]:
    """Kind, topic and rev of whole frames. Fails for anything else."""
    assert (data.startswith(b"<") and data.endswith(b">")) or not data
    found = []
    for part in data[1:-1].split(b"><") if data else []:
        kind, conversation, rev, dots = part.decode().split(":")
        assert set(dots) <= {"."}
        found.append((kind, conversation, int(rev)))
    return found


@asynccontextmanager
async def outbox_to(peer: Stuck, stall_s: float = float("inf")) -> AsyncIterator[SendQueue]:
    async with trio.open_nursery() as nursery:
        queue = SendQueue(peer, nursery, MOST_BYTES, MOST_FRAMES, stall_s)
        queue.behind = lambda conversation, rev: frame_of("behind", conversation, rev)
        yield queue
        nursery.cancel_scope.cancel()


def fill(queue: SendQueue, frames: int, size: int, mark: Any) -> int:
    """Returns how many were taken."""
    return sum(queue.send_nowait(bytes(size), mark) for _ in range(frames))


async def test_the_queue_is_bounded_in_bytes_and_frames() -> None:
    """Whatever is sent, and however little the peer reads."""
    for size in (4, 100, 199, 5000, 30_000):
        for conversations in (1, 7, 1000):
            async with outbox_to(Stuck(takes=123)) as queue:
                for number in range(2000):
                    queue.send_nowait(bytes(size), GapPosition(str(number % conversations), number))
                    assert queue.queued_bytes <= MOST_BYTES + size
                    assert queue.queued_frames <= MOST_FRAMES + 1


async def test_ephemeral_events_leave_room_for_others() -> None:
    async with outbox_to(Stuck(takes=0)) as queue:
        assert fill(queue, 100, 100, VOLATILE) == MOST_FRAMES // 2
        assert fill(queue, MOST_FRAMES // 2, 100, GapPosition("c", 1)) == MOST_FRAMES // 2


async def test_queued_frames_are_sent_whole_and_in_order() -> None:
    peer = Stuck(takes=10)
    async with outbox_to(peer) as queue:
        given = [frame_of("event", "c", rev, 100) for rev in range(1, 41)]
        assert all(queue.send_nowait(frame, GapPosition("c", rev)) for rev, frame in enumerate(given, start=1))
        peer.reads.set()
        await queue.drained()
        assert peer.written == b"".join(given)
        assert queue.queued_bytes == 0


CORKED = ("answer", "event", "ephemeral", "cork", "pull", "send", "close", "close frame", "discard", "open", "abandon")


@given(st.lists(st.tuples(st.sampled_from(CORKED), st.integers(0, 300)), max_size=60), st.integers(0, 3000))
async def test_a_cork_changes_nothing_but_the_number_of_writes(deeds: list[tuple[str, int]], takes: int) -> None:
    """The bytes are those of a queue without a cork, which writes each frame by itself."""
    corked, plain = Stuck(takes), Stuck(takes)
    async with outbox_to(corked) as one, outbox_to(plain) as other:
        for number, (deed, size) in enumerate(deeds):
            frame = frame_of(deed, "c", number, size)
            if deed == "cork":
                corked.cork.put_in()
            elif deed in ("pull", "discard", "abandon"):
                # What is held back is dropped by the last two.
                corked.cork.pull()
            for queue in (one, other):
                await apply(queue, deed, frame, number)
        corked.cork.pull()
        for peer, queue in ((corked, one), (plain, other)):
            peer.reads.set()
            await queue.drained()
        await trio.testing.wait_all_tasks_blocked()
        assert corked.written == plain.written


async def apply(queue: SendQueue, deed: str, frame: bytes, number: int) -> None:
    if deed in ("answer", "event", "ephemeral"):
        mark = None if deed == "answer" else GapPosition("c", number) if deed == "event" else VOLATILE
        queue.send_nowait(frame, mark)
    elif deed == "send":
        with trio.move_on_after(0), suppress(trio.BrokenResourceError):
            await queue.send(frame)
    elif deed == "close frame":
        queue.send_close(frame)
    elif deed in ("close", "open", "discard", "abandon"):
        getattr(queue, deed)()


async def test_frames_of_one_turn_are_one_write() -> None:
    peer = Counting()
    async with outbox_to(peer) as queue:
        peer.cork.put_in()
        for number in range(5):
            queue.send_nowait(frame_of("answer", "c", number))
        assert peer.writes == 0
        peer.cork.pull()
        assert (peer.writes, len(frames_in(peer.written))) == (1, 5)
        queue.send_nowait(frame_of("answer", "c", 5))
        assert (peer.writes, len(frames_in(peer.written))) == (2, 6)


class Counting(Stuck):
    """Takes everything, and counts the writes."""

    def __init__(self) -> None:
        super().__init__(takes=10**6)
        self.writes = 0

    def write_nowait(self, data: bytes) -> int:
        self.writes += 1
        return super().write_nowait(data)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "typing", "answer", "user", "read"]), st.integers(0, 900)),
        min_size=100,
        max_size=400,
    ),
    st.integers(0, 300),
)
def test_no_event_is_missed_without_a_behind(deeds: list[tuple[str, int]], takes: int) -> None:
    """In each topic the revs rise by one, or a `behind` covers the gap; answers are never dropped."""
    trio.run(play, deeds, takes)


async def play(deeds: list[tuple[str, int]], takes: int) -> None:
    peer, revs, answers = Stuck(takes, step=1500), dict.fromkeys("abc", 0), 0
    async with outbox_to(peer) as queue:
        for kind, size in deeds:
            if kind == "read":
                peer.reads.set()
                for _ in range(size % 7):
                    await trio.lowlevel.checkpoint()
                peer.reads = trio.Event()
            elif kind == "answer":
                answers += 1
                queue.send_nowait(frame_of("answer", "", answers, size))
            elif kind == "typing":
                queue.send_nowait(frame_of("typing", "a", 0, size), VOLATILE)
            elif kind == "user":
                queue.send_nowait(frame_of("user", "", 0, size), GapPosition("", 0))
            else:
                revs[kind] += 1
                queue.send_nowait(frame_of("event", kind, revs[kind], size), GapPosition(kind, revs[kind]))
        peer.reads.set()
        await queue.drained()
    judge(frames_in(peer.written), revs, answers)


def judge(frames: list[tuple[str, str, int]], revs: dict[str, int], answers: int) -> None:
    known = dict.fromkeys(revs, 0)
    for kind, conversation, rev in frames:
        if kind == "event":
            assert rev == known[conversation] + 1
        if kind in ("event", "behind") and conversation:
            known[conversation] = max(rev, known[conversation])
    assert known == revs
    assert [rev for kind, _, rev in frames if kind == "answer"] == list(range(1, answers + 1))


async def test_events_of_the_user_that_do_not_fit_are_announced_once() -> None:
    peer = Stuck(takes=0)
    async with outbox_to(peer) as queue:
        taken = sum(queue.send_nowait(frame_of("user", "", number), GapPosition("", 0)) for number in range(1, 200))
        peer.reads.set()
        await queue.drained()
        frames = frames_in(peer.written)
        assert taken == MOST_FRAMES
        assert frames == [*(("user", "", number) for number in range(1, taken + 1)), ("behind", "", 0)]


async def test_gaps_of_many_conversations_are_announced_as_room_allows() -> None:
    peer = Stuck(takes=0)
    async with outbox_to(peer) as queue:
        for number in range(1000):
            queue.send_nowait(frame_of("event", str(number), 1), GapPosition(str(number), 1))
        peer.reads.set()
        await queue.drained()
        assert {conversation for _, conversation, _ in frames_in(peer.written)} == set(map(str, range(1000)))


async def test_commands_wait_until_there_is_room_for_their_answers(autojump_clock: MockClock) -> None:
    peer = Stuck(takes=0, step=100)
    async with outbox_to(peer) as queue:
        await queue.wait_for_room()
        for _ in range(30):
            queue.send_nowait(bytes(200))
        with trio.move_on_after(1) as waiting:
            await queue.wait_for_room()
        assert waiting.cancelled_caught
        peer.reads.set()
        await queue.wait_for_room()
        assert 0 < queue.queued_bytes <= MOST_BYTES // 2


@pytest.mark.parametrize("takes", [0, 5, 12])
async def test_only_a_peer_that_reads_nothing_is_closed(autojump_clock: MockClock, takes: int) -> None:
    """The close frame follows a whole frame."""
    peer, stalled = Sipping(takes, step=1), list[float]()
    async with outbox_to(peer, stall_s=10) as queue:

        def stall() -> None:
            stalled.append(trio.current_time())
            queue.discard()

        queue.on_stall = stall
        start = trio.current_time()
        for rev in range(1, 30):
            queue.send_nowait(frame_of("event", "c", rev), GapPosition("c", rev))
        for _ in range(5):
            await trio.sleep(9)
            peer.reads.set()
        assert stalled == []
        await trio.sleep(25)
        assert stalled[0] <= start + 9 * 5 + 10 + 1
        queue.send_nowait(b"<goodbye::0:>")
        peer.sips = False
        peer.reads.set()
        await queue.drained()
        assert frames_in(peer.written)[-1] == ("goodbye", "", 0)

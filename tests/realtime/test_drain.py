"""Drain: when each session is closed, on a mock clock."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.core.config import Drain as Settings
from chatd.realtime.drain import Drain
from chatd.realtime.hub import Hub
from chatd.wire.codec import codecs

OVER = 60.0


class AuthenticatedPeer:
    """A session that closes when asked, or does not."""

    tenant, user, login, transport = "t", "u", "", "websocket"

    def __init__(self, hub: Hub, number: int, *, stubborn: bool = False) -> None:
        self.id = str(number)
        self.codec = codecs(())["chatd.v1.json"]
        self.requests: list[tuple[float, str]] = []
        self._hub = hub
        self._stubborn = stubborn
        hub.register(self, hub.connections.pending.begin(self.tenant, self.user))

    def send_nowait(self, frame: bytes, event: Any = None, /) -> bool:
        return True

    def request_close(self, close: str, reason: str = "") -> None:
        assert close == "going_away"
        self.requests.append((trio.current_time(), reason))
        if not self._stubborn:
            self._hub.unregister(self)


def drain_of(over: float | None, **settings: Any) -> Drain:
    drain = Drain(Settings(**settings))
    if over is not None:
        drain.ask(over)
    return drain


async def test_a_drain_over_time_closes_one_by_one(autojump_clock: MockClock) -> None:
    hub, start = Hub(), trio.current_time()
    guests = [AuthenticatedPeer(hub, number) for number in range(600)]
    await drain_of(OVER).run(hub)
    moments = [guest.requests[0][0] - start for guest in guests]
    assert max(moments) <= OVER
    # Uniform over the whole time: of 600, no sixth of it has fewer than 50 or more than 150 (odds of 1 to 10,000,000).
    shares = [sum(at <= moment < at + 10 for moment in moments) for at in range(0, 60, 10)]
    assert all(50 <= share <= 150 for share in shares), shares
    assert {reason for guest in guests for _, reason in guest.requests} == {"retry_in_ms=0"}


async def test_a_signal_closes_at_once_and_spreads_reconnects(autojump_clock: MockClock) -> None:
    hub, start = Hub(), trio.current_time()
    guests = [AuthenticatedPeer(hub, number) for number in range(300)]
    await drain_of(None, timeout=10.0, spread=5.0).run(hub)
    assert {guest.requests[0][0] for guest in guests} == {start}
    returns = [int(guest.requests[0][1].removeprefix("retry_in_ms=")) for guest in guests]
    assert 0 <= min(returns) < 1000 < 4000 < max(returns) <= 5000


@pytest.mark.parametrize(("over", "end"), [(None, 10.0), (2.0, 10.0), (60.0, 65.0)])
async def test_the_drain_ends_at_the_deadline(autojump_clock: MockClock, over: float | None, end: float) -> None:
    hub, start = Hub(), trio.current_time()
    AuthenticatedPeer(hub, 1, stubborn=True)
    await drain_of(over, timeout=10.0).run(hub)
    assert trio.current_time() - start == pytest.approx(end, abs=0.5)


async def test_a_session_that_opens_late_is_closed_too(autojump_clock: MockClock) -> None:
    hub = Hub()
    # So many that the last of them goes in the second half of the time.
    for number in range(200):
        AuthenticatedPeer(hub, number)
    late: list[AuthenticatedPeer] = []

    async def come() -> None:
        await trio.sleep(OVER / 2)
        late.append(AuthenticatedPeer(hub, 1000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come)
        await drain_of(OVER).run(hub)
    assert late[0].requests[0][1].startswith("retry_in_ms=")
    assert not hub.connections.by_id

"""The time from a ban or logout until the last session is closed."""

import msgspec

from chatd.cluster import control_messages
from chatd.cluster.control_messages import ControlMessage
from chatd.realtime.hub import Hub
from chatd.realtime.pending_session import PendingSession
from tests.realtime.test_hub import Session, attach


class Clock:
    now = 10_000

    def __call__(self) -> int:
        return self.now


def test_the_latency_is_measured_once_at_the_last_session() -> None:
    clock = Clock()
    hub = Hub(clock)
    one, two, other = Session("1", "u"), Session("2", "u"), Session("3", "v")
    for session in (one, two, other):
        attach(hub, session)
    hub.close_sessions("t", "u", "banned", at=9_500)
    hub.close_sessions("t", "u", "banned", at=9_900)
    hub.unregister(one)
    assert hub.disconnect_latency.seconds.count == 0
    clock.now = 11_500
    hub.unregister(two)
    hub.unregister(other)
    assert (hub.disconnect_latency.seconds.count, hub.disconnect_latency.seconds.sum) == (1, 2.0)


def test_only_sessions_of_the_login_count() -> None:
    hub = Hub(Clock())
    ended, going_on = Session("1", "u", login="old"), Session("2", "u", login="new")
    attach(hub, ended)
    attach(hub, going_on)
    hub.close_sessions("t", "u", "logged_out", credential="old", at=9_000)
    hub.unregister(ended)
    assert hub.disconnect_latency.seconds.sum == 1.0
    assert (ended.closed, going_on.closed) == (["logged_out"], [])


def test_a_pending_session_is_closed_and_counted() -> None:
    hub, session = Hub(Clock()), Session("1", "u")
    pending = hub.connections.pending.begin("t", "u")
    hub.close_sessions("t", "u", "banned", at=9_000)
    hub.register(session, pending)
    assert session.closed == ["banned"]
    hub.unregister(session)
    assert hub.disconnect_latency.seconds.count == 1


def test_unknown_times_are_not_measured_and_fast_clocks_do_no_harm() -> None:
    hub = Hub(Clock())
    for at in (0, 10_500):
        session = Session("1", "u")
        hub.register(session, PendingSession("t", "u"))
        hub.close_sessions("t", "u", "banned", at=at)
        hub.unregister(session)
    hub.close_sessions("t", "nobody", "banned", at=1)
    assert (hub.disconnect_latency.seconds.count, hub.disconnect_latency.seconds.sum) == (1, 0.0)


class CloseUserSessions(ControlMessage, array_like=True, tag="close"):
    """The control message of earlier versions."""

    tenant: str
    user: str
    close: str
    login: str | None


def test_control_messages_of_both_versions_are_compatible() -> None:
    old = control_messages.encode(CloseUserSessions("t", "u", "banned", None))  # type: ignore[arg-type]
    assert control_messages.decoder().decode(old) == control_messages.CloseUserSessions("t", "u", "banned", None, 0)
    new = control_messages.encode(control_messages.CloseUserSessions("t", "u", "banned", None, 7))
    assert msgspec.msgpack.decode(new, type=CloseUserSessions) == CloseUserSessions("t", "u", "banned", None)

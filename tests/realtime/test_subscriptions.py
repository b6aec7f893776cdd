"""Subscriptions to topics that are no conversations."""

from collections.abc import Iterator

import pytest

from chatd.realtime.feeds import Feed, feed_class
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, EncodedEvent
from chatd.wire.base import Event
from chatd.wire.connection_events import SessionBehind
from tests.realtime.test_hub import Session, attach

TOPIC = "bulletin:news"


@pytest.fixture
def bulletins() -> Iterator[None]:
    """Another kind of topic, as a subsystem would declare it."""

    class BulletinFeed(Feed, kind="bulletin"):
        @staticmethod
        def gap_event(topic: str, rev: int) -> Event:
            return SessionBehind()

    yield
    assert feed_class(TOPIC) is BulletinFeed
    del Feed.kinds["bulletin"]


def delivery(rev: int = 0) -> Delivery:
    return Delivery(EncodedEvent(SessionBehind()), rev)


async def test_a_topic_of_another_kind_is_delivered_in_order(bulletins: None) -> None:
    hub, session, other = Hub(), Session("1", "u"), Session("2", "v")
    for one in (session, other):
        attach(hub, one)
    hub.subscriptions.subscribe(session, TOPIC, 0)
    hub.memberships.add("t", TOPIC, ["v"], 0)
    order: list[int] = []
    for rev in (3, 2, 1):
        late = delivery(rev)
        late.on_delivered = lambda rev=rev: order.append(rev)  # type: ignore[misc]
        await hub.subscriptions.deliver("t", TOPIC, late)
        assert bool(hub.subscriptions.gaps.since) == (rev != 1)
    assert order == [1, 2, 3]
    assert len(session.frames) == len(other.frames) == 3
    await hub.subscriptions.advance_past_gap("t", TOPIC, 9)
    assert b"session.behind" in session.frames[-1]
    assert hub.subscriptions.rev_of("t", TOPIC) == 9


async def test_a_topic_without_numbers_is_delivered_at_once(bulletins: None) -> None:
    hub, session = Hub(), Session("1", "u")
    attach(hub, session, (TOPIC, 0))
    for _ in range(2):
        await hub.subscriptions.deliver("t", TOPIC, delivery())
    await hub.subscriptions.deliver("other tenant", TOPIC, delivery())
    assert (len(session.frames), hub.subscriptions.rev_of("t", TOPIC)) == (2, 0)
    assert hub.subscriptions.is_subscribed("1", TOPIC)
    hub.memberships.remove_after("t", TOPIC, ["u"], 5)()
    assert len(hub.subscriptions) == 0


async def test_a_slow_reader_gets_the_gap_of_the_kind(bulletins: None) -> None:
    """The queued delivery names its topic, by which the session makes the event for the gap."""
    hub, seen = Hub(), list[Delivery]()
    session = Session("1", "u")
    session.send_nowait = lambda frame, event=None: seen.append(event) or True  # type: ignore[method-assign, func-returns-value]
    attach(hub, session, (TOPIC, 0))
    await hub.subscriptions.deliver("t", TOPIC, delivery(1))
    assert [(one.topic, one.rev) for one in seen] == [(TOPIC, 1)]
    assert isinstance(feed_class(seen[0].topic).gap_event(seen[0].topic, 1), SessionBehind)


def test_topics_of_unknown_kinds_have_no_feed() -> None:
    with pytest.raises(KeyError):
        feed_class("unknown:1")

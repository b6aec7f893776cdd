"""A user with 10,000 contacts who are connected: a change of the profile is paced, and holds up nothing else."""

from collections import Counter

import pytest
import trio
from msgspec import Raw, msgpack

from chatd.core.ids import text_of
from chatd.people.announcements import AnnouncementTunables, Deliveries, announcements_of
from chatd.people.events import UserUpdated
from chatd.realtime.hub import Hub
from tests.abuse.lag import probed
from tests.abuse.test_event_loop import LIMIT_S, no_collections
from tests.realtime.test_hub import Session, attach, body_of
from tests.support import PATIENCE, eventually

__all__ = ["no_collections"]
CONTACTS = 10_000
USER = text_of(bytes(16))
PAUSE_S, PER_TURN = 0.01, 500


def id_of(number: int) -> str:
    return text_of(number.to_bytes(16, "big"))


def profile(conversations: list[str]) -> dict[str, object]:
    """A row of `announcements.profiles`."""
    return {
        **dict.fromkeys(("handle", "avatar", "picture_url")),
        **{"tenant": "t", "id": USER, "name": "New", "profile_version": 7, "bot": False},
        "conversations": conversations,
    }


@pytest.mark.usefixtures("no_collections")
async def test_a_change_for_thousands_of_contacts_is_paced() -> None:
    hub = Hub()
    deliveries = Deliveries(hub, AnnouncementTunables(sends_per_turn=PER_TURN, pause_s=PAUSE_S))
    contacts = [Session(str(number), id_of(number)) for number in range(1, CONTACTS + 1)]
    mine = Session("mine", USER)
    attach(hub, mine, *((id_of(number), 0) for number in range(1, CONTACTS + 1)))
    for number, session in enumerate(contacts, start=1):
        attach(hub, session, (id_of(number), 0))
    messages = list(announcements_of(profile([id_of(number) for number in range(1, CONTACTS + 1)])))
    assert max(len(message.conversations) for message in messages) <= 16_000
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliveries.run)
        with probed() as probe:
            for message in messages:
                deliveries.add(message)
            await eventually(lambda: deliveries.sent == CONTACTS, patience=6 * PATIENCE)
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began >= (CONTACTS // PER_TURN - 1) * PAUSE_S
    assert probe.worst_s < LIMIT_S, probe.task
    assert Counter(len(session.frames) for session in contacts) == {1: CONTACTS}
    assert mine.frames == []
    assert body_of(contacts[0].frames[0])["user"] == {
        **dict.fromkeys(("handle", "avatar", "picture_url")),
        **{"id": USER, "name": "New", "profile_version": 7},
    }


async def test_sessions_in_common_groups_get_one_event() -> None:
    hub = Hub()
    deliveries = Deliveries(hub)
    groups = [id_of(number) for number in range(1, 1500)]
    friend = Session("friend", id_of(1))
    attach(hub, friend, *((group, 0) for group in groups))
    other = Session("other", id_of(1), tenant="other")
    attach(hub, other, *((group, 0) for group in groups))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliveries.run)
        for message in announcements_of(profile(groups)):
            deliveries.add(message)
        await eventually(lambda: deliveries.sent >= 2)
        nursery.cancel_scope.cancel()
    # One for each message, of 1000 conversations.
    assert (len(friend.frames), len(other.frames)) == (2, 0)
    event = msgpack.decode(Raw(next(announcements_of(profile(groups))).event))
    assert event["t"] == UserUpdated.__struct_config__.tag

"""Profiles in the Python client."""

import trio

from chatd.client import connect, sign_up
from chatd.client.events import EventQueue
from chatd.client.own_events import ProfilesBehind
from chatd.client.timeline import Timeline
from chatd.client.types import UserUpdated
from tests.support import PATIENCE, Daemon, shared

daemon = shared


async def test_profiles_are_changed_queried_and_announced(daemon: Daemon) -> None:
    alice, bob = [await sign_up(daemon.addresses.http, name=name) for name in ("Alice", "Bob")]
    async with connect(daemon.addresses.socket, alice) as a, connect(daemon.addresses.socket, bob, codec="json") as b:
        await a.open(bob.user)
        first = await b.profiles([alice.user])
        assert (first.items[0].name, first.items[0].handle, first.unknown) == ("Alice", None, [])
        mine = await a.update_me(handle="client.anna", status_text="hi", profile={"x": 1})
        assert mine.user == (await a.me()).user
        with trio.fail_after(PATIENCE):
            async for event in b.events:
                if isinstance(event, UserUpdated):
                    break
        assert (event.user.id, event.user.handle, event.user.status_text) == (alice.user, "client.anna", None)
        assert (await b.profile("@client.anna")).user.status_text == "hi"
        assert [user.id for user in (await b.find_users("client.an")).items] == [alice.user]
        changed = await b.profiles([alice.user, bob.user], changed_since=first.cursor)
        assert alice.user in [user.id for user in changed.items]


def test_an_event_that_the_app_has_no_room_for_is_reported() -> None:
    """The app gets `profiles.behind` when it has caught up, and after `session.behind`."""
    timeline = Timeline({"cursor": "x", "conversations": {}})
    timeline.connected()
    assert timeline.states_end("y", {"conversations": []}) == []
    queue = EventQueue(timeline.lost, most=1)
    update = {"t": "user.updated", "user": {"id": "u"}}
    for event in (update, update):
        queue.put(event)
    assert (len(queue.untaken()), timeline.own_behind) == (1, True)
    assert timeline.states_end("y", {"conversations": []}) == [{"t": ProfilesBehind.__struct_config__.tag}]
    assert timeline.take({"t": "session.behind"}) == []
    assert timeline.states_end("y", {"conversations": []}) == [{"t": "profiles.behind"}]
    assert timeline.states_end("y", {"conversations": []}) == []

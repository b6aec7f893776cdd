"""In a match users have aliases, also for themselves, until it is kept."""

from typing import Any

import pytest
import trio

from chatd.client import Client, connect, sign_up
from chatd.client.timeline import Timeline
from tests.reply import Reply
from tests.support import PATIENCE, Daemon, shared

daemon = shared
TALK, ME, MY_ALIAS, PARTNER = "talk", "me", "my alias", "the partner's alias"
FOUND = {"t": "match.found", "match": "m", "conversation": TALK, "alias": MY_ALIAS}
KEPT = {"t": "match.kept", "match": "m", "conversation": TALK}


def state(alias: str | None = None, rev: int = 3) -> dict[str, Any]:
    """The state of the conversation in session.sync."""
    return {"id": TALK, "seq": rev, "rev": rev, "role": "member", "settings": {}} | ({"alias": alias} if alias else {})


def synced(timeline: Timeline, *states: dict[str, Any]) -> list[str]:
    """The types of the events after a session.sync with these states."""
    timeline.own_behind = False
    timeline.take_states(states)
    return [event["t"] for event in timeline.states_end("next", {"conversations": states})]


def at(position: dict[str, Any]) -> Timeline:
    """A timeline that continues from a position, at the beginning of a connection."""
    timeline = Timeline(position)
    timeline.user = ME
    timeline.connected()
    return timeline


def in_match() -> Timeline:
    timeline = at({"cursor": "x", "conversations": {TALK: [3, 3, False]}})
    synced(timeline, state(MY_ALIAS))
    return timeline


def left(user: str) -> dict[str, Any]:
    departure = {"user": user, "rev": 4, "left_at": 0, "actor": user}
    return {"t": "member.left", "conversation": TALK, "rev": 4, "departure": departure}


@pytest.mark.parametrize(
    ("user", "after", "gone"),
    [
        (MY_ALIAS, [], True),
        (PARTNER, [], False),
        (ME, [KEPT], True),
        # From another node, before `match.kept`.
        (ME, [], True),
        ("partner", [KEPT], False),
    ],
)
def test_the_own_departure_is_known_by_every_own_id(user: str, after: list[dict[str, Any]], gone: bool) -> None:
    timeline = in_match()
    for event in after:
        timeline.take(event)
    assert [event["t"] for event in timeline.take(left(user))] == ["member.left", "conversation.gone"][: 1 + gone]
    assert (TALK in timeline.places) is not gone


def test_own_ids_are_those_of_the_conversation() -> None:
    timeline = in_match()
    own = [timeline.is_own(TALK, id_) for id_ in (MY_ALIAS, ME, PARTNER)]
    assert (own, timeline.is_own("elsewhere", MY_ALIAS)) == ([True, True, False], False)
    timeline.take(KEPT)
    assert timeline.known_as(TALK) == ME
    assert timeline.is_own(TALK, MY_ALIAS), "in what was sent before"


def test_a_state_from_before_the_match_was_kept_does_not_restore_the_alias() -> None:
    timeline = in_match()
    timeline.take(KEPT)
    assert synced(timeline, state(MY_ALIAS)) == ["session.changed"]
    timeline.note_conversation(state(MY_ALIAS))
    assert timeline.known_as(TALK) == ME


def test_a_match_that_was_kept_while_the_client_was_away_is_reset() -> None:
    """All members have other ids than the app knows, and no rev shows it."""
    away = at(in_match().position())
    assert away.known_as(TALK) == MY_ALIAS
    away.take_states([state()])
    events = away.states_end("next", {"conversations": [state()]})
    assert events[0] == {"t": "conversation.reset", "conversation": TALK, "seq": 3}
    assert [event["t"] for event in events[1:]] == ["session.changed"]
    assert (away.known_as(TALK), away.behind) == (ME, set())
    # If the app has not taken it, a later client emits it again.
    assert synced(at(away.position(events)), state()) == ["conversation.reset", "session.changed"]
    assert synced(at(away.position()), state()) == ["session.changed"]


def test_a_kept_match_is_reset_later_if_the_app_has_not_taken_the_event() -> None:
    timeline = in_match()
    events = timeline.take(KEPT)
    assert events == [KEPT]
    assert synced(timeline, state()) == ["session.changed"]
    assert synced(at(timeline.position(events)), state()) == ["conversation.reset", "session.changed"]


def test_missed_changes_follow_the_reset() -> None:
    timeline = at(in_match().position())
    assert synced(timeline, state(rev=5)) == ["conversation.reset", "session.changed"]
    assert (timeline.places[TALK].rev, timeline.behind) == (3, {TALK})


@pytest.mark.parametrize("event", [KEPT, {"t": "match.ended", "match": "m", "reason": "left"}])
def test_the_end_of_a_match_needs_a_session_sync(event: dict[str, Any]) -> None:
    timeline = in_match()
    timeline.take(event)
    assert timeline.own_behind


# --- against a daemon ------------------------------------------------------------------------------------------------


async def next_of(client: Client, *kinds: str) -> Reply:
    """The next event of one of these types."""
    with trio.fail_after(PATIENCE):
        async for event in client.events:
            if event.t in kinds:
                return event
    raise AssertionError


async def meet(one: Client, two: Client, queue: str) -> str:
    """Match two clients. Returns the conversation."""
    await one.call("match.find", queue=queue)
    await two.call("match.find", queue=queue)
    talk = (await next_of(one, "match.found")).conversation
    assert (await next_of(two, "match.found")).conversation == talk
    return str(talk)


@pytest.mark.parametrize("command", ["match.leave", "match.skip"])
async def test_a_match_that_ended_is_gone_for_both(daemon: Daemon, command: str) -> None:
    http, socket = daemon.addresses.http, daemon.addresses.socket
    async with connect(socket, await sign_up(http)) as a, connect(socket, await sign_up(http)) as b:
        talk = await meet(a, b, command.replace(".", "-"))
        await a.send(talk, "hello")
        await next_of(b, "message.new")
        await a.call(command)
        for client in (a, b):
            assert (await next_of(client, "conversation.gone")).conversation == talk
            assert talk not in client.position["conversations"]


async def test_a_match_that_is_kept_while_one_is_away(daemon: Daemon) -> None:
    http, socket = daemon.addresses.http, daemon.addresses.socket
    alice, bob = await sign_up(http, name="alice"), await sign_up(http, name="bob")
    async with connect(socket, alice) as a:
        async with connect(socket, bob) as b:
            talk = await meet(a, b, "kept-while-away")
            await b.send(talk, "from bob")
            await a.send(talk, "from alice")
            await next_of(b, "message.new")
            await b.call("match.keep")
            position = b.position
        await a.call("match.keep")
        await next_of(a, "match.kept")
        await a.send(talk, "still here")
        async with connect(socket, bob, position=position) as b:
            assert (await next_of(b, "conversation.reset", "message.new")).t == "conversation.reset"
            assert (await next_of(b, "message.new")).message.sender == alice.user
            assert b.known_as(talk) == bob.user
            assert [message.sender for message in (await b.history(talk)).items] == [bob.user, alice.user, alice.user]

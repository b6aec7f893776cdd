"""A short form of `python -m tests.property.histories`; and proof that the checks find differences."""

from typing import Any

import pytest

from chatd.core.config import Config
from tests.property.histories import KINDS, live
from tests.property.judge import differences
from tests.property.mirror import Mirror
from tests.property.room import INFO
from tests.property.wire import Wire

ME, OTHER = "me", "other"
# In a match.
MY_ALIAS, PARTNER = "my alias", "the partner's alias"


@pytest.mark.parametrize("seed", [1, 2])
async def test_old_state_and_changes_are_what_a_fresh_client_reads(config: Config, seed: int) -> None:
    report = await live(config, seed, 300)
    assert report.wrong == []
    assert report.judged > 1
    assert report.done["receipt.read unanswered"] > 0
    assert report.done["event thread.update"] > 0
    assert report.done["user.update ok"] > 0
    assert report.done["poll.vote ok"] > 0


async def test_sync_during_a_block_equals_the_events(config: Config) -> None:
    report = await live(config, 1, 200, KINDS["blocking"])
    assert report.wrong == []
    assert report.done["user.block ok"] > 0
    assert report.done["user.unblock ok"] > 0


async def test_requests_are_in_sync_on_all_devices(config: Config) -> None:
    report = await live(config, 1, 200, KINDS["consent"])
    assert report.wrong == []
    assert report.done["request.accept ok"] > 0


async def test_logins_and_the_server_api_are_in_sync_on_all_devices(config: Config) -> None:
    report = await live(config, 1, 200, KINDS["backend"])
    assert report.wrong == []
    # Each is likely, and none is certain: what is refused depends on the moment.
    likely = ("server.message.send", "server.member.add", "server.user.token", "login.rename", "refresh")
    assert sum(report.done[f"{done} ok"] > 0 for done in likely) >= 3, report.done


async def test_users_in_matches_read_what_their_events_contained(config: Config) -> None:
    report = await live(config, 1, 200, KINDS["matching"])
    assert report.wrong == []
    assert report.done["event match.found"] > 0


def event(kind: str, rev: int, **fields: Any) -> dict[str, Any]:
    return {"t": kind, "conversation": "c", "rev": rev, **fields}


def message(seq: int, rev: int, **fields: Any) -> dict[str, Any]:
    plain = {"id": f"m{seq}", "seq": seq, "rev": rev, "sender": OTHER, "text": f"text {seq}", "reply_to": None}
    return {**plain, **fields}


def left(user: str, rev: int) -> dict[str, Any]:
    return event("member.left", rev, departure={"user": user, "rev": rev})


FOUND = {"t": "match.found", "match": "m", "conversation": "c", "alias": MY_ALIAS}


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        ([event("message.read", 4), event("message.read", 5)], []),
        ([event("message.read", 4), event("message.read", 6)], ["I4"]),
        ([event("message.read", 4), event("message.read", 4)], ["I4"]),
        ([event("message.read", 4), event("behind", 8), event("message.read", 9)], []),
        ([left(ME, 4), event("message.read", 5)], ["I9"]),
        ([left(OTHER, 4), event("message.read", 5)], []),
        ([left(ME, 4), {"t": "conversation.update", "conversation": {"id": "c"}}, event("message.read", 9)], []),
        ([event("message.new", 4, message=message(1, 4, starred_at=1))], ["so"]),
        ([event("message.update", 4, message=message(1, 4, voted=[0]))], ["so"]),
        ([FOUND, left(MY_ALIAS, 4), event("message.read", 5)], ["I9"]),
        ([FOUND, left(PARTNER, 4), event("message.read", 5)], []),
        ([FOUND, {"t": "match.ended", "match": "m"}, event("message.read", 4)], ["I9"]),
        ([{"t": "match.ended", "match": "m"}, event("message.read", 4)], []),
    ],
)
def test_forbidden_events_are_detected(events: list[dict[str, Any]], kinds: list[str]) -> None:
    wire = Wire(ME)
    for one in events:
        wire.check_event(one)
    assert [wrong[:2] for wrong in wire.wrong] == kinds


def test_differences_are_named_by_field() -> None:
    assert differences({"a": {"b": 1, "c": [2]}}, {"a": {"b": 1, "c": [3]}, "d": 4}) == [
        "$.a.c: [2] is [3]",
        "$.d: None is 4",
    ]


def member(user: str) -> dict[str, Any]:
    return {"user": user, "role": "member", "read_seq": 0, "delivered_seq": 0, "joined_at": 1, "rev": 1}


def changes(user: str, *messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": messages, "members": [member(user)], "departures": [], "rev": 9, "more": False}


def known(*messages: dict[str, Any]) -> Mirror:
    """A device that knows a conversation up to rev 9."""
    mirror = Mirror(ME)
    mirror.learn({"id": "c"})
    mirror.take_changes("c", changes(ME, *messages))
    return mirror


def in_match(*messages: dict[str, Any]) -> Mirror:
    """A device that knows a match up to rev 9."""
    mirror = Mirror(ME)
    mirror.take(FOUND)
    mirror.take_changes("c", changes(MY_ALIAS, *messages))
    return mirror


def session(*states: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"gone": [], "conversations": states, "marks": [], "own": False, "cursor": f"after {more}", "more": more}


def state(**fields: Any) -> dict[str, Any]:
    """A conversation in session.sync."""
    settings = {"settings": {"hidden": False}, "read_seq": 0, "delivered_seq": 0, "first_seq": 1}
    return {"id": "c", "kind": "direct", "seq": 9, "rev": 9, **dict.fromkeys(INFO), **settings, **fields}


def test_repeated_event_is_dropped_and_a_gap_is_synced() -> None:
    mirror = known(message(1, 2))
    mirror.take(event("message.update", 9, message=message(1, 9, text="old"), change="edit"))
    assert (mirror.rooms["c"].messages[1]["text"], mirror.behind) == ("text 1", set())
    mirror.take(event("message.new", 11, message=message(2, 11)))
    assert (sorted(mirror.rooms["c"].messages), mirror.behind) == ([1], {"c"})


def test_a_quote_changes_with_its_message_and_goes_when_that_is_hidden() -> None:
    mirror = known(message(1, 2), message(2, 3, reply_to="m1", quote={"text": "stale"}))
    quotes = [mirror.view()["c"]["messages"][2].get("quote")]
    mirror.take(event("message.update", 10, message=message(1, 10, text="new"), change="edit"))
    quotes.append(mirror.view()["c"]["messages"][2].get("quote"))
    mark = {"conversation": "c", "message": "m1", "seq": 1, "starred_at": None, "hidden": True}
    mirror.take_states({"gone": [], "conversations": [], "marks": [mark], "own": False, "cursor": "x", "more": False})
    assert [quote and quote["text"] for quote in quotes] == ["text 1", "new"]
    assert "quote" not in mirror.view()["c"]["messages"][2]


def test_the_latest_vote_of_the_user_counts() -> None:
    mirror = known(message(1, 5, poll={}, voted=[0]))

    def voted() -> Any:
        return mirror.view()["c"]["messages"][1].get("voted")

    own = {"t": "poll.voted", "conversation": "c", "message": "m1"}
    mirror.take({**own, "options": [2], "vote_rev": 4})
    assert voted() == [0]
    mirror.take({**own, "options": [1], "vote_rev": 10})
    mirror.take(event("message.update", 10, message=message(1, 10, poll={}), change="vote"))
    assert voted() == [1]
    mirror.answered({"t": "poll.vote", "conversation": "c"}, {"t": "message", "message": message(1, 11, poll={})})
    assert voted() is None


def test_unread_is_counted_from_the_messages() -> None:
    mirror = known(message(1, 2), message(2, 3, mentions=[ME]), message(3, 4, sender=ME), message(4, 5, system={}))
    views = [mirror.view()["c"]]
    mirror.take(event("message.update", 10, message=message(2, 10, deleted_at=1, text=None), change="delete"))
    views.append(mirror.view()["c"])
    mirror.take(event("message.read", 11, user=ME, seq=1))
    views.append(mirror.view()["c"])
    assert [(view["unread"], view["mentions"]) for view in views] == [(2, 1), (1, 0), (0, 0)]


def test_the_user_is_known_by_the_alias_in_a_match() -> None:
    mirror = in_match(message(1, 2, mentions=[MY_ALIAS, ME]), message(2, 3, sender=MY_ALIAS), message(3, 4, sender=ME))
    assert [mirror.view()["c"][name] for name in ("unread", "mentions", "role")] == [2, 1, "member"]
    reaction = {"message": message(1, 10, reactions={"👍": 1}), "change": "reaction", "emoji": "👍", "on": True}
    mirror.take(event("message.update", 10, **reaction, by=MY_ALIAS))
    mirror.answered({"t": "receipt.read", "conversation": "c", "seq": 1}, {"t": "ok"})
    ack = {"t": "message.ack", "message": "m4", "seq": 4, "rev": 11, "created_at": 0}
    sending = {"conversation": "c", "client_id": "x", "text": "x", "mentions": [MY_ALIAS, PARTNER, OTHER]}
    mirror.answered(sending, ack)
    view = mirror.view()["c"]
    assert (view["messages"][1]["mine"], view["read_seq"], view["unread"]) == (["👍"], 1, 1)
    assert (view["messages"][4]["sender"], view["messages"][4]["mentions"]) == (MY_ALIAS, [MY_ALIAS])
    mirror.take(event("message.update", 12, **reaction, by=ME))
    mirror.take(left(MY_ALIAS, 13))
    assert mirror.rooms == {}


@pytest.mark.parametrize("is_live", [True, False])
def test_a_match_that_was_kept_is_read_again(is_live: bool) -> None:
    mirror = in_match(message(1, 2, sender=MY_ALIAS))
    if is_live:
        mirror.take({"t": "match.kept", "match": "m", "conversation": "c"})
        assert mirror.stale
    mirror.take_states(session(state()))
    assert (mirror.rooms["c"].rev, mirror.behind) == (0, {"c"})
    mirror.take_changes("c", changes(ME, message(1, 2, sender=ME)))
    assert [mirror.view()["c"][name] for name in ("unread", "role")] == [0, "member"]
    assert list(mirror.view()["c"]["members"]) == [ME]


def test_state_changed_between_two_pages_is_stale_after_the_last_page() -> None:
    mirror = known(message(1, 2))
    star = {"t": "message.star", "conversation": "c", "message": "m1"}
    for between, stale in [(star, True), (None, False)]:
        mirror.session_request()
        mirror.take_states(session(more=True))
        if between is not None:
            mirror.answered(between, {"t": "ok"})
        mirror.session_request()
        mirror.take_states(session())
        assert mirror.stale is stale

"""A short form of `python -m tests.property.histories`; and proof that the checks find differences."""

from typing import Any

import pytest

from chatd.core.config import Config
from tests.property.histories import KINDS, live
from tests.property.judge import differences
from tests.property.mirror import Mirror
from tests.property.wire import Wire

ME, OTHER = "me", "other"


@pytest.mark.parametrize("seed", [1, 2])
async def test_old_state_and_changes_are_what_a_fresh_client_reads(config: Config, seed: int) -> None:
    report = await live(config, seed, 200)
    assert report.wrong == []
    assert report.judged > 1


async def test_both_sides_of_a_block_read_what_they_were_told(config: Config) -> None:
    report = await live(config, 1, 200, KINDS["blocking"])
    assert report.wrong == []
    assert report.done["user.block ok"] > 0
    assert report.done["user.unblock ok"] > 0


def event(kind: str, rev: int, **fields: Any) -> dict[str, Any]:
    return {"t": kind, "conversation": "c", "rev": rev, **fields}


def message(seq: int, rev: int, **fields: Any) -> dict[str, Any]:
    plain = {"id": f"m{seq}", "seq": seq, "rev": rev, "sender": OTHER, "text": f"text {seq}", "reply_to": None}
    return {**plain, **fields}


def left(user: str, rev: int) -> dict[str, Any]:
    return event("member.left", rev, departure={"user": user, "rev": rev})


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
    ],
)
def test_what_may_not_come_over_a_connection_is_seen(events: list[dict[str, Any]], kinds: list[str]) -> None:
    wire = Wire(ME)
    for one in events:
        wire.heard(one)
    assert [wrong[:2] for wrong in wire.wrong] == kinds


def test_differences_are_named_by_field() -> None:
    assert differences({"a": {"b": 1, "c": [2]}}, {"a": {"b": 1, "c": [3]}, "d": 4}) == [
        "$.a.c: [2] is [3]",
        "$.d: None is 4",
    ]


def known(*messages: dict[str, Any]) -> Mirror:
    """A device that knows a conversation up to rev 9."""
    mirror = Mirror(ME)
    mirror.learn({"id": "c"})
    member = {"user": ME, "role": "member", "read_seq": 0, "delivered_seq": 0, "joined_at": 1, "rev": 1}
    page = {"messages": messages, "members": [member], "departures": [], "rev": 9, "more": False}
    mirror.take_changes("c", page)
    return mirror


def test_what_comes_twice_is_dropped_and_a_jump_is_asked_for() -> None:
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


def test_unread_is_counted_from_the_messages() -> None:
    mirror = known(message(1, 2), message(2, 3, mentions=[ME]), message(3, 4, sender=ME), message(4, 5, system={}))
    views = [mirror.view()["c"]]
    mirror.take(event("message.update", 10, message=message(2, 10, deleted_at=1, text=None), change="delete"))
    views.append(mirror.view()["c"])
    mirror.take(event("message.read", 11, user=ME, seq=1))
    views.append(mirror.view()["c"])
    assert [(view["unread"], view["mentions"]) for view in views] == [(2, 1), (1, 0), (0, 0)]

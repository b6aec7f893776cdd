"""No answer and no event shows whether two aliases, or an alias and a user id, belong to one user.

The same commands run in two worlds. In one of them the asker shares a group with a friend, was matched with that
friend, and is matched with them again right now; in the other one these are three users. The asker gets the same in
both.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatd.accounts.settings import AccountLimits
from chatd.client import Refused
from chatd.conversations.settings import PresenceDefaults
from chatd.core.config import Config
from chatd.matching.settings import MatchSettings
from tests.examples import examples
from tests.reply import Reply
from tests.support import NOBODY, PATIENCE, Daemon, Person, poll_until, running

# Worlds mostly wait, and know nothing of each other: those of an example run at once.
LISTS = 4
EXAMPLES = examples(3)
QUEUES = count()
ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Milliseconds since 1970, and cursors, which hold numbers of transactions.
MOMENT = 10**12
UNEQUAL = ("cursor", "waited_ms", "retry_after", "eta_ms")
# By ids that are random in each world.
UNORDERED = ("members", "blocks", "reactions", "message.receipts")
# Seconds in which events would come that only one world gets: an update of presence may wait for one second.
QUIET_S = 1.6

Deed = tuple[str, dict[str, Any]]


@dataclass
class World:
    """`who` by role, and `ids` by the asker's names. `watch`: the answer to the last `presence.watch`."""

    me: Person
    who: dict[str, Person]
    ids: dict[str, str]
    messages: dict[str, list[str]] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    watch: Any = None

    def named(self, value: Any) -> Any:
        """The fields of a deed with ids for names."""
        if isinstance(value, list):
            return [self.named(item) for item in value]
        return self.ids.get(value, value) if isinstance(value, str) else value


async def match(me: Person, other: Person) -> Reply:
    queue = f"q{next(QUEUES)}"
    for person in (me, other):
        await person.call("match.find", queue=queue)
    await other.event("match.found")
    return await me.event("match.found")


@asynccontextmanager
async def world(daemon: Daemon, *, same: bool) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(daemon.person(name="x")) for _ in range(2 if same else 4)]
        me, friend = people[:2]
        first, second = people[2:] or (friend, friend)
        group = (await me.call("conversation.create", title="us", members=[friend.user]))["conversation"]["id"]
        one = await match(me, first)
        await first.send(one["conversation"], "word long ago", client_id=f"past-{friend.user}")
        await me.call("match.leave")
        await first.event("match.ended")
        two = await match(me, second)
        ids = {
            "group": group, "match1": one["conversation"], "match2": two["conversation"], "me": me.user, "friend": friend.user,
            "alias1": one["partner"]["id"], "alias2": two["partner"]["id"], "mine1": one["alias"], "mine2": two["alias"],
        }  # fmt: skip
        found = World(me, {"friend": friend, "first": first, "second": second}, {**ids, "nobody": NOBODY})
        for place in ("group", "match2"):
            author = found.who["friend" if place == "group" else "second"]
            found.messages[place] = [(await author.send(ids[place], f"word in {place}"))["message"]]
        yield found


async def act(world: World, deed: Deed) -> None:
    """Commands of the asker have answers; acts of the others cause events."""
    name, fields = deed
    role, _, command = name.rpartition(":")
    fields = {key: world.named(value) for key, value in fields.items()}
    if "message" in fields:
        place = deed[1].get("source") or deed[1].get("conversation")
        known = world.messages.get(place, [])
        fields["message"] = known[fields["message"] % len(known)] if known else NOBODY
    if command in ("message.send", "message.forward"):
        fields["client_id"] = f"{len(world.answers)}-{world.me.user}"
    try:
        answer: Any = await (world.who[role] if role else world.me).call(command, **fields)
    except Refused as refused:
        answer = {"code": refused.code, "message": refused.message}
    if answer.get("t") == "message.ack":
        world.messages.setdefault(deed[1]["conversation"], []).append(answer["message"])
    if command == "presence.watch" and "items" in answer:
        world.watch = answer
    world.answers.append(answer if not role else bool(answer.get("code")))


async def final_questions(world: World) -> None:
    """All that can be asked, once everything has been carried out."""
    await trio.sleep(QUIET_S)
    await poll_until(lambda: is_up_to_date(world))
    labels = ["friend", "alias1", "alias2", "mine2", "nobody"]
    for command in ("presence.query", "user.query"):
        await act(world, (command, {"users": labels}))
    for command in ("block.list", "conversation.list", "session.sync", "message.starred", "unread.total"):
        await act(world, (command, {}))
    for place in ("group", "match1", "match2"):
        for command in ("conversation.get", "member.list", "message.history", "presence.count"):
            await act(world, (command, {"conversation": place}))
        await act(world, ("conversation.sync", {"conversation": place, "rev": 0}))
    world.answers += await steady(lambda: searches(world, labels))


async def searches(world: World, labels: list[str]) -> list[Any]:
    """What a search finds, for each sender."""
    answers = [await world.me.call("message.search", query="word", sender=world.ids[label]) for label in labels]
    return [
        [(item["conversation"], item["message"]["sender"], item["message"]["text"]) for item in answer["items"]]
        for answer in answers
    ]


async def steady(ask: Callable[[], Any]) -> Any:
    """The answer, once it stays the same: the index is behind the messages."""
    with trio.fail_after(PATIENCE):
        known = await ask()
        while True:
            await trio.sleep(0.3)
            if (found := await ask()) == known:
                return found
            known = found


def statuses_of(answer: Any) -> dict[str, str]:
    return {state["user"]: state["status"] for state in answer["items"]}


def known_statuses(world: World) -> dict[str, str]:
    """Those of the users whom the asker watches, by the answer to `presence.watch` and the updates since."""
    known: dict[str, str] = {}
    for kind, body in world.me.log:
        if body is world.watch:
            known = statuses_of(body)
        elif kind == "event" and body["t"] == "presence.update" and body["user"] in known:
            known[body["user"]] = body["status"]
    return known


async def is_up_to_date(world: World) -> bool:
    """Whether the asker has all updates of the users whom they watch."""
    known = known_statuses(world)
    return not known or statuses_of(await world.me.call("presence.query", users=list(known))) == known


def events_of(world: World) -> list[Any]:
    """All but those of presence and profiles, and the known statuses. An update that is due when the asker watches
    others is sent or not, and two changes within seconds are one update or two: both are matters of time.
    """
    known = known_statuses(world)
    return [
        [
            body
            for kind, body in world.me.log
            if kind == "event" and body["t"] not in ("presence.update", "user.updated")
        ],
        [known.get(id_) for id_ in world.ids.values()],
    ]


def transcript(world: World) -> Any:
    """All that the asker got, with names for ids."""
    names = {id_: name for name, id_ in world.ids.items()}

    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"id-{len(names)}")

    def plain(value: Any, key: str = "") -> Any:
        if key in UNEQUAL and value is not None:
            return "..."
        if isinstance(value, dict):
            fields = {name: plain(item, name) for name, item in value.items()}
            if "joined_at" in value and value["rev"] <= 2:
                # Of the first members of a match, in the order of their aliases.
                fields["rev"] = "first"
            for list_ in ("items", "members", "read", "delivered"):
                if (value.get("t") in UNORDERED or list_ == "members") and isinstance(fields.get(list_), list):
                    fields[list_] = sorted(fields[list_], key=msgspec.json.encode)
            return fields
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, str):
            return ID.sub(name, value)
        return "then" if isinstance(value, int) and value > MOMENT else value

    return plain([world.answers, events_of(world)])


async def compare_all(daemon: Daemon, lists: list[list[Deed]]) -> None:
    async with trio.open_nursery() as nursery:
        # The first lists that Hypothesis makes are equal.
        for deeds in {repr(deeds): deeds for deeds in lists}.values():
            nursery.start_soon(compare, daemon, deeds)


async def compare(daemon: Daemon, deeds: list[Deed]) -> None:
    found: dict[bool, Any] = {}

    async def run(same: bool) -> None:
        found[same] = await carry_out(daemon, deeds, same)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, True)
        nursery.start_soon(run, False)
    for answers in zip(found[True], found[False], strict=True):
        for in_one, in_other in zip(*answers, strict=True):
            assert differing(in_one, in_other) == []


async def carry_out(daemon: Daemon, deeds: list[Deed], same: bool) -> Any:
    """The transcript of one world, in which no stranger is named."""
    async with world(daemon, same=same) as one:
        for deed in deeds:
            await act(one, deed)
        await final_questions(one)
        strangers = {one.who[role].user for role in ("first", "second")} - {one.ids["friend"]}
        assert not [
            body for _, body in one.me.log if any(user in msgspec.json.encode(body).decode() for user in strangers)
        ]
        # Only the profile of the friend changes, and never that of an alias.
        changed = [body["user"]["id"] for _, body in one.me.log if body["t"] == "user.updated"]
        assert set(changed) <= {one.ids["friend"]}
        return transcript(one)


def differing(one: Any, other: Any, path: str = "$") -> list[str]:
    """The places where the two differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other})
        return [line for name in names for line in differing(one.get(name), other.get(name), f"{path}.{name}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line for at, both in enumerate(zip(one, other, strict=True)) for line in differing(*both, f"{path}[{at}]")
        ]
    return [] if one == other else [f"{path}: {one} is {other}"]


LABEL = st.sampled_from(["friend", "alias1", "alias2", "mine1", "mine2", "me", "nobody"])
LABELS = st.lists(LABEL, min_size=1, max_size=4)
PLACE = st.sampled_from(["group", "match1", "match2"])
OPEN_PLACE = st.sampled_from(["group", "match2"])


def deed(command: str, **fields: Any) -> st.SearchStrategy[Deed]:
    return st.tuples(st.just(command), st.fixed_dictionaries(fields))


MESSAGE = {"conversation": OPEN_PLACE, "message": st.integers(0, 3)}
REASON = st.just("spam")
BY_ME = (
    deed("user.block", user=LABEL),
    deed("user.block", user=LABEL),
    deed("user.unblock", user=LABEL),
    deed("block.list", limit=st.sampled_from([1, 100])),
    deed("presence.query", users=LABELS),
    deed("presence.watch", users=LABELS),
    deed("presence.count", conversation=PLACE),
    deed("report.create", user=LABEL, reason=REASON),
    deed("report.create", user=LABEL, conversation=PLACE, reason=REASON),
    deed("report.create", user=LABEL, reason=REASON, **MESSAGE),
    deed("report.create", reason=REASON, **MESSAGE),
    deed("conversation.open", user=LABEL),
    deed("conversation.create", members=LABELS),
    deed("member.add", conversation=PLACE, users=LABELS),
    deed("member.remove", conversation=PLACE, user=LABEL),
    deed("message.send", conversation=PLACE, text=st.just("word of mine"), mentions=LABELS),
    deed("message.forward", conversation=OPEN_PLACE, source=OPEN_PLACE, message=st.integers(0, 3)),
    deed("message.receipts", **MESSAGE),
    deed("reaction.add", emoji=st.just("👍"), **MESSAGE),
    deed("reaction.list", **MESSAGE),
    deed("message.star", **MESSAGE),
    deed("user.get", user=LABEL),
    deed("user.query", users=LABELS),
    deed("typing.start", conversation=PLACE),
    deed("match.keep"),
    deed("match.leave"),
    deed("match.status"),
)
BY_OTHERS = (
    deed(
        "friend:message.send", conversation=st.just("group"), text=st.just("word of a friend"), mentions=st.just(["me"])
    ),
    deed(
        "second:message.send",
        conversation=st.just("match2"),
        text=st.just("word of a stranger"),
        mentions=st.just(["mine2"]),
    ),
    deed("second:typing.start", conversation=st.just("match2")),
    deed("second:reaction.add", conversation=st.just("match2"), message=st.integers(0, 3), emoji=st.just("👍")),
    deed("second:receipt.read", conversation=st.just("match2"), seq=st.just(1)),
    deed("friend:user.update", status_text=st.sampled_from(["here", "there"]), profile=st.just({"is": "friend"})),
    deed("friend:user.block", user=st.just("me")),
    deed("friend:user.unblock", user=st.just("me")),
    deed("first:user.block", user=st.just("mine1")),
    deed("second:user.block", user=st.just("mine2")),
    deed("second:match.leave"),
)
DEEDS = st.lists(st.one_of(*BY_ME, *BY_OTHERS), min_size=5, max_size=25)


async def test_aliases_cannot_be_linked_to_users(config: Config) -> None:
    config = config.using(
        AccountLimits(signups_per_minute=1e6), MatchSettings(recent=0), PresenceDefaults(shown_to="everybody")
    )
    async with running(config) as daemon:

        @given(st.lists(DEEDS, min_size=LISTS, max_size=LISTS))
        @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
        def holds(lists: list[list[Deed]]) -> None:
            trio.from_thread.run(compare_all, daemon, lists)

        await trio.to_thread.run_sync(holds)

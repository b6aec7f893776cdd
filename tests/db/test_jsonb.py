"""What is accepted is what is read back: free-form values through jsonb, both codecs, REST, another node and sync."""

import json
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect, msgpack

from chatd.core.config import Config
from chatd.db.jsonb import MAX_DEPTH, from_jsonb, to_jsonb
from chatd.db.postgres import Postgres
from chatd.subsystems import load_registry
from chatd.wire.codec import tag_of
from chatd.wire.validation import drop_sign_of_zero
from tests.cluster.test_two_nodes import nodes
from tests.support import Daemon, Person, covers, poll_until
from tests.wire.strategies import BIGINT, TEXT

# Where jsonb, JSON and msgpack disagree about numbers.
LARGE = [
    1e15,
    1e16,
    1e17,
    2.0**53,
    2.0**63,
    -(2.0**64),
    1e20,
    -1e20,
    1e22,
    1e300,
    1.7976931348623157e308,
    123456789012345680.0,
]
SMALL = [1.0, 0.0, -0.0, 0.1, 1e-5, 1e-7, 5e-324]
FLOATS = st.sampled_from(LARGE + SMALL)
NUMBERS = (
    FLOATS
    | st.floats(allow_nan=False, allow_infinity=False)
    | BIGINT
    | st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63)])
)
SCALARS = (
    NUMBERS
    | st.none()
    | st.booleans()
    | st.text(TEXT, max_size=8)
    | st.sampled_from(["1e20", '"', "\\u0000", "9" * 30])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(TEXT, max_size=5), inner, max_size=4),
    max_leaves=25,
)
MAPS = st.dictionaries(st.text(TEXT, max_size=8), VALUES, max_size=5)
# Nobody but Postgres itself can have written these.
FOREIGN = (
    '{"n": 100000000000000000000}',
    '{"n": 18446744073709551615}',
    '{"n": 1e400, "m": [-1e400]}',
    '{"n": 1e5000}',
    '{"n": 1e-5000}',
    '{"n": ' + "[" * 3000 + "]" * 3000 + "}",
    '{"n": ' + '{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1) + "}",
)
# Commands whose fields are free-form, and the tests below which send them.
FREE_FORM = {"message.send", "message.schedule", "match.find", "user.update"}
# Those with maps of texts only (tests/bots).
MAPS_OF_TEXTS = {"bot.commands.set"}


def exact(value: Any) -> Any:
    """To be compared by type too: 1, 1.0 and True are three values."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return (type(value), repr(value))


def canonical(value: Any) -> Any:
    """As it is accepted: without negative zeros."""
    if isinstance(value, dict | list):
        for place, item in value.items() if isinstance(value, dict) else enumerate(value):
            drop_sign_of_zero(value, place, canonical(item))
    return value


def holds_anything(form: inspect.Type) -> bool:
    match form:
        case inspect.AnyType():
            return True
        case inspect.Metadata():
            return holds_anything(form.type)
        case inspect.ListType():
            return holds_anything(form.item_type)
        case inspect.DictType():
            return True
        case inspect.UnionType():
            return any(map(holds_anything, form.types))
        case inspect.StructType():
            return any(holds_anything(field.type) for field in form.fields)
    return False


def test_all_free_form_fields_are_tested() -> None:
    kinds = load_registry().on_socket
    found = {tag_of(kind) for kind in kinds if holds_anything(inspect.type_info(kind))}
    assert found <= FREE_FORM | MAPS_OF_TEXTS


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.lists(VALUES, min_size=1, max_size=8))
def check_database(db: Postgres, values: list[Any]) -> None:
    wanted = canonical(values)
    query = "select $1::jsonb as by_codec, $2::text::jsonb as by_text, jsonb_agg(v) as built from jsonb_array_elements($1) as v"
    row = trio.from_thread.run(db.one, query, wanted, to_jsonb(wanted))
    for name in ("by_codec", "by_text", "built"):
        assert exact(row[name]) == exact(wanted)
        assert exact(json.loads(json.dumps(row[name]))) == exact(msgpack.decode(msgpack.encode(row[name])))


async def test_a_value_comes_back_from_jsonb_equal_and_of_its_type(db: Postgres) -> None:
    await trio.to_thread.run_sync(check_database, db)


async def test_foreign_jsonb_is_read_as_values_of_both_codecs(db: Postgres) -> None:
    for text in FOREIGN:
        value = await db.value("select $1::text::jsonb", text)
        assert json.loads(json.dumps(value, allow_nan=False)) == msgpack.decode(msgpack.encode(value))
    assert from_jsonb(FOREIGN[0]) == {"n": 1e20}


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(MAPS, st.sampled_from(["sent", "scheduled"]), st.integers(0, 1))
def check_room(room: "Room", meta: dict[str, Any], way: str, sender: int) -> None:
    trio.from_thread.run(room.check, meta, way, sender)


class Room:
    """A conversation of users with both codecs on two nodes."""

    def __init__(self, conversation: str, people: list[Person], home: Daemon) -> None:
        self.conversation = conversation
        self.people = people
        self.home = home

    async def check(self, meta: dict[str, Any], way: str, sender: int) -> None:
        """All members get it unchanged, by every command and event."""
        author = self.people[sender]
        # As the sender's own codec carries it.
        wanted = exact(canonical(json.loads(json.dumps(meta))))
        fields = {"conversation": self.conversation, "client_id": str(uuid4()), "text": "hi", "meta": meta}
        if way == "scheduled":
            await self.check_scheduled(author, fields, wanted)
            return
        ack = await author.call("message.send", **fields)
        for person in self.people:
            if person is not author:
                assert exact((await person.event("message.new"))["message"]["meta"]) == wanted
            for found in await self.found_by(person, ack):
                assert exact(found["meta"]) == wanted

    async def found_by(self, person: Person, ack: Any) -> list[Any]:
        history = await person.call("message.history", conversation=self.conversation, limit=1)
        changes = await person.call("conversation.sync", conversation=self.conversation, rev=ack["rev"] - 1)
        listed = await person.call("conversation.list")
        path = f"/v1/conversations/{self.conversation}/messages?limit=1"
        rest = await self.home.rest("GET", path, token=person.account.access_token)
        return [history["items"][0], changes["messages"][-1], listed["items"][0]["last_message"], rest.body["items"][0]]

    async def check_scheduled(self, author: Person, fields: dict[str, Any], wanted: Any) -> None:
        kept = await author.call("message.schedule", **fields, at=author.hello["server_time"] + 86_400_000)
        listed = await author.call("schedule.list")
        assert exact(listed["items"][0]["meta"]) == wanted
        await author.call("schedule.cancel", id=kept["id"])


@covers("message.send")
@covers("message.schedule")
async def test_accepted_values_are_read_back_unchanged(config: Config) -> None:
    async with nodes(config) as daemons, AsyncExitStack() as stack:
        people = [
            await stack.enter_async_context(one.person("p", codec)) for one in daemons for codec in ("json", "msgpack")
        ]
        group = await people[0].call("conversation.create", members=[person.user for person in people[1:]])
        room = Room(group["conversation"]["id"], people, daemons[1])
        await trio.to_thread.run_sync(check_room, room)


# Texts of a profile are normalized, see `tests/people/test_profiles.py`.
NUMBER_MAPS = st.dictionaries(st.sampled_from("abc"), st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4)))


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(NUMBER_MAPS, st.integers(0, 1))
def check_profiles(people: list[Person], profile: dict[str, Any], author: int) -> None:
    trio.from_thread.run(check_profile, people, profile, people[author])


async def check_profile(people: list[Person], profile: dict[str, Any], author: Person) -> None:
    wanted = exact(canonical(json.loads(json.dumps(profile))))
    assert exact((await author.call("user.update", profile=profile)).user["profile"]) == wanted
    for person in people:
        assert exact((await person.call("user.get", user=author.user)).user["profile"]) == wanted


@covers("user.update")
async def test_accepted_profiles_are_read_back_unchanged(daemon: Daemon) -> None:
    async with daemon.person("a") as one, daemon.person("b", "msgpack") as other:
        await trio.to_thread.run_sync(check_profiles, [one, other])


async def test_unencodable_row_does_not_fail_its_page(daemon: Daemon, store: Postgres) -> None:
    columns = "meta = $2::text::jsonb, attachments = jsonb_build_array($2::text::jsonb)"
    async with daemon.pair() as (alice, bob, conversation):
        for number in range(3):
            await alice.send(conversation, f"number {number}")
        for text in FOREIGN:
            await store.run(f"update messages set {columns} where conversation = $1 and seq > 1", conversation, text)
            for person in (alice, bob):
                history = await person.call("message.history", conversation=conversation)
                changes = await person.call("conversation.sync", conversation=conversation, rev=0)
                for page in (history["items"], changes["messages"]):
                    assert [message["text"] for message in page] == ["number 0", "number 1", "number 2"]
                assert (await person.call("conversation.list"))["items"][0]["last_message"]["text"] == "number 2"


# Forms that chatd never writes into the column.
MISSHAPEN = (
    "null",
    "1",
    '"x"',
    "{}",
    '{"type": "link"}',
    "[null, 1, [], {}]",
    '["x"]',
    '[{"type": 1}]',
    '[{"upload": 1}]',
    '[{"mime": null}]',
)


async def test_malformed_attachment_fails_no_page_and_no_service(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        first = await alice.send(conversation, "number 0")
        await alice.call("message.pin", conversation=conversation, message=first["message"])
        await bob.call("message.star", conversation=conversation, message=first["message"])
        for number, text in enumerate((*MISSHAPEN, '[{"type": "image", "upload": "x", "mime": null, "size": "9"}]')):
            changed = "update messages set attachments = $2::text::jsonb, rev = rev where conversation = $1 and seq = 1"
            await store.run(changed, conversation, text)
            await alice.call(
                "message.forward",
                conversation=conversation,
                client_id=f"f{number}",
                source=conversation,
                message=first["message"],
            )
            for person in (alice, bob):
                assert (await person.call("message.history", conversation=conversation))["items"]
                assert (await person.call("conversation.sync", conversation=conversation, rev=0))["messages"]
                assert (await person.call("conversation.list"))["items"][0]["last_message"]["text"] == "number 0"
                assert (await person.call("message.pins", conversation=conversation))["items"]
            assert (await bob.call("message.starred"))["items"]
        await alice.send(conversation, "heliotrope")
        await eventually_found(bob, "heliotrope")


async def eventually_found(person: Person, word: str) -> None:
    await poll_until(lambda: person.call("message.search", query=word), lambda found: found["items"])


async def test_malformed_settings_and_scheduled_messages_fail_no_answer(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, _, conversation):
        await alice.call("user.settings", notify="mentions")
        later = alice.hello["server_time"] + 86_400_000
        for text in ("one", "two"):
            await alice.call("message.schedule", conversation=conversation, client_id=text, text=text, at=later)
        for text in (
            *MISSHAPEN[1:],
            '{"from": 1}',
            '{"from": "22:00", "to": "07:00"}',
            '{"text": 1}',
            '{"text": "x", "mentions": "x"}',
        ):
            await store.run("update user_settings set quiet = $1::text::jsonb", text)
            await store.run("update scheduled_messages set body = $1::text::jsonb where client_id = 'one'", text)
            assert (await alice.call("user.settings.get"))["quiet"] is None
            items = (await alice.call("schedule.list"))["items"]
            assert [one["text"] for one in items][1:] == ["two"]
            edited = await alice.call("schedule.edit", id=items[0]["id"], text="again")
            assert edited["scheduled"]["text"] == "again"


async def test_match_attributes_are_returned_unchanged(config: Config) -> None:
    attributes = {
        "a": 1e20,
        "b": 1.0,
        "c": 2**63 - 1,
        "d": -0.0,
        "e": 1e-7,
        "f": 5e-324,
        "g": 1.7976931348623157e308,
        "h": True,
    }
    async with nodes(config) as (one, two), one.person("a", "json") as a, two.person("b", "msgpack") as b:
        await a.call("match.find", attributes=dict(attributes))
        await b.call("match.find", attributes=dict(attributes))
        for person in (a, b):
            found = await person.event("match.found")
            assert exact(found["partner"]["attributes"]) == exact({**attributes, "d": 0.0})

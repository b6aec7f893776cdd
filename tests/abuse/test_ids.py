"""Ids of other users: every command that takes an id, by the table of commands, so that none is forgotten.

A command that names another user's, another tenant's, a deleted or an unknown id is refused with the same words for all
of them; nothing changes, and no event is sent. The owner is not refused: this proves that the thing exists.

A new command usually needs nothing; new kinds of ids and intended exceptions are declared in
`tests/<subsystem>/declares.py`, see `tests/declarations.py`.
"""

import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import trio
from msgspec import Struct, inspect
from msgspec.structs import replace

from chatd.accounts.settings import AccountLimits, TenantSettings
from chatd.app.registry import Guard, Row
from chatd.client import Refused
from chatd.core.config import Config
from chatd.core.ids import UUID_PATTERN
from chatd.db.postgres import Postgres
from chatd.matching.settings import MatchSettings, QueueSettings
from chatd.presence.settings import PresenceSettings
from chatd.subsystems import load_registry
from chatd.wire.base import Id
from chatd.wire.codec import tag_of
from chatd.wire.reference.examples import example_body
from chatd.wire.reference.json_schema import FIELD, WITH_QUERY
from tests.abuse.things import World
from tests.declarations import declared
from tests.support import NOBODY, PATIENCE, Daemon, Person, only_jobs, running

ROWS = [row for row in load_registry().commands.values() if row.guard in (Guard.USER, Guard.MEMBER)]
FACTORIES, GONE = declared("FACTORIES"), declared("GONE")
ANYBODYS, OTHERWISE, ALSO_THE_OWNER = declared("ANYBODYS"), declared("OTHERWISE"), declared("ALSO_THE_OWNER")
TOGETHER, WITHOUT_OWNER = declared("TOGETHER"), declared("WITHOUT_OWNER")
IN_BACKGROUND = declared("IN_BACKGROUND")
# Fields that are a position in a list, which may be anywhere; and fields that name no one's thing.
PLACES = ("cursor", "mentions")
# Seconds without a change after the effects of a command.
REST = 0.03


def tomorrow_ms() -> int:
    return round(time.time() * 1000) + 86_400_000


# Changes to the example of a command where the owner would be refused.
VALUES: dict[str, Callable[[], Any]] = {
    "seq": lambda: 1,
    "rev": lambda: 0,
    "client_id": lambda: str(uuid4()),
    "at": tomorrow_ms,
    "closes_at": tomorrow_ms,
}


@dataclass(frozen=True, eq=False)
class IdField:
    """A field of a command that holds an id, alone or in a list or a struct. `name` is that of the innermost field."""

    field: str
    name: str
    required: bool
    value: Callable[[str], Any]


@cache
def id_fields(command: type[Struct]) -> list[IdField]:
    form = inspect.type_info(command)
    assert isinstance(form, inspect.StructType)
    return [
        IdField(field.encode_name, name, field.required, value)
        for field in form.fields
        for name, value in ids_in(field.encode_name, field.type)
        if name not in PLACES and tag_of(command) not in WITHOUT_OWNER
    ]


def ids_in(name: str, form: inspect.Type) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Where an id can be in a type: the name of the field, and a function that makes a value with an id there."""
    match form:
        case inspect.Metadata():
            yield from ids_in(name, form.type)
        case inspect.StrType() if form.pattern == UUID_PATTERN:
            yield name, lambda id_: id_
        case inspect.UnionType():
            for part in form.types:
                yield from ids_in(name, part)
        case inspect.ListType() | inspect.SetType() | inspect.FrozenSetType() | inspect.VarTupleType():
            for inner, value in ids_in(name, form.item_type):
                yield inner, lambda id_, value=value: [value(id_)]  # type: ignore[misc]
        case inspect.DictType():
            for inner, value in ids_in(name, form.key_type):
                yield inner, lambda id_, value=value: {value(id_): {}}  # type: ignore[misc]
            for inner, value in ids_in(name, form.value_type):
                yield inner, lambda id_, value=value: {"x": value(id_)}  # type: ignore[misc]
        case inspect.StructType():
            for field in form.fields:
                for inner, value in ids_in(field.encode_name, field.type):
                    yield (
                        inner,
                        lambda id_, kind=form.cls, at=field.encode_name, value=value: {  # type: ignore[misc]
                            **without_type(kind),
                            at: value(id_),
                        },
                    )


def without_type(kind: type[Struct]) -> dict[str, Any]:
    """The example of a struct inside a command."""
    body = example_body(kind)
    return {name: value for name, value in body.items() if name != "t" or kind.__struct_config__.tag is not None}


def test_every_kind_of_id_can_be_made() -> None:
    """A new kind fails here until FACTORIES of a `declares.py` makes it; so does one that no longer exists."""
    used = {field.name for row in ROWS for field in id_fields(row.command)}
    assert used - FACTORIES.keys() == set(), (
        "declare FACTORIES in tests/<subsystem>/declares.py, see tests/declarations.py"
    )
    assert FACTORIES.keys() - used == set()
    assert GONE.keys() <= FACTORIES.keys()


def test_exceptions_of_the_id_test_are_valid() -> None:
    tags = {row.tag for row in ROWS}
    assert {tag for tag, _ in (*ANYBODYS, *TOGETHER)} | {*OTHERWISE, *ALSO_THE_OWNER, *WITHOUT_OWNER} <= tags


class Inner(Struct):
    """Used by the next test."""

    deep: list[Id]
    other: int


class Outer(Struct, tag="outer"):
    """Used by the next test."""

    plain: Id
    many: list[Id]
    inner: Inner | None = None
    text: str = ""


def test_ids_are_found_in_nested_fields() -> None:
    found = {field.name: (field.field, field.value("x")) for field in id_fields(Outer)}
    assert found == {"plain": ("plain", "x"), "many": ("many", ["x"]), "deep": ("inner", {"deep": ["x"], "other": 1})}


async def test_tables_written_in_the_background_exist(store: Postgres) -> None:
    found = {row["tablename"] for row in await store.all("select tablename from pg_tables")}
    assert IN_BACKGROUND.keys() <= found


async def test_foreign_ids_are_refused_like_unknown_ids(config: Config, db: Postgres) -> None:
    patient = (
        config.using(
            MatchSettings(grace=60.0),
            PresenceSettings(grace=600.0),
            replace(config.get(AccountLimits), signups_per_minute=1e6),
        )
        .using_named(TenantSettings, {"other": TenantSettings(secret="x" * 32)})
        .using_named(QueueSettings, {"asking": QueueSettings(confirm=60.0)})
    )
    wrong: list[str] = []
    # Jobs change the database at any time.
    async with running(patient, only_jobs()) as daemon:
        for row in ROWS:
            if id_fields(row.command):
                async with AsyncExitStack() as stack:
                    wrong += await Trial(World(daemon, stack), daemon, row, db).run()
    assert not wrong, "\n".join(wrong)


class Trial:
    """One command with ids of all kinds by all kinds of users. Collects violations."""

    def __init__(
        self, world: World, daemon: Daemon, row: Row, db: Postgres, anybodys: Container[tuple[str, str]] = ANYBODYS
    ) -> None:
        self._anybodys = anybodys
        self._world = world
        self._daemon = daemon
        self._row = row
        self._db = db
        self._fields = id_fields(row.command)
        self._wrong: list[str] = []

    async def run(self) -> list[str]:
        world = self._world
        alice = await world.person(name="alice")
        mallory = await world.person(name="mallory")
        eve = await world.person(name="eve", tenant="other")
        for fields in self._choices():
            await self._others(fields, alice, mallory, eve)
        await self._owner(alice)
        return self._wrong

    def _needed(self, field: IdField, ids: Mapping[IdField, str]) -> bool:
        """Whether the asker's own id has to be in this field."""
        return field.required or any(field.name in TOGETHER.get((self._row.tag, other.name), ()) for other in ids)

    def _choices(self) -> list[list[IdField]]:
        """Each foreign id alone with the asker's own ids in the other fields; all foreign ids of one owner."""
        alone = [[field] for field in self._fields]
        return [*alone, self._fields] if len(alone) > 1 else alone

    async def _others(self, fields: list[IdField], alice: Person, mallory: Person, eve: Person) -> None:
        """All users but the owner are refused with the same words, nothing changes, and no event is sent."""
        theirs = {field: (await self._world.thing(alice, field.name)).id for field in fields}
        cases: list[tuple[str, Person, dict[IdField, str]]] = [
            ("nobody's", mallory, dict.fromkeys(fields, NOBODY)),
            ("nobody's, asked in another tenant", eve, dict.fromkeys(fields, NOBODY)),
            ("another tenant's", eve, theirs),
        ]
        if not any((self._row.tag, field.name) in self._anybodys for field in fields):
            cases.append(("somebody's", mallory, theirs))
        if all(field.name in GONE for field in fields):
            cases.append(("gone", mallory, {field: await GONE[field.name](self._world, mallory) for field in fields}))
        bodies = [(kind, asker, await self._body(asker, ids)) for kind, asker, ids in cases]
        before = await self._state_at_rest()
        outcomes = {kind: await self._outcome(asker, body) for kind, asker, body in bodies}
        names = ", ".join(field.name for field in fields)
        self._judge(names, outcomes)
        after = await self._state()
        if after != before:
            self._wrong.append(f"{self._row.tag}: {names}: changed, or disclosed: {difference(before, after)}")

    def _judge(self, names: str, outcomes: dict[str, tuple[str, str]]) -> None:
        wanted = OTHERWISE.get(self._row.tag, "not_found")
        if len(set(outcomes.values())) > 1 or {code for code, _ in outcomes.values()} != {wanted}:
            self._wrong.append(f"{self._row.tag}: {names}: expected the same {wanted}, got {outcomes}")

    async def _owner(self, alice: Person) -> None:
        """With new things, the command works for the owner: the refusals were for the ids."""
        if self._row.tag in ALSO_THE_OWNER:
            return
        self._world.forget()
        things = {field: await self._world.thing(alice, field.name) for field in self._fields}
        holder = next(iter(things.values())).holder
        code, text = await self._outcome(
            holder, await self._body(holder, {field: thing.id for field, thing in things.items()})
        )
        if code in ("not_found", "bad_request", "internal"):
            self._wrong.append(f"{self._row.tag}: the owner is refused: {code}: {text}. Are `things` and VALUES right?")

    async def _body(self, asker: Person, ids: Mapping[IdField, str]) -> dict[str, Any]:
        """The command with these ids, and the asker's own ids where it needs more."""
        body = example_body(self._row.command)
        body |= {name: make() for name, make in VALUES.items() if name in body}
        for field in self._fields:
            if field in ids:
                body[field.field] = field.value(ids[field])
            elif self._needed(field, ids) and field.field not in {other.field for other in ids}:
                body[field.field] = field.value((await self._world.thing(asker, field.name)).id)
        return body

    async def _outcome(self, asker: Person, body: dict[str, Any]) -> tuple[str, str]:
        """Code and message, or "ok" and the answer."""
        if not self._row.socket:
            answer = await self._daemon.rest(*request_of(self._row, body), asker.account.access_token)
            return ("ok", str(answer.body)) if answer.status == 200 else (answer.body["code"], answer.body["message"])
        try:
            return "ok", str(await asker.call(body["t"], **{name: body[name] for name in body if name != "t"}))
        except Refused as refused:
            return refused.code, refused.message

    async def _state_at_rest(self) -> dict[str, Any]:
        """The state once all events of the preparation are delivered."""
        with trio.fail_after(PATIENCE):
            while True:
                before = await self._state()
                await trio.sleep(REST)
                if await self._state() == before:
                    return before

    async def _state(self) -> dict[str, Any]:
        """The database by table, and the events that all users have received."""
        for person in self._world.people:
            assert await person.is_served()
        events = [body["t"] for person in self._world.people for kind, body in person.log if kind == "event"]
        return dict(await self._db.all(await digests(self._db))) | {"events": events}


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


# Except whether a match was announced, which is written in the background seconds later.
ROW = "(to_jsonb(t) - 'announced')::text"
DIGEST = f"select '{{0}}', md5(coalesce(string_agg({ROW}, ',' order by {ROW}), '')) from {{0}} t"
TABLES = "select tablename from pg_tables where schemaname = 'public' and tablename <> all($1) order by 1"


async def digests(db: Postgres) -> str:
    """One statement for all tables: it runs hundreds of times."""
    return " union all ".join(DIGEST.format(row["tablename"]) for row in await db.all(TABLES, [*IN_BACKGROUND]))


def request_of(row: Row, body: dict[str, Any]) -> tuple[str, str, Any]:
    """For a command without a socket: method, path with query, body."""
    method, path = row.http.split(" ")
    fields = {name: value for name, value in body.items() if name != "t"}
    for name in FIELD.findall(path):
        path = path.replace(f"{{{name}}}", fields.pop(name))
    if method in WITH_QUERY:
        return method, f"{path}?{urlencode(fields)}", None
    return method, path, fields

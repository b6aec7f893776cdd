"""The declarations of tables and keys of Redis, which docs/privacy.md is made of, name all data about users."""

import re

from msgspec.structs import replace

from chatd.app.documents import stored_by
from chatd.app.subsystem import Subsystem
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis, open_redis
from chatd.presence.settings import PresenceSettings
from chatd.subsystems import SUBSYSTEMS
from tests.privacy.test_erased_traces import say_everywhere
from tests.support import poll_until, running

NAME = re.compile(r"`([^`]+)`")
# Columns that can name a user, or hold what one wrote or sent.
COLUMNS = """
select c.table_name as table, c.column_name as column
from information_schema.columns c
join pg_class p on p.relname = c.table_name and p.relkind = 'r' and p.relnamespace = 'public'::regnamespace
where c.table_schema = 'public' and c.column_name <> 'tenant'
    and c.udt_name in ('uuid', 'text', 'json', 'jsonb', 'bytea', 'tsvector', '_uuid', '_text', 'inet', 'varchar')
"""
ALL_COLUMNS = (
    "select table_name as table, column_name as column from information_schema.columns where table_schema = 'public'"
)
# Columns of these types that contain nothing about users in any table: ids of rows, references to what is declared.
ANYWHERE = {"id", "conversation"}


async def undeclared(store: Postgres, subsystems: tuple[Subsystem, ...] = SUBSYSTEMS) -> list[str]:
    """Columns that may contain data about users, and that the declaration of their table does not name."""
    tables = {table.name: table for table in stored_by(subsystems).tables}
    found = []
    for row in await store.all(COLUMNS):
        table, column = tables[row["table"]], row["column"]
        named = set(NAME.findall(table.users.what)) if table.users else set()
        if column not in named | {*table.impersonal, *ANYWHERE}:
            found.append(
                f"{table.name}.{column}: name it in `users` or `impersonal` of its Table (chatd/app/storage.py)"
            )
    return found


async def test_columns_with_user_data_are_declared(store: Postgres) -> None:
    assert await undeclared(store) == []


async def test_declared_columns_exist(store: Postgres) -> None:
    columns = {(row["table"], row["column"]) for row in await store.all(ALL_COLUMNS)}
    for table in stored_by(SUBSYSTEMS).tables:
        users = table.users
        named = {*table.impersonal, *((*users.id_stays, users.rows_of or "tenant") if users else ())}
        assert {(table.name, column) for column in named - {"tenant"}} <= columns, table.name
        if users:
            assert columns & {(table.name, column) for column in NAME.findall(users.what)}, table.name


def test_export_lines_come_from_declared_tables() -> None:
    stored = stored_by(SUBSYSTEMS)
    exported = {type_ for table in stored.tables if table.users for type_ in table.users.exported}
    assert exported == {part.type for part in stored.parts}


def documented(key: str) -> bool:
    patterns = [declared.pattern for declared in stored_by(SUBSYSTEMS).redis_keys]
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), key) for pattern in patterns)


async def holding(redis: Redis, user: str) -> set[str]:
    """The keys that hold the id of a user."""
    found = set()
    for key in await redis.call("KEYS", redis.key("*")):
        if user.encode() in await plain(redis, key):
            found.add(key.decode().removeprefix(redis.key("")))
    return found


async def plain(redis: Redis, key: bytes) -> bytes:
    """What a key holds, as Redis gives it."""
    kinds = {
        b"stream": ("XRANGE", "-", "+"),
        b"hash": ("HGETALL",),
        b"zset": ("ZRANGE", 0, -1),
        b"list": ("LRANGE", 0, -1),
    }
    command, *rest = kinds.get(await redis.call("TYPE", key), ("GET",))
    return repr(await redis.call(command, key, *rest)).encode()


async def test_redis_keys_are_documented(config: Config) -> None:
    brief = config.using(replace(config.get(PresenceSettings), grace=0.2))
    async with open_redis(config.redis, config.redis.url) as redis, running(brief) as daemon:
        prefix = redis.key("")
        async with daemon.people(2) as (alice, bob):
            await say_everywhere(alice, bob, daemon)
            here = {key.decode().removeprefix(prefix) for key in await redis.call("KEYS", redis.key("*"))}
            assert {key for key in here if not documented(key)} == set()
            assert {"match", "presence"} <= here
            assert {re.sub(":.*", "", key) for key in await holding(redis, alice.user)} == {"match", "presence"}
        # Who has gone is on no board.
        await poll_until(lambda: holding(redis, alice.user), lambda found: found == {"match"})

"""docs/privacy.md names each table and each key of Redis that holds something of users, with what it holds."""

import re
from pathlib import Path

from msgspec.structs import replace

from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis, open_redis
from chatd.presence.settings import PresenceSettings
from tests.privacy.test_erased_traces import say_everywhere
from tests.support import poll_until, running

DOCUMENT = (Path(__file__).parents[2] / "docs/privacy.md").read_text()
SECTION = DOCUMENT.partition("## Every table and key\n")[2].partition("\n## ")[0]
ROW = re.compile(r"^\| (`.*?) \| (.*) \| .* \|$", re.MULTILINE)
NAME = re.compile(r"`([^`]+)`")
# Columns that can name a user, or hold what one wrote or sent.
COLUMNS = """
select c.table_name as table, c.column_name as column
from information_schema.columns c
join pg_class p on p.relname = c.table_name and p.relkind = 'r' and p.relnamespace = 'public'::regnamespace
where c.table_schema = 'public' and c.column_name <> 'tenant'
    and c.udt_name in ('uuid', 'text', 'json', 'jsonb', 'bytea', 'tsvector', '_uuid', '_text', 'inet', 'varchar')
"""
# Columns of these types that hold nothing of users: ids of rows, references to what is documented, and words of the
# server. A new column has to stand here or in the document.
ANYWHERE = {"id", "conversation"}
NOTHING_OF_USERS = {
    ("conversations", "kind"), ("conversations", "joining"), ("conversations", "history"), ("match_members", "match"),
    ("messages", "reply_to"), ("report_uploads", "report"), ("reports", "message"), ("reports", "state"),
    ("scheduled_uploads", "scheduled"),
    ("database_epoch", "value"), ("installation", "secret_fingerprint"), ("maintenance", "message"), ("job_runs", "job"),
    ("schema_migrations", "subsystem"), ("schema_migrations", "name"), ("schema_migrations", "checksum"),
    ("schema_functions", "subsystem"), ("schema_functions", "checksum"), ("schema_functions", "release"),
    ("search_scan", "after_conversation"), ("search_scan", "after_tenant"),
    ("write_probes", "name"), ("write_probes", "filler"),
}  # fmt: skip


def rows_of(section: str) -> list[tuple[str, str]]:
    """The names in the first column of each row, and the second column."""
    return [(name, what) for names, what in ROW.findall(section) for name in NAME.findall(names)]


TABLES = rows_of(SECTION.partition("These are the keys in Redis")[0])
KEYS = rows_of(SECTION.partition("These are the keys in Redis")[2])


async def test_each_table_with_something_of_users_is_named_once_with_its_columns(store: Postgres) -> None:
    columns = {(row["table"], row["column"]) for row in await store.all(COLUMNS)}
    of_users = {(table, column) for table, column in columns - NOTHING_OF_USERS if column not in ANYWHERE}
    assert sorted(name for name, _ in TABLES) == sorted({table for table, _ in of_users} | {"logins", "upload_uses"})
    documented = dict(TABLES)
    assert [
        (table, column) for table, column in sorted(of_users) if column not in NAME.findall(documented[table])
    ] == []
    assert columns >= NOTHING_OF_USERS


def documented(key: str) -> bool:
    return any(re.fullmatch(re.escape(name).replace(r"\*", ".*"), key) for name, _ in KEYS)


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


async def test_each_key_of_redis_is_documented_and_an_id_is_where_it_says(config: Config) -> None:
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

"""What is left of an erased user, in Postgres, Redis and the folder of uploads: their id, and only where it is
documented.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from chatd.accounts import commands
from chatd.accounts.bans import hash_of
from chatd.app.documents import stored_by
from chatd.core.addresses import bucket
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.secrets import digest
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis, open_redis
from chatd.matching.event_log import EventLogReader
from chatd.matching.pool_events import Paired, Queued
from chatd.matching.settings import PoolLogSettings
from chatd.subsystems import SUBSYSTEMS
from chatd.uploads.settings import RemovalSettings
from tests.files import PDF, stored
from tests.privacy.test_erasure import ERASURE, done
from tests.support import Daemon, Person, altered, eventually, poll_until, running, with_frequent_jobs
from tests.uploads.test_commands import files

# What somebody has given to a group stays the group's: docs/privacy.md says so. Everything else of these words goes.
OF_THE_GROUP = {"title", "description"}


def word(place: str) -> str:
    """A word that occurs nowhere else."""
    return f"zq{place}qz"


async def say_everywhere(alice: Person, bob: Person, daemon: Daemon) -> set[str]:
    """Alice uses everything; the places where she has left a word of hers, with the id in her links."""
    direct = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
    group = (await alice.call("conversation.create", members=[bob.user], title=word("title")))["conversation"]["id"]
    other = (await bob.call("conversation.create", members=[]))["conversation"]["id"]
    await bob.call("conversation.edit", conversation=other, joining="request")
    secret = (await bob.call("invite.create", conversation=other))["secret"]
    await alice.call("conversation.join", secret=secret, text=word("request"))
    await alice.call("conversation.edit", conversation=group, description=word("description"), joining="invite")
    await alice.call("invite.create", conversation=group)
    for conversation in (direct, group):
        sent = await alice.send(conversation, word("text"), meta={"m": word("meta")})
        await alice.call("message.edit", conversation=conversation, message=sent.message, text=word("edited"))
        await alice.call("message.star", conversation=conversation, message=sent.message)
        await alice.call(
            "conversation.settings", conversation=conversation, draft=word("draft"), labels=[word("label")]
        )
    answer = await bob.send(group, "and you?", mentions=[alice.user])
    await alice.call("message.pin", conversation=group, message=answer.message)
    await alice.call("reaction.add", conversation=group, message=answer.message, emoji=":tea:")
    at = now_ms() + 86_400_000
    await alice.call("message.schedule", conversation=direct, client_id="later", text=word("scheduled"), at=at)
    for person in (alice, bob):
        await person.call("match.find", tags=[word("tag"), "tea"], attributes={word("name"): word("attribute")})
    met = await alice.event("match.found")
    await alice.send(met["conversation"], word("stranger"))
    await alice.call("match.leave")
    await alice.call("match.find", queue="q", tags=[word("waiting")], accept={"should": {"x": word("wish")}})
    return {
        "request",
        "text",
        "meta",
        "edited",
        "draft",
        "label",
        "scheduled",
        "tag",
        "name",
        "attribute",
        "stranger",
        "waiting",
        "wish",
    }


async def in_the_database(store: Postgres) -> str:
    tables = await store.all(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    rows = [await store.all(f'select to_jsonb(t)::text as row from "{table["relname"]}" as t') for table in tables]
    return "\n".join(row["row"] for found in rows for row in found)


# Where the id of an erased user stays.
ID_STAYS = {
    (table.name, column)
    for table in stored_by(SUBSYSTEMS).tables
    if table.users is not None
    for column in table.users.id_stays
}


def forms_of(user: str) -> tuple[str, ...]:
    """The id as text, as hex, and as bytes in hex, which Postgres prints for bytea."""
    return user, user.replace("-", ""), user.encode().hex()


async def columns_with(store: Postgres, forms: Iterable[str]) -> set[tuple[str, str]]:
    """Table and column of each row of the database that has one of these strings, in any type."""
    sql = "select table_name, column_name from information_schema.columns where table_schema = 'public'"
    found = set()
    for row in await store.all(f"{sql} and table_name in (select relname from pg_class where relkind = 'r')"):
        table, column = row["table_name"], row["column_name"]
        like = f'select count(*) from "{table}" where to_jsonb("{column}")::text ilike any($1::text[])'
        if await store.value(like, [f"%{form}%" for form in forms]):
            found.add((table, column))
    return found


READ = {"stream": ("XRANGE", "-", "+"), "hash": ("HGETALL",), "zset": ("ZRANGE", 0, -1), "set": ("SMEMBERS",)}


async def in_redis(redis: Redis) -> str:
    """Every key of this installation, and what it holds."""
    found = []
    for key in await redis.call("KEYS", redis.key("*")):
        command, *rest = READ.get((await redis.call("TYPE", key)).decode(), ("GET",))
        found.append(repr((key, await redis.call(command, key, *rest))))
    return "\n".join(found)


async def test_erased_user_leaves_no_text(config: Config, store: Postgres) -> None:
    async with running(withholding_nothing(config), altered(ERASURE)) as daemon, daemon.people(2) as (alice, bob):
        await check_no_word_is_left(daemon, store, alice, bob)


def withholding_nothing(config: Config) -> Config:
    """Nothing is kept for reports: see docs/privacy.md, "Tombstones"."""
    return config.using(replace(config.get(RemovalSettings), keep_removed=0.0))


async def check_no_word_is_left(daemon: Daemon, store: Postgres, alice: Person, bob: Person) -> None:
    section = daemon.config.redis
    async with open_redis(section, section.url) as redis:
        words = await say_everywhere(alice, bob, daemon)
        await store.run("update users set name = $2 where id = $1", alice.user, word("alias"))
        before = await in_the_database(store) + await in_redis(redis)
        assert [one for one in (*words, *OF_THE_GROUP, "alias") if word(one) not in before] == []
        await alice.call("me.erase", confirm=True)
        await done(store, alice.user)
        # The other user has the same texts of their own.
        mine = words - {"tag", "name", "attribute"}

        async def left() -> list[str]:
            after = await in_the_database(store) + await in_redis(redis)
            return [one for one in (*mine, "alias") if word(one) in after]

        # The index removes what it has read before the erasure with its next batch.
        assert await poll_until(left, lambda found: not found) == []
        steps = await EventLogReader(redis, PoolLogSettings().stream_key).everything()
        tickets = [line.event.ticket for line in steps if isinstance(line.event, Queued)]
        assert {bool(ticket.tags) for ticket in tickets if ticket.user == alice.user} == {False}
        assert {bool(ticket.tags) for ticket in tickets if ticket.user == bob.user} == {True}
        assert not [line.event for line in steps if isinstance(line.event, Paired) and line.event.matched_on]
        assert await store.value("select count(*) from invites where creator = $1", alice.user) == 0


async def test_erased_user_leaves_only_the_id(config: Config, store: Postgres) -> None:
    """Their device, their address, their file and its name; the id only where the documentation says so, in no form
    elsewhere.
    """
    device = "device-secret-" + "d" * 20
    settings = withholding_nothing(config)
    async with (
        running(settings, with_frequent_jobs(0.5, altered(ERASURE))) as daemon,
        daemon.person(word("alias"), device=device) as alice,
        daemon.person("bob") as bob,
    ):
        await say_everywhere(alice, bob, daemon)
        await stored(daemon, alice.account.access_token, PDF, f"{word('file')}.pdf")
        key = commands.device_key("default", device).hex()
        hashes = [hash_of(daemon.config, bucket("127.0.0.1")).hex()]
        secrets = (
            device,
            key,
            "127.0.0.1",
            *hashes,
            alice.account.refresh_token,
            digest(alice.account.refresh_token).hex(),
        )
        before = await columns_with(store, (*secrets, *forms_of(alice.user), word("file")))
        assert {("devices", "key_hash"), ("address_uploads", "address_hash"), ("refresh_tokens", "hash")} < before
        assert {("uploads", "owner"), ("uploads", "name"), ("logins", "user_id")} < before
        await alice.call("me.erase", confirm=True)
        await done(store, alice.user)
        # Bytes of an address by hour name no user, and go within a day.
        assert await columns_with(store, secrets) <= {("address_uploads", "address_hash")}
        assert await columns_with(store, [word("file"), word("alias")]) == set()
        assert await columns_with(store, forms_of(alice.user)) - ID_STAYS == set()
        await eventually(lambda: not files(daemon))
        section = daemon.config.redis
        async with open_redis(section, section.url) as redis:
            assert not [secret for secret in (*secrets[:2], *secrets[4:]) if secret in await in_redis(redis)]

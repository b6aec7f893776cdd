"""An export and an erasure are complete: after a life that uses everything, the whole database, Redis and the folder of
files are searched for the user's ids and words. No declaration is trusted: what an export leaves out and what stays is
listed here, with the reason.
"""

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from chatd.accounts import commands
from chatd.analytics.subsystem import ANALYTICS, open_analytics
from chatd.app.documents import stored_by
from chatd.core.config import Config
from chatd.core.secrets import digest
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.matching.settings import MatchSettings, QueueSettings
from chatd.people.settings import PeopleSettings
from chatd.subsystems import SUBSYSTEMS, load_registry
from tests.admins import administered
from tests.privacy.life import EXTERNAL_ID, Cast, Life, live
from tests.privacy.test_erased_traces import forms_of, in_redis
from tests.privacy.test_erasure import ERASURE, done
from tests.privacy.test_export import exported
from tests.support import altered, poll_until, running, with_frequent_jobs
from tests.uploads.test_commands import files

Columns = set[tuple[str, str]]
# Commands that store nothing about a user. Those with GET only read.
STORE_NOTHING = {
    "conversation.sync", "invite.show", "me.erase", "ping", "presence.query", "session.sync", "user.query",
    "server.users.find", "server.user.erase",
    # Of the operator.
    "admin.analytics", "admin.audit", "admin.bans", "admin.bots", "admin.conversation", "admin.conversations",
    "admin.drain", "admin.erase", "admin.maintenance", "admin.report", "admin.reports", "admin.revoke",
    "admin.settings", "admin.token.add", "admin.token.revoke", "admin.token.rotate", "admin.tokens", "admin.user",
    "admin.user.details", "admin.user.logins", "admin.users",
    "admin.webhook.deliveries", "admin.webhook.disable", "admin.webhook.edit", "admin.webhook.enable",
    "admin.webhook.remove", "admin.webhook.replay", "admin.webhook.rotate", "admin.webhook.test", "admin.webhooks",
}  # fmt: skip
# Tables about users without a row after this life, and why.
WITHOUT_ROWS = {
    "imports": "an import has nothing of this user",
}
# Of those that have rows for less than a second, until a node takes them.
BRIEFLY = {"outbox"}
# Words that an export does not contain, and why.
NOT_EXPORTED = {
    "title": "it belongs to the group",
    "description": "it belongs to the group",
    "accusation": "reports concern other users too",
    "notified": "an answer of a bot is not stored",
    **dict.fromkeys(("tag", "attribute", "attributed", "wish", "waiting"), "a search that ends within minutes"),
    **dict.fromkeys(("bytes", "parts"), "the bytes of files are downloaded by themselves"),
}
# Tables whose rows about a user are not in the export, and why.
ROWS_NOT_EXPORTED = {
    "audit_log": "it protects others",
    "bans": "they protect others",
    "reports": "they concern other users too",
    "strikes": "they protect others",
    "match_members": "they concern other users too",
    "connection_tickets": "a secret that ends within a minute",
    "outbox": "ids of events for the backend",
    "webhook_deliveries": "ids of events for the backend",
    "webhook_streams": "ids of events for the backend",
}
OF_REPORTS = {("reports", "text"), ("reports", "transcript")}
# Where words of an erased user stay, and why. All others are nowhere.
WORDS_STAY: dict[str, Columns] = {
    "title": {("conversations", "title")},
    "description": {("conversations", "description")},
    "client": {("messages", "client_id")},
    # It belongs to the button, in the message of a bot.
    "pressed": {("messages", "extra")},
    # Another user has forwarded this message.
    "edited": {("messages", "text"), ("search_index", "words")},
    **{place: {("messages", "attachments")} for place in ("file", "place", "contact", "link", "preview")},
}
# Where the id of an erased user stays, besides the columns that are declared so: rows that stay as a whole.
ID_STAYS_WITH_ROW = {("bans", "user_id"), ("strikes", "user_id"), *(("reports", column) for column in (
    "reporter", "target", "reported_as", "transcript"))}  # fmt: skip
ID_STAYS = {
    (table.name, column) for table in stored_by(SUBSYSTEMS).tables if table.users for column in table.users.id_stays
}
# The row of an erased user. Everything else is null, false or empty. The times say nothing else about the user.
OF_THE_ERASED = {
    "tenant", "id", "created_at", "erased_at", "updated_at", "profile_changed", "profile_version", "anonymous",
}  # fmt: skip
EMPTY = (None, "", "[]", "{}", "false")
STAYS_IN_DOCUMENT = re.compile(r"<!-- generated: what stays -->(.*?)<!-- end", re.DOTALL)


@asynccontextmanager
async def lived(config: Config) -> AsyncIterator[tuple[Life, Cast]]:
    settings = administered(config).using(PeopleSettings(search="names"), MatchSettings(relax=0.1, recent=0))
    settings = settings.using_named(QueueSettings, {"asking": QueueSettings(confirm=60.0)})
    analytics = replace(ANALYTICS, open=partial(open_analytics, flush_s=0.5))
    jobs = with_frequent_jobs(0.5, altered(ERASURE, analytics))
    async with running(settings, jobs) as daemon, AsyncExitStack() as stack:
        yield await live(daemon, stack)


async def test_export_and_erasure_are_complete(config: Config, store: Postgres) -> None:
    async with lived(config) as (life, cast):
        check_commands(life)
        await check_tables(store)
        await check_replaced_words(life, store)
        await check_export(life, cast, store)
        secrets = secrets_of(life, cast)
        assert {("devices", "key_hash"), ("refresh_tokens", "hash")} <= (await dump(store)).columns_with(secrets)
        for user in (cast.ann, cast.eve):
            await user.call("me.erase", confirm=True)
            await done(store, user.user)
        await let_a_day_pass(life, store)
        await check_words_are_gone(life, store)
        await check_ids_are_gone(cast, store)
        # A ban of a device was lifted, and stays on record.
        assert (await dump(store)).columns_with([EXTERNAL_ID, *secrets]) == {("bans", "device_hash")}
        await check_redis(life, cast)
        await check_files(life, store)


class Dump(dict[str, list[dict[str, Any]]]):
    """The rows of all tables."""

    def columns_with(self, forms: Sequence[str]) -> Columns:
        """Table and column of everything that contains one of these texts, in any type."""
        return {
            (table, column)
            for table, rows in self.items()
            for row in rows
            for column, value in row.items()
            if value is not None and any(form in value for form in forms)
        }


async def dump(store: Postgres) -> Dump:
    """The whole database. Postgres gives each value as text; bytes are in hex."""
    names = await store.all(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    sql = 'select (select jsonb_object_agg(key, value) from jsonb_each_text(to_jsonb(t))) as row from "{}" t'
    found = Dump()
    for name in sorted(row["relname"] for row in names):
        found[name] = [row["row"] for row in await store.all(sql.format(name))]
    return found


def check_commands(life: Life) -> None:
    rows = load_registry().commands.values()
    writing = {str(row.tag) for row in rows if not (row.http or "").startswith("GET")}
    assert writing - life.commands - STORE_NOTHING == set(), "use it in tests/privacy/life.py"
    assert STORE_NOTHING & life.commands == set()


async def check_tables(store: Postgres) -> None:
    """Each table with data about users has rows, so that this test would find what an erasure forgets."""
    # Sessions are written every half a second.
    await poll_until(lambda: store.value("select count(*) from analytics_users"))
    about_users = {table.name for table in stored_by(SUBSYSTEMS).tables if table.users}
    found = await dump(store)
    empty = {name for name in about_users if not found[name]}
    assert empty - BRIEFLY == WITHOUT_ROWS.keys(), "make a row of it in tests/privacy/life.py"


async def check_replaced_words(life: Life, store: Postgres) -> None:
    """What a user has replaced is not kept. The index of names follows within seconds."""

    async def left() -> dict[str, Columns]:
        found = await dump(store)
        where = {place: found.columns_with(spelled(life.words[place])) for place in life.replaced}
        return {place: columns for place, columns in where.items() if columns}

    await poll_until(left, lambda found: not found)


def spelled(word: str) -> list[str]:
    """A word as text, as bytes in hex, and in base64, wherever it begins in the three bytes of a group."""
    padded = [b64encode(bytes(shift) + word.encode()).decode()[4:-4] for shift in range(3)]
    return [word, word.encode().hex(), *padded]


async def check_export(life: Life, cast: Cast, store: Postgres) -> None:
    lines = [line for user in (cast.ann, cast.eve) for line in await exported(life.daemon, user)]
    text = json.dumps(lines, ensure_ascii=False)
    missing = {place for place, word in life.words.items() if not any(form in text for form in spelled(word))}
    assert missing - life.replaced == NOT_EXPORTED.keys()
    everything = await dump(store)
    for user in (cast.ann.user, cast.eve.user):
        rows = [(table, row) for table, rows in everything.items() for row in rows if user in json.dumps(row)]
        own = [(table, row) for table, row in rows if table not in ROWS_NOT_EXPORTED and is_own(table, row, user)]
        lost = [(table, row) for table, row in own if not is_in(text, row, user)]
        assert lost == [], str(lost)
    assert EXTERNAL_ID in text


def is_own(table: str, row: Mapping[str, Any], user: str) -> bool:
    """Whether a row is of this user, and not of another one who has named the user."""
    owner = OWNERS.get(table)
    return owner is None or row[owner] == user


# Tables in which others name a user, and the column of whom the row is.
OWNERS = {
    "blocks": "blocker", "contacts": "user_id", "messages": "sender", "former_members": "user_id",
    "scheduled_messages": "sender", "mentions": "user_id", "conversations": "creator", "withheld_messages": "sender",
}  # fmt: skip


def is_in(text: str, row: Mapping[str, Any], user: str) -> bool:
    """Whether the row is represented in an export: by its own id, or by the ids of what it connects the user with."""
    ids = {name: value for name, value in row.items() if isinstance(value, str) and len(value) == 36 and value != user}
    ids.pop("alias", None)
    return all(value in text for value in ids.values())


def secrets_of(life: Life, cast: Cast) -> list[str]:
    """What could identify a user or sign one in: the device, and the refresh tokens, in all forms."""
    tokens = [person.account.refresh_token for person in (cast.ann, cast.eve)]
    hashed = [commands.device_key("default", life.device), *map(digest, tokens)]
    return [life.device, *tokens, *(value.hex() for value in hashed)]


async def let_a_day_pass(life: Life, store: Postgres) -> None:
    """What is withheld for reports is purged after `moderation.keep_removed`."""
    await store.run("update withheld_messages set until = 1")
    await store.run("update withheld_uploads set until = 1")
    await poll_until(lambda: store.value("select count(*) from withheld_messages"), lambda count: count == 0)


async def check_words_are_gone(life: Life, store: Postgres) -> None:
    found = await dump(store)
    for place, word in life.words.items():
        left = found.columns_with(spelled(word))
        assert left - OF_REPORTS == WORDS_STAY.get(place, set()), place


async def check_ids_are_gone(cast: Cast, store: Postgres) -> None:
    found = await dump(store)
    documented = STAYS_IN_DOCUMENT.search(Path("docs/privacy.md").read_text())
    assert documented
    for user in (cast.ann.user, cast.eve.user):
        left = found.columns_with(forms_of(user))
        assert sorted(left - ID_STAYS - ID_STAYS_WITH_ROW) == []
        tables = {table for table, _ in left if table not in ("users", "former_members")}
        assert {table for table in tables if f"`{table}`" not in documented[1]} == set()
        row = next(row for row in found["users"] if row["id"] == user)
        assert {name for name, value in row.items() if value not in EMPTY} <= OF_THE_ERASED


async def check_redis(life: Life, cast: Cast) -> None:
    section = life.daemon.config.redis
    async with open_redis(section, section.url) as redis:

        async def left() -> list[str]:
            held = await in_redis(redis)
            return [place for place, word in life.words.items() if any(form in held for form in spelled(word))]

        await poll_until(left, lambda found: not found)
        held = await in_redis(redis)
        assert not [one for one in (EXTERNAL_ID, *secrets_of(life, cast)) if one in held]


async def check_files(life: Life, store: Postgres) -> None:
    """Only files that are evidence in a report are left, and nothing of what was uploaded in parts."""
    evidence = "select u.key from report_uploads r join uploads u on u.tenant = r.tenant and u.id = r.upload"
    kept = {row["key"] for row in await store.all(evidence)}
    assert kept

    async def left() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in files(life.daemon)}

    found = await poll_until(left, lambda contents: contents.keys() <= kept)
    words = [life.words[place].encode() for place in ("bytes", "parts")]
    assert not [word for word in words if any(word in content for content in found.values())]

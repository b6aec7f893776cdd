"""Each table of the schema has rules that bound or remove its rows: a new table without one fails here."""

import re
from dataclasses import dataclass
from pathlib import Path

from chatd.core.config import Config
from chatd.core.settings import effective_values
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.subsystems import setting_names

ROOT = Path(__file__).parents[2]
CASCADES = """
select 1 from pg_constraint where contype = 'f' and confdeltype = 'c' and conrelid = $1::regclass and confrelid = $2::regclass
"""
ONE_ROW = """
select 1 from pg_constraint p
join pg_attribute a on a.attrelid = p.conrelid and a.attnum = p.conkey[1]
join pg_constraint c on c.conrelid = p.conrelid and c.contype = 'c' and c.conkey = p.conkey
where p.contype = 'p' and cardinality(p.conkey) = 1 and a.atttypid = 'boolean'::regtype and p.conrelid = $1::regclass
"""
TABLES = "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"


@dataclass(frozen=True)
class One:
    """The primary key admits one row."""


@dataclass(frozen=True)
class Within:
    """Rows go with the row of another table, by its foreign key."""

    parent: str


@dataclass(frozen=True)
class Deleted:
    """A statement deletes rows, and the server runs it."""

    statement: str


@dataclass(frozen=True)
class Setting:
    """A setting bounds their number."""

    name: str


@dataclass(frozen=True)
class Documented:
    """A document says that they stay, or what they are one for each of."""

    path: str
    words: str


Rule = One | Within | Deleted | Setting | Documented
PRIVACY, OPERATIONS, ARCHITECTURE = "docs/privacy.md", "docs/operations.md", "docs/architecture.md"
RULES: dict[str, tuple[Rule, ...]] = {
    "address_uploads": (Deleted("uploads/uploads.sweep_addresses"), Documented(PRIVACY, "`address_uploads`")),
    "audit_log": (Documented(PRIVACY, "`audit_log`"),),
    "bans": (Documented(PRIVACY, "bans (also of their devices and addresses"),),
    "blocks": (Within("users"), Deleted("conversations/blocking.remove"), Setting("limits.blocks_per_user")),
    "conversations": (Setting("limits.conversations_per_user"),),
    "database_epoch": (One(),),
    "devices": (Within("users"), Deleted("accounts/personal_data.forget")),
    "erasures": (Within("users"), Documented(PRIVACY, "`erasures`")),
    "former_members": (Within("conversations"), Within("users"), Deleted("conversations/membership.insert_members")),
    "installation": (One(),),
    "invites": (Within("conversations"), Deleted("accounts/idle_accounts.sweep_invites")),
    "join_requests": (Within("conversations"), Within("users"), Deleted("conversations/joining.delete_request")),
    "logins": (
        Within("users"),
        Deleted("accounts/auth.sweep_logins"),
        Deleted("accounts/auth.limit_logins"),
        Setting("limits.logins_per_user"),
    ),
    "maintenance": (One(),),
    "marks": (Within("messages"), Setting("limits.stars_per_user"), Deleted("conversations/erasure.delete_marks")),
    "match_members": (Within("matches"),),
    "matches": (Within("conversations"),),
    "members": (Within("conversations"), Setting("limits.members"), Setting("limits.conversations_per_user")),
    "mentions": (Within("messages"), Deleted("conversations/deletion.delete_messages")),
    "message_edits": (Within("messages"), Deleted("conversations/deletion.delete_messages"), Setting("messages.edits")),
    "messages": (Within("conversations"), Setting("retention.days"), Documented(PRIVACY, "It is not removed as a row")),
    "reactions": (Within("messages"), Setting("messages.reactions"), Deleted("conversations/deletion.delete_messages")),
    "refresh_tokens": (Within("logins"), Deleted("accounts/auth.sweep_refresh_tokens")),
    "report_uploads": (Within("reports"),),
    "reports": (Deleted("moderation/reports.sweep"), Setting("moderation.keep_reports")),
    "revoked_tokens": (Deleted("accounts/auth.sweep_revoked_tokens"),),
    "job_runs": (Documented(ARCHITECTURE, "`job_runs` has a row for each job"),),
    "scheduled_messages": (
        Within("users"),
        Deleted("conversations/scheduling.delete_sent"),
        Setting("messages.scheduled_per_user"),
    ),
    "scheduled_uploads": (Within("scheduled_messages"),),
    "schema_functions": (Documented(ARCHITECTURE, "`schema_functions` one for each subsystem"),),
    "schema_migrations": (Documented(ARCHITECTURE, "`schema_migrations` one for each migration"),),
    "search_index": (
        Deleted("search/search_index.delete_entries"),
        Documented(ARCHITECTURE, "`search_index` at most one for each message"),
    ),
    "search_positions": (Within("conversations"),),
    "search_scan": (One(),),
    "strikes": (Within("users"), Documented(PRIVACY, "strikes, the audit log")),
    "tenants": (Documented(ARCHITECTURE, "`tenants` one for each tenant of the configuration"),),
    "connection_tickets": (Deleted("accounts/auth.sweep_tickets"),),
    "upload_uses": (Within("uploads"), Within("conversations"), Deleted("conversations/deletion.delete_messages")),
    "uploads": (Within("users"), Setting("uploads.user_quota_bytes"), Deleted("uploads/uploads.delete_old_rows")),
    "user_settings": (Within("users"),),
    "users": (Deleted("accounts/idle_accounts.delete_accounts"), Setting("retention.anonymous_days")),
    "withheld_messages": (Deleted("moderation/reports.sweep_withheld_messages"), Setting("moderation.keep_removed")),
    "withheld_uploads": (Deleted("moderation/reports.sweep_withheld_uploads"), Setting("moderation.keep_removed")),
    "write_probes": (Documented(ARCHITECTURE, "`write_probes` one for the servers and one for `chatd doctor`"),),
}


def deletes(statement: str, table: str) -> bool:
    """Whether the statement deletes from the table, and some module runs it."""
    path, name = statement.split(".")
    sql = queries.load(path).statements[name]
    file = path.rpartition("/")[2]
    runs = re.compile(rf"\bSQL\.{name}\b|\b{file}\b.*\b{name}\b")
    return f"delete from {table}" in sql and any(
        runs.search(path.read_text()) for path in (ROOT / "chatd").rglob("*.py")
    )


async def holds(rule: Rule, table: str, store: Postgres, config: Config) -> bool:
    match rule:
        case One():
            return await store.value(ONE_ROW, table) is not None
        case Within(parent):
            return await store.value(CASCADES, table, parent) is not None
        case Deleted(statement):
            return deletes(statement, table)
        case Setting(name):
            return name in dict(effective_values(setting_names(), config))
        case Documented(path, words):
            return words in " ".join((ROOT / path).read_text().split())


async def test_each_table_has_a_rule_that_bounds_its_rows(store: Postgres, config: Config) -> None:
    tables = {row["relname"] for row in await store.all(TABLES)}
    assert tables == set(RULES)
    missing = [
        (table, rule) for table, rules in RULES.items() for rule in rules if not await holds(rule, table, store, config)
    ]
    assert missing == []

"""What bench.scale fills in, and what it asks: rows made by the server itself, and hot statements with values that exist."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

from chatd.core.ids import NIL


def uuid_of(kind: str, number: str) -> str:
    return f"('{kind}0000-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


# The size of a conversation by its number: the first one holds a tenth, the others fall off.
SIZE = (
    "case when n = 1 then {messages} / 10 else greatest(20, ({messages} * 0.9 / {conversations} * 4 / (1 + n % 7))::bigint) end"
)
FILL = {
    # Rows that are right need no checking.
    "settings": "set session_replication_role = replica",
    "tenants": "insert into tenants (id, created_at) values ('default', 0) on conflict do nothing",
    "users": f"insert into users (tenant, id, created_at) select 'default', {uuid_of('aaaa', 'n')}, 0"
    " from generate_series(1, 100000) n",
    "conversations": "insert into conversations (tenant, id, kind, members, created_at, active_at, seq, rev)"
    f" select 'default', {uuid_of('cccc', 'n')}, 'group', 10, 0, n, {SIZE}, {SIZE}"
    " from generate_series(1, {conversations}) n",
    "members": "insert into members (tenant, conversation, user_id, joined_at, rev, read_seq, delivered_seq)"
    f" select 'default', {uuid_of('cccc', 'n')}, {uuid_of('aaaa', '1 + (n * 7 + k * 7919) % 100000')}, 0, k,"
    " greatest(0, c.seq - (n + k) % 50), c.seq"
    f" from generate_series(1, {{conversations}}) n cross join generate_series(1, 10) k"
    f" join conversations c on c.id = {uuid_of('cccc', 'n')} on conflict do nothing",
    "messages": "insert into messages (tenant, conversation, seq, rev, id, sender, client_id, text, created_at)"
    " select 'default', c.id, s, s, gen_random_uuid(), b.user_id, c.n || '-' || s, 'message number ' || s, s"
    " from (select id, seq, row_number() over (order by id) as n from conversations) c"
    " cross join lateral (select user_id from members m where m.conversation = c.id limit 1) b"
    " cross join lateral generate_series(1, c.seq) s",
    "reactions": "insert into reactions (tenant, conversation, seq, user_id, emoji, created_at)"
    " select tenant, conversation, seq, sender, '+', 0 from messages where seq % 10 = 0",
    "counts of reactions": "update messages set reactions = json_build_object(chr(43), 1)::jsonb where seq % 10 = 0",
    "mentions": "insert into mentions (tenant, conversation, user_id, seq)"
    " select tenant, conversation, sender, seq from messages where seq % 50 = 0",
    "stars": "insert into marks (tenant, user_id, conversation, seq, starred_at)"
    " select tenant, sender, conversation, seq, seq from messages where seq % 100 = 0",
    # All at once: row by row it takes ten times as long.
    "search index": "do $$ declare d text; n text; begin"
    " select indexdef, indexname into d, n from pg_indexes where tablename = 'search_index' and indexdef like '%gin%';"
    " execute 'drop index ' || n;"
    " insert into search_index (tenant, conversation, created_at, seq, words)"
    " select tenant, conversation, created_at, seq, to_tsvector('simple', text) from messages;"
    " execute d; end $$",
    "positions of the search": "insert into search_positions (tenant, conversation, rev)"
    " select tenant, id, rev from conversations",
    "vacuum": "vacuum analyze",
}

# Statements for which nobody waits: sweeps, operators, and what runs once.
PATIENT = {
    "auth.sweep_refresh_tokens", "auth.sweep_revoked_tokens", "auth.sweep_tickets", "auth.sweep_logins",
    "doctor.dead_rows", "doctor.tables", "uploads.examine", "trace.message_anywhere", "bans.page",
    "reports.sweep", "users.show",
}  # fmt: skip

# What is set for these beyond what is set for all, by the file they are in: see node/searching and node/indexer.
SETTINGS = {
    "search": "set local enable_bitmapscan = on; set local enable_seqscan = off",
    "search_index": "set local enable_sort = off",
}


class Place(NamedTuple):
    """A member of a conversation, and how long it is."""

    user: str
    conversation: str
    seq: int


Values = Callable[[random.Random, Place], tuple[Any, ...]]
T = "default"
HOT: dict[str, tuple[str, Values]] = {
    "connect": ("sign_in.enter", lambda rng, p: (T, p.user, "none", None, [], 0)),
    "newest messages": ("messages.history_before", lambda rng, p: (T, p.conversation, p.user, None, 50)),
    "older messages": ("messages.history_before", lambda rng, p: (T, p.conversation, p.user, rng.randint(1, p.seq), 50)),
    "later messages": ("messages.history_after", lambda rng, p: (T, p.conversation, p.user, rng.randint(1, p.seq), 50)),
    "sync of a conversation": ("sync.messages", lambda rng, p: (T, p.conversation, p.user, p.seq - 20, p.seq, 101)),
    "members that changed": ("sync.members", lambda rng, p: (T, p.conversation, 0, p.seq, 101)),
    "sync of a session, first": ("sync.session", lambda rng, p: (T, p.user, "", "0", NIL, 201)),
    "list of conversations": ("conversations.page", lambda rng, p: (T, p.user, None, None, 51)),
    "a conversation": ("views.counters", lambda rng, p: (T, p.user, [p.conversation])),
    "last messages": ("views.last_messages", lambda rng, p: (T, p.user, [p.conversation])),
    "is a member": ("members.is_member", lambda rng, p: (T, p.conversation, p.user)),
    "badge": ("own.totals", lambda rng, p: (T, p.user, 0)),
    "pins": ("pins.page", lambda rng, p: (T, p.conversation, p.user, 100)),
    "stars": ("stars.page", lambda rng, p: (T, p.user, None, None, None, 51)),
    "send": (
        "journal.append_messages",
        lambda rng, p: ([T], [p.conversation], [p.user], [str(uuid4())], [str(uuid4())], ["hello"], *[None] * 4, 1),
    ),
    "read": ("journal.advance_receipts", lambda rng, p: ([T], [p.conversation], [p.user], [0], [p.seq], [500])),
    "who has read": ("receipts.page", lambda rng, p: (T, p.conversation, p.seq - 20, NIL, None, 101)),
    "how many have read": ("receipts.counts", lambda rng, p: (T, p.conversation, p.seq - 20, NIL)),
    "who has reacted": ("reactions.page", lambda rng, p: (T, p.conversation, p.seq // 10 * 10, None, None, 101)),
}


async def sample(connection: Any) -> list[Place]:
    """Members of small and of huge conversations."""
    rows = await connection.fetch(
        "select b.user_id::text as user, c.id::text as conversation, c.seq from conversations c"
        " join members b on b.tenant = c.tenant and b.conversation = c.id order by c.seq desc limit 50"
    )
    others = await connection.fetch(
        "select b.user_id::text as user, b.conversation::text, c.seq from members b tablesample system (1)"
        " join conversations c on c.tenant = b.tenant and c.id = b.conversation limit 500"
    )
    return [Place(row["user"], row["conversation"], row["seq"]) for row in [*rows, *others]]

"""The two statements of the log: entries go in, and the result of each comes back, in the order in which it is
published.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec import convert
from msgspec.structs import astuple

from chatd.conversations.entities import Replies
from chatd.conversations.log.entries import (
    Advanced,
    Appended,
    Entry,
    Item,
    Key,
    NewMessage,
    Outcome,
    Receipt,
    ThreadState,
)
from chatd.core.clock import now_ms
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Connection

SQL = queries.load("conversations/log")
# A lock that is held for longer delays its conversation only, and not the others of the shard.
LOCK_WAIT_MS = 250
# One plan through indexes, whatever the statistics of the tables were when it was made.
NESTED = (
    "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off; set "
    "enable_mergejoin = off; "
    f"set lock_timeout = {LOCK_WAIT_MS}"
)
RULES = {
    "not_found": "no such conversation",
    "conflict": "$.client_id: this client_id was used in another conversation",
    "blocked": "one of you has blocked the other",
    "forbidden": "only moderators and above may write in this conversation",
}
NOT_ACCEPTED = "the other user has not accepted this conversation yet: no further messages"
# Refusals of replies in threads: the code, and the rule.
THREAD_RULES = {
    "no_thread": ("not_found", "$.thread: no such message in this conversation"),
    "closed_thread": (
        "conflict",
        "$.thread: expected a message that is not deleted, not a reply and no system message",
    ),
}
Result = tuple[Entry, Outcome | Refused | str]
Statement = Callable[[Connection, Sequence[Entry]], Awaitable[list[Result]]]


async def append_messages(connection: Connection, entries: Sequence[Entry]) -> list[Result]:
    """Number and insert messages."""
    items = [entry.item for entry in entries if isinstance(entry.item, NewMessage)]
    columns = transposed(items)
    rows = await connection.all(SQL.append_messages, *columns, now_ms())
    committed_at = now_ms()
    threads = {row["ord"]: thread_of(row) for row in rows[len(items) :]}
    results: list[Result] = [
        (entries[row["ord"] - 1], appended(row, items, committed_at, threads)) for row in rows[: len(items)]
    ]
    return results if is_in_order(results) else in_publishing_order(results)


def is_in_order(results: Iterable[Result]) -> bool:
    """Whether the new messages of each conversation are in the order of `rev`."""
    last: dict[str, int] = {}
    for entry, result in results:
        if isinstance(result, Appended) and not result.duplicate:
            conversation = entry.item.conversation
            if result.rev < last.get(conversation, 0):
                return False
            last[conversation] = result.rev
    return True


def in_publishing_order(results: Sequence[Result]) -> list[Result]:
    """The results with the new messages of each conversation in the order of `rev`, which an earlier attempt may have
    committed in another order. All others keep their place, so that senders are answered in the order of the entries.
    """
    new: dict[Key, list[tuple[int, Result]]] = {}
    for one in results:
        if isinstance(one[1], Appended) and not one[1].duplicate:
            new.setdefault(one[0].key, []).append((one[1].rev, one))
    for found in new.values():
        found.sort(key=itemgetter(0), reverse=True)
    return [
        new[one[0].key].pop()[1] if isinstance(one[1], Appended) and not one[1].duplicate else one for one in results
    ]


def thread_of(row: Any) -> ThreadState:
    return ThreadState(row["id"], row["rev"], convert(row["replies"], Replies), row["seq"] is not None)


def refused_thread(outcome: str) -> Refused:
    """The refusal of a reply in a thread. See `thread_refusal` in sql/threads."""
    return Refused(*THREAD_RULES[outcome])


def appended(row: Any, items: Sequence[NewMessage], now: int, threads: Mapping[int, ThreadState]) -> Appended | Refused:
    if row["outcome"] == "slow":
        return Refused("rate_limited", "this conversation is in slow mode", retry_after=row["created_at"] / 1000)
    if row["outcome"] == "requested":
        return Refused("forbidden", NOT_ACCEPTED)
    if row["outcome"] in THREAD_RULES:
        return refused_thread(row["outcome"])
    if row["outcome"] not in ("new", "duplicate"):
        return Refused(row["outcome"], rule_of(row["outcome"], items[row["ord"] - 1]))
    ours = row["id"] == items[row["ord"] - 1].id
    place = (row["id"], row["seq"], row["rev"], row["created_at"])
    return Appended(*place, not ours, now, len(items), row["expires_at"], row["alias"], threads.get(row["ord"]))


def rule_of(code: str, item: NewMessage) -> str:
    """The rule that refuses the message."""
    if code == "forbidden" and item.extra is not None and '"everybody":' in item.extra:
        return "only moderators and above may mention everybody"
    return RULES[code]


async def advance_receipts(connection: Connection, entries: Sequence[Entry]) -> list[Result]:
    """Move positions forward. A result that is a string is a refusal code."""
    items = [entry.item for entry in entries if isinstance(entry.item, Receipt)]
    columns = transposed(items)
    rows = await connection.all(SQL.advance_receipts, *columns)
    return [(entries[row["ord"] - 1], advanced(row)) for row in rows]


def advanced(row: Any) -> Advanced | str:
    if row["outcome"] == "not_found":
        return "not_found"
    return Advanced(
        row["delivered_seq"], row["read_seq"], row["rev"], row["seq"], row["unread"], row["mentions"], row["alias"]
    )


def transposed(items: Sequence[Item]) -> list[list[Any] | None]:
    """A column per field, as the arrays of a statement. A column without values is null: unnest fills it up."""
    columns = to_unnest_arrays(map(astuple, items), 0)
    return [column if any(value is not None for value in column) else None for column in columns]


def by_statement(entries: Iterable[Entry]) -> list[tuple[Statement, list[Entry]]]:
    """Messages and receipts, each with the statement that commits them.

    A message that repeats the `client_id` of an earlier one begins a new statement, which finds the earlier one stored.
    """
    runs: list[list[Entry]] = [[]]
    receipts: list[Entry] = []
    keys: set[tuple[str, str, str]] = set()
    for entry in entries:
        item = entry.item
        if isinstance(item, Receipt):
            receipts.append(entry)
            continue
        key = (item.tenant, item.sender, item.client_id)
        if key in keys:
            runs.append([])
            keys.clear()
        keys.add(key)
        runs[-1].append(entry)
    statements: list[tuple[Statement, list[Entry]]] = [(append_messages, run) for run in runs if run]
    return [*statements, (advance_receipts, receipts)] if receipts else statements

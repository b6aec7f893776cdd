"""The content of events, read when they are sent.

The events of one call have the same key, so that each kind of content takes one statement.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Database, Row
from chatd.webhooks.event_types import (
    EVENT_TYPES,
    TEST,
    BanData,
    ConversationData,
    Data,
    ErasedUserData,
    MatchData,
    MemberData,
    MessageData,
    PollData,
    ReactionData,
    ReceiptData,
    ReportData,
    TestData,
    UserData,
    VoteData,
    body_fields,
)

SQL = queries.load("webhooks/payloads")
# The contents of events by their number, and what reads them: tenant, key, events.
Found = Mapping[Any, Data]
Read = Callable[[Database, str, str, Sequence[Row]], Awaitable[Found]]
GREETING = "This is a test of your webhook endpoint."


async def bodies(db: Database, tenant: str, key: str, events: Sequence[Row]) -> list[bytes | None]:
    """The body of each event; None for one that has nothing left to say. Raises Refused."""
    found = await contents(db, tenant, key, events)
    return [None if data is None else encoded(tenant, event, data) for event, data in zip(events, found, strict=True)]


def encoded(tenant: str, event: Row, data: Data) -> bytes:
    return msgspec.json.encode(body_fields(event["type"], iso(event["at"]), tenant, data))


def iso(at: int) -> str:
    """A time in milliseconds by ISO 8601."""
    text = datetime.fromtimestamp(at // 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{at % 1000:03}Z"


async def contents(db: Database, tenant: str, key: str, events: Sequence[Row]) -> list[Data | None]:
    kinds = {kind_of(event) for event in events}
    known: dict[type[Struct], Found] = {}
    for kind, read in READERS.items():
        if kind in kinds:
            known[kind] = await read(db, tenant, key, [event for event in events if kind_of(event) is kind])
    return [known[kind_of(event)].get(event["id"]) for event in events]


def kind_of(event: Row) -> type[Struct]:
    return TestData if event["type"] == TEST else EVENT_TYPES[event["type"]].data


async def messages(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    rows = await db.all(SQL.messages, tenant, key, [event["seq"] for event in events])
    known = {row["seq"]: message_data(row) for row in rows}
    return {event["id"]: known[event["seq"]] for event in events if event["seq"] in known}


def message_data(row: Row) -> MessageData:
    fields = dict(row)
    extra = fields.pop("extra") or {}
    fields["attachments"] = fields["attachments"] or []
    return MessageData(
        **fields,
        mentions=extra.get("mentions", []),
        mentions_everybody=bool(extra.get("everybody", False)),
        forwarded=extra.get("forwarded"),
        poll=extra.get("poll"),
    )


async def conversations(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    row = await db.one(SQL.conversation, tenant, key)
    return {} if row is None else {event["id"]: ConversationData(**dict(row)) for event in events}


async def members(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    rows = await db.all(SQL.members, tenant, key, [event["user_id"] for event in events])
    roles = {row["user"]: row["role"] for row in rows}
    return {
        event["id"]: MemberData(
            conversation=key, user=event["user_id"], role=roles.get(event["user_id"]), actor=event["actor"]
        )
        for event in events
    }


async def reactions(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    pairs = [(event["seq"], event["user_id"]) for event in events]
    rows = await db.all(SQL.reactions, tenant, key, *to_unnest_arrays(pairs, 2))
    known = {
        (row["seq"], row["user"]): ReactionData(conversation=key, **{**row, "reactions": row["reactions"] or {}})
        for row in rows
    }
    return {event["id"]: known[pair] for event, pair in zip(events, pairs, strict=True) if pair in known}


async def receipts(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    rows = await db.all(SQL.receipts, tenant, key, [event["user_id"] for event in events])
    known = {row["user"]: ReceiptData(conversation=key, **dict(row)) for row in rows}
    return {event["id"]: known[event["user_id"]] for event in events if event["user_id"] in known}


async def polls(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    known = await poll_rows(db, tenant, key, events)
    return {event["id"]: PollData(conversation=key, **known[event["seq"]]) for event in events if event["seq"] in known}


async def votes(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    """Events of anonymous polls have no user."""
    known = await poll_rows(db, tenant, key, events)
    pairs = [(event["seq"], event["user_id"]) for event in events if event["user_id"] is not None]
    chosen: dict[tuple[int, str], list[int]] = {pair: [] for pair in pairs}
    for row in await db.all(SQL.votes, tenant, key, *to_unnest_arrays(pairs, 2)):
        chosen[row["seq"], row["user"]].append(row["option"])
    return {
        event["id"]: VoteData(
            conversation=key,
            user=event["user_id"],
            options=chosen.get((event["seq"], event["user_id"])),
            **known[event["seq"]],
        )
        for event in events
        if event["seq"] in known
    }


async def poll_rows(db: Database, tenant: str, key: str, events: Sequence[Row]) -> dict[int, dict[str, Any]]:
    """The polls of messages by their `seq`."""
    rows = await db.all(SQL.polls, tenant, key, [event["seq"] for event in events])
    return {row["seq"]: dict(row) for row in rows if row["poll"] is not None}


async def users(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    row = await db.one(SQL.user, tenant, key)
    if row is None:
        return {}
    return {event["id"]: UserData(**dict(row)) for event in events}


async def erased_users(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    return {event["id"]: ErasedUserData(user=key) for event in events}


async def bans(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    rows = await db.all(SQL.bans, tenant, [event["subject"] for event in events])
    known = {row["ban"]: BanData(**dict(row)) for row in rows}
    return {event["id"]: known[event["subject"]] for event in events if event["subject"] in known}


async def reports(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    row = await db.one(SQL.report, tenant, key)
    return {} if row is None else {event["id"]: ReportData(**dict(row)) for event in events}


async def matches(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    rows = await db.all(SQL.matches, tenant, [event["subject"] for event in events])
    known = {row["match"]: MatchData(**dict(row)) for row in rows}
    return {event["id"]: known[event["subject"]] for event in events if event["subject"] in known}


async def tests(db: Database, tenant: str, key: str, events: Sequence[Row]) -> Found:
    return {event["id"]: TestData(message=GREETING) for event in events}


READERS: dict[type[Struct], Read] = {
    MessageData: messages,
    ConversationData: conversations,
    MemberData: members,
    ReactionData: reactions,
    ReceiptData: receipts,
    VoteData: votes,
    PollData: polls,
    UserData: users,
    ErasedUserData: erased_users,
    BanData: bans,
    ReportData: reports,
    MatchData: matches,
    TestData: tests,
}

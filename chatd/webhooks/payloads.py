"""The content of events, read when they are sent.

The events of one call have the same key, so that each kind of content takes one statement. A bot gets what it may see
when the event is sent: a message that an edit has withdrawn from it since is not sent.
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
    ALL_TYPES,
    TEST,
    ActionData,
    BanData,
    BotCommandData,
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
# The contents of events by their number.
Found = Mapping[Any, Data]
GREETING = "This is a test of your webhook endpoint."


class Source(Struct, frozen=True):
    """The key of events. `bot`: for whom they are read; None: for the backend, which may see all."""

    db: Database
    tenant: str
    key: str
    bot: str | None = None


Read = Callable[[Source, Sequence[Row]], Awaitable[Found]]


async def bodies(source: Source, events: Sequence[Row]) -> list[bytes | None]:
    """The body of each event; None for one that has nothing left to say. Raises Refused."""
    found, tenant = await contents(source, events), source.tenant
    return [None if data is None else encoded(tenant, event, data) for event, data in zip(events, found, strict=True)]


def encoded(tenant: str, event: Row, data: Data) -> bytes:
    return msgspec.json.encode(body_fields(event["type"], iso(event["at"]), tenant, data))


def iso(at: int) -> str:
    """A time in milliseconds by ISO 8601."""
    text = datetime.fromtimestamp(at // 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{at % 1000:03}Z"


async def contents(source: Source, events: Sequence[Row]) -> list[Data | None]:
    kinds = {kind_of(event) for event in events}
    known: dict[type[Struct], Found] = {}
    for kind, read in READERS.items():
        if kind in kinds:
            known[kind] = await read(source, [event for event in events if kind_of(event) is kind])
    return [known[kind_of(event)].get(event["id"]) for event in events]


def kind_of(event: Row) -> type[Struct]:
    return TestData if event["type"] == TEST else ALL_TYPES[event["type"]].data


async def messages(source: Source, events: Sequence[Row]) -> Found:
    rows = await source.db.all(SQL.messages, source.tenant, source.key, await visible(source, events))
    known = {row["seq"]: message_data(row) for row in rows}
    return {event["id"]: known[event["seq"]] for event in events if event["seq"] in known}


async def visible(source: Source, events: Sequence[Row]) -> list[int]:
    """The messages of these events, for a bot those that it may see now."""
    seqs = [event["seq"] for event in events]
    if source.bot is None:
        return seqs
    return [row["seq"] for row in await source.db.all(SQL.of_bot, source.tenant, source.key, seqs, source.bot)]


async def commands(source: Source, events: Sequence[Row]) -> Found:
    seqs = [event["seq"] for event in events]
    rows = await source.db.all(SQL.commands, source.tenant, source.key, seqs, source.bot)
    known = {row["seq"]: command_data(row) for row in rows}
    return {event["id"]: known[event["seq"]] for event in events if event["seq"] in known}


def command_data(row: Row) -> BotCommandData:
    fields = dict(row)
    command = fields.pop("command")
    return BotCommandData(**fields, name=command["name"], args=command["args"])


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
        actions=extra.get("actions", []),
    )


async def conversations(source: Source, events: Sequence[Row]) -> Found:
    row = await source.db.one(SQL.conversation, source.tenant, source.key)
    return {} if row is None else {event["id"]: ConversationData(**dict(row)) for event in events}


async def members(source: Source, events: Sequence[Row]) -> Found:
    rows = await source.db.all(SQL.members, source.tenant, source.key, [event["user_id"] for event in events])
    roles = {row["user"]: row["role"] for row in rows}
    return {
        event["id"]: MemberData(
            conversation=source.key, user=event["user_id"], role=roles.get(event["user_id"]), actor=event["actor"]
        )
        for event in events
    }


async def reactions(source: Source, events: Sequence[Row]) -> Found:
    pairs = [(event["seq"], event["user_id"]) for event in events]
    rows = await source.db.all(SQL.reactions, source.tenant, source.key, *to_unnest_arrays(pairs, 2))
    known = {
        (row["seq"], row["user"]): ReactionData(conversation=source.key, **{**row, "reactions": row["reactions"] or {}})
        for row in rows
    }
    return {event["id"]: known[pair] for event, pair in zip(events, pairs, strict=True) if pair in known}


async def receipts(source: Source, events: Sequence[Row]) -> Found:
    rows = await source.db.all(SQL.receipts, source.tenant, source.key, [event["user_id"] for event in events])
    known = {row["user"]: ReceiptData(conversation=source.key, **dict(row)) for row in rows}
    return {event["id"]: known[event["user_id"]] for event in events if event["user_id"] in known}


async def polls(source: Source, events: Sequence[Row]) -> Found:
    known = await poll_rows(source, events)
    return {
        event["id"]: PollData(conversation=source.key, **known[event["seq"]])
        for event in events
        if event["seq"] in known
    }


async def votes(source: Source, events: Sequence[Row]) -> Found:
    """Events of anonymous polls have no user."""
    known = await poll_rows(source, events)
    pairs = [(event["seq"], event["user_id"]) for event in events if event["user_id"] is not None]
    chosen: dict[tuple[int, str], list[int]] = {pair: [] for pair in pairs}
    for row in await source.db.all(SQL.votes, source.tenant, source.key, *to_unnest_arrays(pairs, 2)):
        chosen[row["seq"], row["user"]].append(row["option"])
    return {
        event["id"]: VoteData(
            conversation=source.key,
            user=event["user_id"],
            options=chosen.get((event["seq"], event["user_id"])),
            **known[event["seq"]],
        )
        for event in events
        if event["seq"] in known
    }


async def poll_rows(source: Source, events: Sequence[Row]) -> dict[int, dict[str, Any]]:
    """The polls of messages by their `seq`."""
    rows = await source.db.all(SQL.polls, source.tenant, source.key, [event["seq"] for event in events])
    return {row["seq"]: dict(row) for row in rows if row["poll"] is not None}


async def users(source: Source, events: Sequence[Row]) -> Found:
    row = await source.db.one(SQL.user, source.tenant, source.key)
    if row is None:
        return {}
    return {event["id"]: UserData(**dict(row)) for event in events}


async def erased_users(source: Source, events: Sequence[Row]) -> Found:
    return {event["id"]: ErasedUserData(user=source.key) for event in events}


async def bans(source: Source, events: Sequence[Row]) -> Found:
    rows = await source.db.all(SQL.bans, source.tenant, [event["subject"] for event in events])
    known = {row["ban"]: BanData(**dict(row)) for row in rows}
    return {event["id"]: known[event["subject"]] for event in events if event["subject"] in known}


async def reports(source: Source, events: Sequence[Row]) -> Found:
    row = await source.db.one(SQL.report, source.tenant, source.key)
    return {} if row is None else {event["id"]: ReportData(**dict(row)) for event in events}


async def matches(source: Source, events: Sequence[Row]) -> Found:
    rows = await source.db.all(SQL.matches, source.tenant, [event["subject"] for event in events])
    known = {row["match"]: MatchData(**dict(row)) for row in rows}
    return {event["id"]: known[event["subject"]] for event in events if event["subject"] in known}


async def actions(source: Source, events: Sequence[Row]) -> Found:
    rows = await source.db.all(SQL.actions, source.tenant, [event["subject"] for event in events])
    known = {row["action"]: ActionData(**dict(row)) for row in rows}
    return {event["id"]: known[event["subject"]] for event in events if event["subject"] in known}


async def tests(source: Source, events: Sequence[Row]) -> Found:
    return {event["id"]: TestData(message=GREETING) for event in events}


READERS: dict[type[Struct], Read] = {
    MessageData: messages,
    BotCommandData: commands,
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
    ActionData: actions,
    TestData: tests,
}

"""Meeting strangers: find somebody, leave, skip to the next, keep in touch."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from chatd.app.context import Ctx
from chatd.app.effects import Effect, Effects, Reply, ToConversation
from chatd.app.maintenance import Maintenance
from chatd.app.registry import command
from chatd.conversations.block_rules import block_list, lock_pair
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.matching.criteria import Accept, Asked, Ticket, read_asked
from chatd.matching.service import Matcher
from chatd.moderation import actions
from chatd.wire.base import Command, Id, Ok, Result
from chatd.wire.connection_events import Behind
from chatd.wire.texts import KEY, LOOKUP

SQL = queries.load("matching/matching")
MOST_CONDITIONS = 20
LONGEST_TEXT = 64

Tag = Annotated[str, Meta(min_length=1, max_length=32, extra=KEY)]
Attribute = Annotated[str, Meta(min_length=1, max_length=32, extra=KEY)]
Value = bool | int | float | Annotated[str, Meta(max_length=LONGEST_TEXT, extra=KEY)]
Conditions = Annotated[dict[Attribute, Any], Meta(max_length=MOST_CONDITIONS, extra=LOOKUP)]


class Accepts(Struct, forbid_unknown_fields=True):
    """Conditions on the attributes of the others: a value, a list of values, or `{"min": 18, "max": 30}`."""

    must: Conditions = {}
    should: Conditions = {}
    must_not: Conditions = {}


class FindMatch(Command, tag="match.find"):
    """Find somebody to talk to. Whoever asks again replaces what they asked before.

    Both sides have to accept each other. With waiting `should` is given up, then common tags, then the wish for new people.
    """

    queue: Annotated[str, Meta(pattern="^[a-z0-9_-]{1,32}$")] = "default"
    tags: Annotated[list[Tag], Meta(max_length=10)] = field(default_factory=list)
    attributes: Annotated[dict[Attribute, Value], Meta(max_length=MOST_CONDITIONS)] = field(default_factory=dict)
    accept: Accepts = field(default_factory=Accepts)


class MatchQueued(Result, tag="match.queued"):
    """You wait. `waiting`: how many do in this queue, you included. `eta_ms`: what the last ones waited, where that is known."""

    ticket: Id
    waiting: int
    eta_ms: int | UnsetType = UNSET


@command(FindMatch, result=MatchQueued, cost=5, refuses=("conflict", "forbidden"), http="POST /v1/match")
async def match_find(ctx: Ctx, cmd: FindMatch) -> Effects:
    """Refused `conflict` for who is in a match or has no socket to be told by, `forbidden` by a filter of words or links."""
    ctx.node.get(Maintenance).check()
    check_conditions(cmd.accept)
    await ctx.node.get(Matcher).check_connected(ctx.tenant, ctx.user)
    if await active(ctx) is not None:
        raise Refused("conflict", "you are in a match: match.leave or match.skip first")
    accept = Accept(cmd.accept.must, cmd.accept.should, cmd.accept.must_not)
    asked = Asked("", tuple(dict.fromkeys(cmd.tags)), cmd.attributes, accept)
    ticket = await ticket_of(ctx, cmd.queue, asked)
    ctx.node.get(Matcher).find(ticket)
    return [Reply(queued(ctx, ticket, new=True))]


def check_conditions(accepts: Accepts) -> None:
    """Raises Refused: `bad_request` for what is no condition."""
    for kind in Accepts.__struct_fields__:
        for name, condition in getattr(accepts, kind).items():
            if not is_condition(condition):
                raise Refused("bad_request", f"$.accept.{kind}.{name}: expected a value, a list of values, or min and max")


def is_condition(condition: Any) -> bool:
    if isinstance(condition, dict):
        return condition.keys() <= {"min", "max"} and all(is_number(limit) for limit in condition.values())
    values = condition if isinstance(condition, list) else [condition]
    return len(values) <= MOST_CONDITIONS and all(is_value(value) for value in values)


def is_value(value: Any) -> bool:
    return isinstance(value, int | float | bool) or (isinstance(value, str) and len(value) <= LONGEST_TEXT)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def ticket_of(ctx: Ctx, queue: str, asked: Asked) -> Ticket:
    """A new ticket. What others have a say in is looked up anew each time, also for who skips."""
    recent = await ctx.node.db.all(SQL.recent, ctx.tenant, ctx.user, ctx.node.config.match.recent)
    return Ticket(
        id=uuid7(ctx.now),
        tenant=ctx.tenant,
        user=ctx.user,
        queue=queue,
        since=ctx.node.get(Matcher).clock(),
        tags=asked.tags,
        attributes=asked.attributes,
        accept=asked.accept,
        avoid=frozenset(await block_list(ctx)),
        recent=tuple(row["user"] for row in recent),
        shadow=await shadow_of(ctx),
    )


async def shadow_of(ctx: Ctx) -> bool:
    """Whether the asker is shadow-banned, and is matched only with those who are as well."""
    return await actions.is_shadowed(ctx.node.db, ctx.tenant, ctx.user)


def queued(ctx: Ctx, ticket: Ticket, *, new: bool) -> MatchQueued:
    waiting, eta = ctx.node.get(Matcher).line(ticket.tenant, ticket.queue, new=new)
    return MatchQueued(ticket=ticket.id, waiting=waiting, eta_ms=UNSET if eta is None else eta)


class MatchStatus(Command, tag="match.status"):
    """How long the line is by now. The ticket stays what it is."""


@command(MatchStatus, result=MatchQueued, refuses=("not_found",), http="GET /v1/match")
async def match_status(ctx: Ctx, _: MatchStatus) -> Effects:
    """Refused `not_found` for who does not wait. Over REST only the node that has the socket is sure to know."""
    ticket = ctx.node.get(Matcher).ticket_of(ctx.tenant, ctx.user)
    if ticket is None:
        raise Refused("not_found", "you do not wait for anybody")
    return [Reply(queued(ctx, ticket, new=False))]


async def active(ctx: Ctx) -> Row | None:
    """The match the asker is in."""
    return await ctx.node.get(Matcher).meetings.active(ctx.tenant, ctx.user)


def in_no_match() -> Refused:
    return Refused("not_found", "you are in no match")


async def the_match(ctx: Ctx, ticket: str | None = None) -> tuple[Row, Asked]:
    """And what the asker had asked for. With `ticket` only when it led to this match. Raises Refused: `not_found`."""
    row = await active(ctx)
    if row is None:
        raise in_no_match()
    asked = read_asked(row["asked"])
    if ticket is not None and asked.ticket not in ("", ticket):
        raise Refused("not_found", "you are in another match")
    return row, asked


class CancelMatch(Command, tag="match.cancel"):
    """Stop waiting. With `ticket` only when it is this one."""

    ticket: Id | None = None


@command(CancelMatch, result=Ok, refuses=("not_found",), http="DELETE /v1/match")
async def match_cancel(ctx: Ctx, cmd: CancelMatch) -> Effects:
    """Refused `not_found` for who does not wait."""
    matcher = ctx.node.get(Matcher)
    ticket = matcher.ticket_of(ctx.tenant, ctx.user)
    other = cmd.ticket is not None and (ticket is None or ticket.id != cmd.ticket)
    if other or not matcher.cancel(ctx.tenant, ctx.user):
        raise Refused("not_found", "you do not wait for anybody")
    return [Reply(Ok())]


class ConfirmMatch(Command, tag="match.confirm"):
    """Yes to what was proposed."""

    match: Id


@command(ConfirmMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/confirm")
async def match_confirm(ctx: Ctx, cmd: ConfirmMatch) -> Effects:
    """Refused `not_found` for what was not proposed to the asker, or too late."""
    if not ctx.node.get(Matcher).confirm(ctx.tenant, ctx.user, cmd.match):
        raise Refused("not_found", "nothing to confirm")
    return [Reply(Ok())]


class LeaveMatch(Command, tag="match.leave"):
    """End the match; the others are told. With `ticket` only the match that this ticket led to: not one that came later."""

    ticket: Id | None = None


@command(LeaveMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/leave", uncancellable=True)
async def match_leave(ctx: Ctx, cmd: LeaveMatch) -> Effects:
    """Refused `not_found` for who is in no match."""
    row, _ = await the_match(ctx, cmd.ticket)
    await ctx.node.get(Matcher).meetings.end(ctx.tenant, row["match"], "left", session=ctx.session)
    return [Reply(Ok())]


class SkipMatch(Command, tag="match.skip"):
    """End the match and look for the next one, with what was asked for last. `ticket` as in `match.leave`.

    The answer has the new ticket.
    """

    ticket: Id | None = None


@command(SkipMatch, result=Ok, cost=5, refuses=("not_found", "conflict"), http="POST /v1/match/skip", uncancellable=True)
async def match_skip(ctx: Ctx, cmd: SkipMatch) -> Effects:
    """Refused `not_found` for who is in no match, `conflict` for who has no socket to be told by."""
    row, asked = await the_match(ctx, cmd.ticket)
    await ctx.node.get(Matcher).check_connected(ctx.tenant, ctx.user)
    await ctx.node.get(Matcher).meetings.end(ctx.tenant, row["match"], "skipped", session=ctx.session)
    ticket = await ticket_of(ctx, row["queue"], asked)
    ctx.node.get(Matcher).find(ticket)
    return [Reply(Ok(ticket=ticket.id))]


class KeepMatch(Command, tag="match.keep"):
    """Keep in touch. When all of them have said so, the conversation becomes an ordinary one, and the match is over."""


@command(KeepMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/keep", uncancellable=True)
async def match_keep(ctx: Ctx, cmd: KeepMatch) -> Effects:
    """Refused `not_found` for who is in no match."""
    row, _ = await the_match(ctx)
    kept = await keep(ctx, row["match"], row["users"])
    if kept is None:
        return [Reply(Ok())]
    behind = [ToConversation(kept["id"], Behind(conversation=kept["id"], rev=kept["rev"]))] if kept["kind"] == "group" else []
    return [*behind, AnnounceKept(row["match"], kept["id"], row["users"]), Reply(Ok())]


class AnnounceKept(Effect, frozen=True):
    """Send all of a match that it has become an ordinary conversation."""

    match: str
    conversation: str
    users: Sequence[str]

    async def deliver(self, ctx: Ctx) -> None:
        await ctx.node.get(Matcher).meetings.keep(ctx.tenant, self.match, self.conversation, self.users)


async def keep(ctx: Ctx, match: str, users: list[str]) -> Row | None:
    """Record the vote of the asker; with the last vote the conversation becomes an ordinary one, and its row is returned.

    All in one transaction that holds the row of the match: votes are counted one at a time, and no end comes between the last
    vote and what follows from it. Raises Refused: `not_found` when the match has ended meanwhile.
    """

    async def work(connection: Any) -> tuple[bool, Row | None]:
        await connection.execute(SQL.hold, ctx.tenant, match)
        vote = await connection.fetchrow(SQL.keep, ctx.tenant, match, ctx.user)
        if not vote["counted"]:
            raise in_no_match()
        low, high = users if len(users) == 2 else (None, None)
        if low and high and await lock_pair(connection, ctx.tenant, low, high):
            return True, None
        return False, await connection.fetchrow(SQL.make_ordinary, ctx.tenant, match, ctx.now, low, high) if vote["all"] else None

    blocked, kept = await ctx.node.db.in_transaction(work)
    if blocked:
        # The block ends the match as well; whoever of the two comes first, nothing is kept.
        await ctx.node.get(Matcher).meetings.end(ctx.tenant, match, "left", session=ctx.session)
        raise in_no_match()
    return kept

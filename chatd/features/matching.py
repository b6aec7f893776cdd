"""Meeting strangers: find somebody, leave, skip to the next, keep in touch."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import replace

from chatd.domain.criteria import Accept, Ticket
from chatd.errors import Refused
from chatd.ids import uuid7
from chatd.node.context import Ctx
from chatd.node.effects import Effects, Reply, ToConversation
from chatd.node.registry import command
from chatd.store import queries
from chatd.store.postgres import Row
from chatd.wire.messages import Command, Event, Id, Ok, Result

SQL = queries.load("matching")
MOST_CONDITIONS = 20

Tag = Annotated[str, Meta(min_length=1, max_length=32)]
Attribute = Annotated[str, Meta(min_length=1, max_length=32)]
Value = bool | int | float | Annotated[str, Meta(max_length=64)]
Conditions = Annotated[dict[Attribute, Any], Meta(max_length=MOST_CONDITIONS)]


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


@command(FindMatch, result=MatchQueued, cost=5, refuses=("conflict",), http="POST /v1/match")
async def match_find(ctx: Ctx, cmd: FindMatch) -> Effects:
    """Refused `conflict` for who is in a match."""
    ctx.node.maintenance.check()
    check_conditions(cmd.accept)
    if await active(ctx) is not None:
        raise Refused("conflict", "you are in a match: match.leave or match.skip first")
    return [Reply(queue_up(ctx, await ticket_of(ctx, cmd)))]


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
    return len(values) <= MOST_CONDITIONS and all(isinstance(value, str | int | float | bool) for value in values)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def ticket_of(ctx: Ctx, cmd: FindMatch) -> Ticket:
    recent = await ctx.node.db.all(SQL.recent, ctx.tenant, ctx.user, ctx.node.config.match.recent)
    accept = Accept(cmd.accept.must, cmd.accept.should, cmd.accept.must_not)
    tags = tuple(dict.fromkeys(cmd.tags))
    met = tuple(row["user"] for row in recent)
    return Ticket(uuid7(ctx.now), ctx.tenant, ctx.user, cmd.queue, ctx.now, tags, cmd.attributes, accept, (), met)


def queue_up(ctx: Ctx, ticket: Ticket) -> MatchQueued:
    matcher = ctx.node.matcher
    matcher.find(ticket)
    waiting, eta = matcher.line(ticket.tenant, ticket.queue)
    return MatchQueued(ticket=ticket.id, waiting=max(1, waiting), eta_ms=UNSET if eta is None else eta)


async def active(ctx: Ctx) -> Row | None:
    """The match the asker is in."""
    return await ctx.node.matcher.meetings.active(ctx.tenant, ctx.user)


async def the_match(ctx: Ctx) -> Row:
    """Raises Refused: `not_found`."""
    row = await active(ctx)
    if row is None:
        raise Refused("not_found", "you are in no match")
    return row


class CancelMatch(Command, tag="match.cancel"):
    """Stop waiting. With `ticket` only when it is this one."""

    ticket: Id | None = None


@command(CancelMatch, result=Ok, refuses=("not_found",), http="DELETE /v1/match")
async def match_cancel(ctx: Ctx, cmd: CancelMatch) -> Effects:
    """Refused `not_found` for who does not wait."""
    matcher = ctx.node.matcher
    other = cmd.ticket is not None and matcher.ticket_of(ctx.tenant, ctx.user) != cmd.ticket
    if other or not matcher.cancel(ctx.tenant, ctx.user):
        raise Refused("not_found", "you do not wait for anybody")
    return [Reply(Ok())]


class ConfirmMatch(Command, tag="match.confirm"):
    """Yes to what was proposed."""

    match: Id


@command(ConfirmMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/confirm")
async def match_confirm(ctx: Ctx, cmd: ConfirmMatch) -> Effects:
    """Refused `not_found` for what was not proposed to the asker, or too late."""
    if not ctx.node.matcher.confirm(ctx.tenant, ctx.user, cmd.match):
        raise Refused("not_found", "nothing to confirm")
    return [Reply(Ok())]


class LeaveMatch(Command, tag="match.leave"):
    """End the match; the others are told."""

    ticket: Id | None = None


@command(LeaveMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/leave")
async def match_leave(ctx: Ctx, cmd: LeaveMatch) -> Effects:
    """Refused `not_found` for who is in no match."""
    row = await the_match(ctx)
    await ctx.node.matcher.meetings.end(ctx.tenant, row["match"], "left", but=ctx.user)
    return [Reply(Ok())]


class SkipMatch(Command, tag="match.skip"):
    """End the match and look for the next one, with what was asked for last."""

    ticket: Id | None = None


@command(SkipMatch, result=Ok, cost=5, refuses=("not_found",), http="POST /v1/match/skip")
async def match_skip(ctx: Ctx, cmd: SkipMatch) -> Effects:
    """Refused `not_found` for who is in no match."""
    row = await the_match(ctx)
    await ctx.node.matcher.meetings.end(ctx.tenant, row["match"], "skipped", but=ctx.user)
    last = ctx.node.matcher.asked(ctx.tenant, ctx.user)
    again = await ticket_of(ctx, FindMatch(queue=row["queue"]))
    if last is not None:
        again = replace(last, id=again.id, since=ctx.now, recent=again.recent)
    ctx.node.matcher.find(again)
    return [Reply(Ok())]


class KeepMatch(Command, tag="match.keep"):
    """Keep in touch. When all of them have said so, the conversation becomes an ordinary one, and the match is over."""


class MatchKept(Event, tag="match.kept"):
    """All want to keep in touch: the conversation stays."""

    match: Id
    conversation: Id


@command(KeepMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/keep")
async def match_keep(ctx: Ctx, cmd: KeepMatch) -> Effects:
    """Refused `not_found` for who is in no match."""
    row = await the_match(ctx)
    if not await wish(ctx, row["match"]):
        return [Reply(Ok())]
    low, high = row["users"] if len(row["users"]) == 2 else (None, None)
    kept = await ctx.node.db.value(SQL.make_ordinary, ctx.tenant, row["match"], ctx.now, low, high)
    if kept is None:
        # They know each other already: their own conversation is where they keep in touch.
        await ctx.node.matcher.meetings.end(ctx.tenant, row["match"], "kept")
        return [Reply(Ok())]
    ctx.node.matcher.meetings.keep(ctx.tenant, row["match"], row["users"])
    return [Reply(Ok()), ToConversation(kept, MatchKept(match=row["match"], conversation=kept))]


async def wish(ctx: Ctx, match: str) -> bool:
    """Note that the asker wants to; whether all do. One at a time, so that the last one sees the others."""

    async def work(connection: Any) -> bool:
        async with connection.transaction():
            await connection.execute(SQL.hold, ctx.tenant, match)
            row = await connection.fetchrow(SQL.keep, ctx.tenant, match, ctx.user)
            return bool(row["wished"] and row["all_wish"])

    return await ctx.node.db.within(work)

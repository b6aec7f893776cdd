"""Commands of matching: find a partner, leave, skip to the next one, keep in touch."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from chatd.app.context import Ctx
from chatd.app.effects import Effect, Effects, Reply, SendSignal, ToConversation
from chatd.app.maintenance import Maintenance
from chatd.app.registry import command
from chatd.conversations.block_rules import lock_pair
from chatd.conversations.signals import VisibilityChanged
from chatd.core.errors import Refused
from chatd.core.identity import UserKey
from chatd.core.ids import PYTHON_END, uuid7
from chatd.db import queries
from chatd.db.postgres import Row, Tx
from chatd.matching.criteria import Accept, Criteria, Ticket, decode_criteria
from chatd.matching.matches import Matches
from chatd.matching.pool_owner import PoolOwner
from chatd.matching.service import MatchingService
from chatd.matching.settings import MatchSettings
from chatd.wire.base import Command, Id, Ok, Result
from chatd.wire.connection_events import Behind
from chatd.wire.texts import KEY, LOOKUP

SQL = queries.load("matching/matches")
MAX_CONDITIONS = 20
MAX_TEXT = 64
MAX_AVOIDED = 5000

Tag = Annotated[str, Meta(min_length=1, max_length=32, extra=KEY)]
Attribute = Annotated[str, Meta(min_length=1, max_length=32, extra=KEY)]
Value = bool | int | float | Annotated[str, Meta(max_length=MAX_TEXT, extra=KEY)]
Conditions = Annotated[dict[Attribute, Any], Meta(max_length=MAX_CONDITIONS, extra=LOOKUP)]


class Accepts(Struct, forbid_unknown_fields=True):
    """Conditions on the attributes of partners: a value, a list of values, or `{"min": 18, "max": 30}`."""

    must: Conditions = {}
    should: Conditions = {}
    must_not: Conditions = {}


class FindMatch(Command, tag="match.find"):
    """Search for a partner. A new search replaces the previous one.

    Both sides must accept each other. With waiting time the search drops `should`, then common tags, then the exclusion
    of recent partners.
    """

    queue: Annotated[
        str, Meta(pattern=f"^[a-z0-9_-]{{1,32}}{PYTHON_END}", description="1 to 32 of a-z, 0-9, `_`, `-`")
    ] = "default"
    tags: Annotated[list[Tag], Meta(max_length=10)] = field(default_factory=list)
    attributes: Annotated[dict[Attribute, Value], Meta(max_length=MAX_CONDITIONS)] = field(default_factory=dict)
    accept: Accepts = field(default_factory=Accepts)


class MatchQueued(Result, tag="match.queued"):
    """The search is active.

    `waiting`: users in this queue, including you. `eta_ms`: how long the last matched users waited, if known.
    """

    ticket: Id
    waiting: int
    eta_ms: int | UnsetType = UNSET


@command(FindMatch, result=MatchQueued, cost=5, refuses=("conflict", "forbidden"), http="POST /v1/match")
async def match_find(ctx: Ctx, cmd: FindMatch) -> Effects:
    """`conflict`: you are in a match, or have no session. `forbidden`: a filter refuses a text."""
    ctx.node.get(Maintenance).check()
    check_conditions(cmd.accept)
    matching = ctx.node.get(MatchingService)
    await matching.check_connected(user_key(ctx))
    if await active(ctx) is not None:
        raise Refused("conflict", "you are in a match: send match.leave or match.skip first")
    accept = Accept(cmd.accept.must, cmd.accept.should, cmd.accept.must_not)
    criteria = Criteria("", tuple(dict.fromkeys(cmd.tags)), cmd.attributes, accept)
    ticket = await new_ticket(ctx, cmd.queue, criteria)
    matching.find(ticket)
    return [Reply(queued(ctx, ticket, is_new=True))]


def check_conditions(accepts: Accepts) -> None:
    """Check the form of conditions. Raises Refused: `bad_request` if a condition is malformed."""
    for kind in Accepts.__struct_fields__:
        for name, condition in getattr(accepts, kind).items():
            if not is_condition(condition):
                raise Refused(
                    "bad_request", f"$.accept.{kind}.{name}: expected a value, a list of values, or min and max"
                )


def is_condition(condition: Any) -> bool:
    if isinstance(condition, dict):
        return condition.keys() <= {"min", "max"} and all(is_number(limit) for limit in condition.values())
    values = condition if isinstance(condition, list) else [condition]
    return len(values) <= MAX_CONDITIONS and all(is_value(value) for value in values)


def is_value(value: Any) -> bool:
    return isinstance(value, int | float | bool) or (isinstance(value, str) and len(value) <= MAX_TEXT)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def user_key(ctx: Ctx) -> UserKey:
    return ctx.tenant, ctx.user


async def new_ticket(ctx: Ctx, queue: str, criteria: Criteria) -> Ticket:
    """Make a ticket with the current blocks, recent partners and shadow ban of the user."""
    matches = ctx.node.config.get(MatchSettings).recent
    row = await ctx.node.db.one(SQL.user_for_ticket, ctx.tenant, ctx.user, matches, MAX_AVOIDED)
    assert row is not None
    return Ticket(
        id=uuid7(ctx.now),
        tenant=ctx.tenant,
        user=ctx.user,
        queue=queue,
        since=ctx.node.get(MatchingService).clock(),
        tags=criteria.tags,
        attributes=criteria.attributes,
        accept=criteria.accept,
        avoid=frozenset(row["avoid"]),
        recent=tuple(row["recent"]),
        shadow=row["is_shadowed"],
    )


def queued(ctx: Ctx, ticket: Ticket, *, is_new: bool) -> MatchQueued:
    waiting, eta = ctx.node.get(PoolOwner).queue_length(ticket.tenant, ticket.queue, is_new=is_new)
    return MatchQueued(ticket=ticket.id, waiting=waiting, eta_ms=UNSET if eta is None else eta)


class MatchStatus(Command, tag="match.status"):
    """Get the state of your search. It changes nothing."""


@command(MatchStatus, result=MatchQueued, refuses=("not_found",), http="GET /v1/match")
async def match_status(ctx: Ctx, _: MatchStatus) -> Effects:
    """`not_found`: you have no active search.

    Over REST only the node with your session is sure to know it.
    """
    ticket = ctx.node.get(MatchingService).ticket_of(user_key(ctx))
    if ticket is None:
        raise no_search()
    return [Reply(queued(ctx, ticket, is_new=False))]


async def active(ctx: Ctx) -> Row | None:
    """The match that the user is in."""
    return await ctx.node.get(Matches).active(ctx.tenant, ctx.user)


def no_search() -> Refused:
    return Refused("not_found", "you have no active search")


def no_match() -> Refused:
    return Refused("not_found", "you are not in a match")


async def current_match(ctx: Ctx, ticket: str | None = None) -> tuple[Row, Criteria]:
    """The match that the user is in, and their criteria.

    Raises Refused: `not_found` if there is none, or not by this `ticket`.
    """
    row = await active(ctx)
    if row is None:
        raise no_match()
    criteria = decode_criteria(row["criteria"])
    if ticket is not None and criteria.ticket not in ("", ticket):
        raise Refused("not_found", "you are in another match")
    return row, criteria


class CancelMatch(Command, tag="match.cancel"):
    """End the search. With `ticket`, only the search with this ticket."""

    ticket: Id | None = None


@command(CancelMatch, result=Ok, refuses=("not_found",), http="DELETE /v1/match")
async def match_cancel(ctx: Ctx, cmd: CancelMatch) -> Effects:
    """`not_found`: you have no active search."""
    matching = ctx.node.get(MatchingService)
    ticket = matching.ticket_of(user_key(ctx))
    is_other = cmd.ticket is not None and (ticket is None or ticket.id != cmd.ticket)
    if is_other or not matching.cancel(user_key(ctx)):
        raise no_search()
    return [Reply(Ok())]


class ConfirmMatch(Command, tag="match.confirm"):
    """Accept a proposed match."""

    match: Id


@command(ConfirmMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/confirm")
async def match_confirm(ctx: Ctx, cmd: ConfirmMatch) -> Effects:
    """`not_found`: the match was not proposed to you, or the proposal has expired."""
    if not ctx.node.get(MatchingService).confirm(user_key(ctx), cmd.match):
        raise Refused("not_found", "no such proposal")
    return [Reply(Ok())]


class LeaveMatch(Command, tag="match.leave"):
    """End your match; the partners get `match.ended`. With `ticket`, only the match that this ticket led to."""

    ticket: Id | None = None


@command(LeaveMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/leave", uncancellable=True)
async def match_leave(ctx: Ctx, cmd: LeaveMatch) -> Effects:
    """`not_found`: you are not in a match."""
    row, _ = await current_match(ctx, cmd.ticket)
    await ctx.node.get(Matches).end(ctx.tenant, row["match"], "left", session=ctx.origin)
    return [Reply(Ok())]


class SkipMatch(Command, tag="match.skip"):
    """End your match and search for the next one with the same criteria. `ticket` as in `match.leave`.

    The answer contains the new ticket.
    """

    ticket: Id | None = None


@command(
    SkipMatch, result=Ok, cost=5, refuses=("not_found", "conflict"), http="POST /v1/match/skip", uncancellable=True
)
async def match_skip(ctx: Ctx, cmd: SkipMatch) -> Effects:
    """`not_found`: you are not in a match. `conflict`: you have no session."""
    row, criteria = await current_match(ctx, cmd.ticket)
    matching = ctx.node.get(MatchingService)
    await matching.check_connected(user_key(ctx))
    await ctx.node.get(Matches).end(ctx.tenant, row["match"], "skipped", session=ctx.origin)
    ticket = await new_ticket(ctx, row["queue"], criteria)
    matching.find(ticket)
    return [Reply(Ok(ticket=ticket.id))]


class KeepMatch(Command, tag="match.keep"):
    """Vote to keep in touch. With the votes of all users the conversation becomes an ordinary one, and the match ends.

    Its members know each other by user id from then on: after `match.kept`, read the conversation again.
    """


@command(KeepMatch, result=Ok, refuses=("not_found",), http="POST /v1/match/keep", uncancellable=True)
async def match_keep(ctx: Ctx, cmd: KeepMatch) -> Effects:
    """`not_found`: you are not in a match."""
    row, _ = await current_match(ctx)
    kept = await record_keep_vote(ctx, row["match"], row["aliases"])
    if kept is None:
        return [Reply(Ok())]
    behind = (
        [ToConversation(kept["id"], Behind(conversation=kept["id"], rev=kept["rev"]))]
        if kept["kind"] == "group"
        else []
    )
    users = sorted(row["aliases"])
    visible = SendSignal(VisibilityChanged(ctx.tenant, users))
    return [*behind, AnnounceKept(row["match"], kept["id"], users, kept["rev"]), visible, Reply(Ok())]


class AnnounceKept(Effect, frozen=True):
    """Announce to all users of a match that it has become an ordinary conversation."""

    match: str
    conversation: str
    users: Sequence[str]
    rev: int

    async def deliver(self, ctx: Ctx) -> None:
        matches = ctx.node.get(Matches)
        await matches.keep(ctx.tenant, self.match, self.conversation, self.users, self.rev)


async def record_keep_vote(ctx: Ctx, match: str, aliases: Mapping[str, str]) -> Row | None:
    """Record the vote of the user. With the last vote the conversation becomes an ordinary one, and its row is
    returned. Raises Refused: `not_found` if the match has ended.
    """
    is_over, kept = await ctx.node.db.in_transaction(count_vote, ctx, match, aliases)
    if is_over:
        # A block ends the match as well: in either order of the commits, nothing is kept.
        await ctx.node.get(Matches).end(ctx.tenant, match, "left", session=ctx.origin)
        raise no_match()
    return kept


async def count_vote(tx: Tx, ctx: Ctx, match: str, aliases: Mapping[str, str]) -> tuple[bool, Row | None]:
    """Whether the match is over, and the row of the conversation if it was kept.

    The transaction locks the row of the match: votes are counted one at a time, and the match cannot end between the
    last vote and its effect. Raises Refused: `not_found` if the match has ended.

    A block by an alias of this match ends it. With any other block between two users the match is not kept, and the
    answer is the same as if the partner had not voted: the blocker must not find out who the partner is.
    """
    await tx.run(SQL.lock_match, ctx.tenant, match)
    vote: Any = await tx.one(SQL.vote_to_keep, ctx.tenant, match, ctx.user)
    if not vote["counted"]:
        raise no_match()
    low, high = sorted(aliases) if len(aliases) == 2 else (None, None)
    if low and high and (blocked := await lock_pair(tx, ctx.tenant, low, high)):
        return not blocked.isdisjoint(aliases.values()), None
    return False, await tx.one(SQL.make_ordinary, ctx.tenant, match, ctx.now, low, high) if vote["all_voted"] else None

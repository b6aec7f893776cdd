"""Votes, and who has voted.

A vote is written under the lock of the conversation, as the end of the poll is: so it is counted, or it is refused.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation, ToUser
from chatd.app.registry import Guard, command
from chatd.conversations.effects import update_event
from chatd.conversations.entities import Message
from chatd.conversations.events import MessageUpdate
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.messages.edits import MessageResult
from chatd.conversations.read_model import message_of
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import Row
from chatd.polls.metrics import PollCounts
from chatd.polls.state import MAX_OPTIONS, Poll, poll_in, stored_form
from chatd.wire.base import Command, Event, Id, Limit, Name, Result, Rev

SQL = queries.load("polls/polls")
OptionIndex = Annotated[int, Meta(ge=0, le=MAX_OPTIONS - 1, description="Index of an option of the poll, from 0")]


class Vote(Command, tag="poll.vote"):
    """Vote in a poll. The options replace those of the earlier vote of the requester; without any, that is removed."""

    conversation: Id
    message: Id
    options: Annotated[list[OptionIndex], Meta(max_length=MAX_OPTIONS)]


class PollVoted(Event, tag="poll.voted"):
    """The user has voted in a poll with another device. `options`: their vote as it is now, empty if it was removed.

    `vote_rev`: the `rev` of the message with this vote. Drop the event if you have a later vote of the user. The new
    counts come as `message.update`.
    """

    conversation: Id
    message: Id
    options: list[int]
    vote_rev: Rev


class Voted(Struct, frozen=True):
    """The message after a vote, and the event for the members; None if the vote has changed nothing."""

    message: Message
    event: Event | None


@command(
    Vote,
    result=MessageResult,
    refuses=("not_found", "conflict", "blocked"),
    http="PUT /v1/conversations/{conversation}/messages/{message}/poll/vote",
    uncancellable=True,
)
async def vote(ctx: Ctx, cmd: Vote) -> Effects:
    """`conflict`: the poll has ended, or the message was deleted or is not a poll. The answer contains the vote."""
    voted = await change_conversation(ctx, cmd.conversation, write_vote, cmd)
    reply = Reply(MessageResult(message=voted.message))
    if voted.event is None:
        return [reply]
    ctx.node.get(PollCounts).votes += 1
    options = voted.message.voted or []
    own = PollVoted(conversation=cmd.conversation, message=cmd.message, options=options, vote_rev=voted.message.rev)
    return [ToUser(ctx.user, own, ctx.origin), ToConversation(cmd.conversation, voted.event), reply]


async def write_vote(tx: ConversationTx, cmd: Vote) -> Voted:
    """Store a vote. Raises Refused: `not_found`, `conflict`, `bad_request`."""
    row = await tx.message(cmd.message)
    poll = open_poll(row)
    own = await own_options(tx, row["seq"])
    poll.check_open(own["now"])
    chosen = poll.chosen(cmd.options)
    if chosen == own["options"]:
        return Voted(with_vote(message_of(row, tx.files_url), chosen), None)
    await tx.run(SQL.replace_votes, row["seq"], tx.user, chosen, tx.now)
    message = await store(tx, row["id"], row["seq"], poll.recounted(own["options"], chosen))
    return Voted(with_vote(message, chosen), vote_event(tx, message, poll))


def open_poll(row: Row) -> Poll:
    """The poll of a message. Raises Refused: `conflict`."""
    if row["deleted_at"] is not None:
        raise Refused("conflict", "the message was deleted")
    return poll_in(row["poll"])


async def own_options(tx: ConversationTx, seq: int) -> Row:
    """The `options` that the requester has chosen, and the time `now` by the clock that all nodes share."""
    row = await tx.one(SQL.own_options, seq, tx.user)
    assert row is not None
    return row


async def store(tx: ConversationTx, message: str, seq: int, poll: Poll) -> Message:
    """Store the state of a poll. Returns the message as all members see it."""
    await tx.run(SQL.set_poll, seq, tx.next_rev(), stored_form(poll))
    return message_of(await tx.message(message), tx.files_url)


def with_vote(message: Message, chosen: list[int]) -> Message:
    return replace(message, voted=chosen or UNSET)


def vote_event(tx: ConversationTx, message: Message, poll: Poll) -> Event:
    """The event of a vote for the members, which does not name the voter if the poll is anonymous."""
    event = update_event(tx, message, "vote")
    return replace(event, by=UNSET) if poll.anonymous and isinstance(event, MessageUpdate) else event


class Voter(Struct, kw_only=True, frozen=True):
    """A user who has voted."""

    user: Id
    name: Name | None


class ListVoters(Command, tag="poll.voters"):
    """List the users who have chosen an option of a poll. `cursor`: from the page before."""

    conversation: Id
    message: Id
    option: OptionIndex
    cursor: Id | None = None
    limit: Limit = 100


class Voters(Result, tag="poll.voters"):
    """Users who have chosen an option, ordered by id. `cursor` is null on the last page."""

    items: list[Voter]
    cursor: Id | None


@command(
    ListVoters,
    result=Voters,
    guard=Guard.MEMBER,
    refuses=("not_found", "conflict", "forbidden"),
    http="GET /v1/conversations/{conversation}/messages/{message}/poll/voters",
)
async def list_voters(ctx: Ctx, cmd: ListVoters) -> Effects:
    """`not_found`: the requester may not see the message. `conflict`: it was deleted or is not a poll. `forbidden`: the
    poll is anonymous.
    """
    row = await ctx.node.db.one(SQL.visible_poll, ctx.tenant, cmd.conversation, ctx.user, cmd.message)
    if row is None:
        raise Refused("not_found", "no such message")
    if poll_in(row["poll"]).anonymous:
        raise Refused("forbidden", "the poll is anonymous")
    statement = SQL.voters_in_match if row["in_match"] else SQL.voters
    window = (row["seq"], cmd.option, cmd.cursor, cmd.limit + 1)
    rows = await ctx.node.db.all(statement, ctx.tenant, cmd.conversation, *window)
    page, more = page_of(rows, cmd.limit)
    items = [Voter(**dict(one)) for one in page]
    return [Reply(Voters(items=items, cursor=items[-1].user if more else None))]

"""Coming back: what has changed since, as states.

`session.sync` says which conversations changed; `conversation.sync` what in one of them. The cursor of the first is the
horizon of a database snapshot: every transaction below it was visible, so a row whose last transaction is at or above it
may be news, and everything else is not. Unlike a timestamp or a sequence it misses nothing that was under way while it was
taken; it may repeat a state, which does no harm.

A cursor begins with the epoch of the data, which every restore changes (`current_epoch` in SQL). With a cursor of another epoch
the answer is the whole state, marked `reset`: what was acked after the backup is gone, and its numbers may have been given again.
"""

import re

from msgspec import UNSET, Struct, UnsetType, convert

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.conversations.entities import Counters, Departure, Info, Member, Message
from chatd.conversations.read_model import counters_of, departure_of, info_of, member_of, message_of
from chatd.core.errors import Refused
from chatd.core.ids import NIL, UUID
from chatd.db import queries
from chatd.db.postgres import Tx
from chatd.wire.base import Command, Cursor, Id, Limit, Millis, Result, Rev, Seq

SQL = queries.load("conversations/sync")
# Messages after the reader's positions that are counted for one page, which ends early where there are more.
COUNTED_PER_PAGE = 250_000


class SyncSession(Command, tag="session.sync"):
    """Which conversations changed since `cursor`; without one, all of them. Call again with the new cursor while `more`: a page
    may be shorter than `limit`.

    After the database was restored from a backup, all of them come, with `reset`.
    """

    cursor: Cursor | None = None
    limit: Limit = 200


class Mark(Struct, kw_only=True, frozen=True):
    """What the asker has done to a message for themselves alone, as it is now."""

    conversation: Id
    message: Id
    seq: Seq
    starred_at: Millis | None
    hidden: bool


class SessionState(Result, tag="session.state"):
    """States of conversations. Keep `cursor` for the next time. `gone`: those that the asker is no member of any more.

    `marks`: messages that were starred or hidden, or are so no more; of more than 1000 some are left out: see message.starred.
    `own`: the asker's settings, blocks or scheduled messages may have changed: ask user.settings, block.list, schedule.list.
    `reset`: `cursor` is from before a restore of the database. Drop what you know of every conversation, whatever its rev:
    messages may be gone, and others may have their numbers. Conversations that are on no page of this sync are gone.
    """

    conversations: list[Counters]
    gone: list[Id]
    marks: list[Mark]
    own: bool
    reset: bool
    cursor: str
    more: bool


@command(SyncSession, result=SessionState, cost=2, http="GET /v1/sync")
async def sync_session(ctx: Ctx, cmd: SyncSession) -> Effects:
    position = Position.read(cmd.cursor)
    rows = await ctx.node.db.all(
        SQL.session, ctx.tenant, ctx.user, position.epoch, position.since, position.after, cmd.limit + 1, COUNTED_PER_PAGE
    )
    head = rows[0]
    page = [counters_of(row) for row in rows if row["id"] is not None][: cmd.limit]
    more = len(rows) > cmd.limit or bool(head["is_cut"])
    next_ = position.next(head["epoch"], head["horizon"], page[-1].id if more else None)
    marks = [convert(mark, Mark) for mark in head["marks"]]
    state = SessionState(
        conversations=page,
        gone=head["gone"],
        marks=marks,
        own=head["own"],
        reset=cmd.cursor is not None and position.epoch != head["epoch"],
        cursor=str(next_),
        more=more,
    )
    return [Reply(state)]


# Transaction ids without leading zeros, which Postgres takes for octal numbers.
FORM = re.compile(rf"([0-9a-f.]{{1,40}}):(0|[1-9][0-9]{{0,18}}):(|0|[1-9][0-9]{{0,18}}):({UUID})")


class Position(Struct, frozen=True):
    """Where a session.sync stands: all before `since` is known and, within a sync of several pages, all up to `after`.

    `until` is the horizon of the first page, which becomes `since` after the last one.
    """

    epoch: str = ""
    since: str = "0"
    until: str = ""
    after: str = NIL

    @classmethod
    def read(cls, cursor: str | None) -> "Position":
        if cursor is None:
            return cls()
        match = FORM.fullmatch(cursor)
        if match is None:
            raise Refused("bad_request", "$.cursor: not a cursor of session.sync")
        return cls(*match.groups())

    def next(self, epoch: str, horizon: str, after: str | None) -> "Position":
        """The position after a page that ended at `after`, or after the last page."""
        restored = self.epoch != epoch
        until = horizon if restored or not self.until else self.until
        if after is None:
            return Position(epoch, since=until)
        return Position(epoch, "0" if restored else self.since, until, after)

    def __str__(self) -> str:
        return f"{self.epoch}:{self.since}:{self.until}:{self.after}"


class SyncConversation(Command, tag="conversation.sync"):
    """What changed in a conversation after `rev`. Call again with the new rev while `more`."""

    conversation: Id
    rev: Rev
    limit: Limit = 100


class Changes(Result, tag="changes"):
    """States of what changed, each in the order of its rev. Everything up to `rev` is known now.

    `departures`: who is a member no more. `info`: what all share of the conversation, when that changed.
    `reset`: the conversation has not come as far as the `rev` that was asked for, because the database was restored from a
    backup. Drop what you know of it; this answer begins at its beginning.
    """

    messages: list[Message]
    members: list[Member]
    departures: list[Departure]
    rev: Rev
    more: bool
    info: Info | UnsetType = UNSET
    reset: bool = False


@command(
    SyncConversation,
    result=Changes,
    cost=2,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/sync",
)
async def sync_conversation(ctx: Ctx, cmd: SyncConversation) -> Effects:
    """Refused `not_found` for who is no member.

    All of it is read from one snapshot. Else who changes in between would be missing: they have a higher rev by then, and the
    event with that rev (somebody has read so far) says nothing to a client that does not know whom it is about.
    """

    top, found = await ctx.node.db.in_snapshot(find_changes, ctx, cmd)
    return [Reply(changes_of(found, top, cmd))]


async def find_changes(tx: Tx, ctx: Ctx, cmd: SyncConversation) -> "tuple[Rev, Found]":
    """The rev up to which this is everything, and what was found. Raises Refused: `not_found`."""
    place = (ctx.tenant, cmd.conversation)
    here = await tx.one(SQL.top, *place, ctx.user)
    if here is None:
        raise Refused("not_found", "no such conversation")
    since = 0 if cmd.rev > here["rev"] else cmd.rev
    window = (since, here["rev"], cmd.limit + 1)
    seen = (max(since, here["first_rev"]), here["rev"], cmd.limit + 1)
    return here["rev"], Found(
        [message_of(row, ctx.files_url) for row in await tx.all(SQL.messages, *place, ctx.user, *seen)],
        [member_of(row) for row in await tx.all(SQL.members, *place, ctx.user, *window)],
        [departure_of(row) for row in await tx.all(SQL.departures, *place, *window)],
        info_of(here) if here["info_rev"] > since or since < cmd.rev else UNSET,
    )


class Found(Struct, frozen=True):
    """What has changed: at least one more of each than is told, where there is more."""

    messages: list[Message]
    members: list[Member]
    departures: list[Departure]
    info: Info | UnsetType


def changes_of(found: Found, top: int, cmd: SyncConversation) -> Changes:
    """Cut all lists at one rev, so that what was left out of either comes with the next page."""
    limit = cmd.limit
    lists = (found.messages, found.members, found.departures)
    edges = [states[limit - 1].rev for states in lists if len(states) > limit]
    edge = min(edges, default=top)
    return Changes(
        messages=[message for message in found.messages if message.rev <= edge],
        members=[member for member in found.members if member.rev <= edge],
        departures=[departure for departure in found.departures if departure.rev <= edge],
        info=found.info,
        rev=edge,
        more=bool(edges),
        reset=cmd.rev > top,
    )

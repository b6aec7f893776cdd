"""Synchronization of clients that were offline, as states.

`session.sync` answers which conversations changed, `conversation.sync` what changed in one of them. The cursor of the
first is the horizon of a database snapshot: every transaction below it was visible, so a row whose last transaction is
at or above it may be new, and everything else is known. Unlike a timestamp or a sequence, it misses no transaction that
was in progress while it was taken; it may repeat a state, which does no harm.

A cursor begins with the epoch of the data, which every restore changes (the SQL function `current_epoch`). With a
cursor of another epoch the answer is the whole state, marked `reset`: messages that were acknowledged after the backup
are gone, and their numbers may have been assigned again.
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
# Unread messages that are counted for one page; a page with more of them ends early.
MAX_COUNTED_PER_PAGE = 250_000


class SyncSession(Command, tag="session.sync"):
    """Get the conversations that changed since `cursor`; without a cursor, all of them.

    While `more` is true, call again with the new cursor: a page may be shorter than `limit`. After the database was
    restored from a backup, the answer is the whole state, with `reset`.
    """

    cursor: Cursor | None = None
    limit: Limit = 200


class Mark(Struct, kw_only=True, frozen=True):
    """The requester's own marks on a message, as they are now."""

    conversation: Id
    message: Id
    seq: Seq
    starred_at: Millis | None
    hidden: bool


class ThreadMark(Struct, kw_only=True, frozen=True):
    """Whether the requester follows a thread, and the reply up to which they have read it. `thread` is its root."""

    conversation: Id
    thread: Id
    following: bool
    read_seq: Seq


class SessionState(Result, tag="session.state"):
    """States of conversations. Keep `cursor` for the next call.

    `gone`: conversations of which the requester is no longer a member. `marks`: messages that the requester has
    starred, hidden, or unmarked; of more than 1000 some are left out: see message.starred. `threads`: threads that the
    requester has followed, unfollowed or read; absent if there are none. All of them are in thread.list. `own`:
    profile, settings, blocks, contacts, requests or scheduled messages of the requester may have changed: call me.get,
    user.settings.get, block.list, contact.list, request.list and schedule.list.

    `reset`: `cursor` is from before a restore of the database. Discard the known state of every conversation, whatever
    its rev: messages may be missing, and their numbers may belong to others. Conversations on no page of this sync no
    longer exist.
    """

    conversations: list[Counters]
    gone: list[Id]
    marks: list[Mark]
    own: bool
    reset: bool
    cursor: str
    more: bool
    threads: list[ThreadMark] | UnsetType = UNSET


@command(SyncSession, result=SessionState, cost=2, http="GET /v1/sync")
async def sync_session(ctx: Ctx, cmd: SyncSession) -> Effects:
    position = Position.read(cmd.cursor)
    rows = await ctx.node.db.all(
        SQL.session,
        ctx.tenant,
        ctx.user,
        position.epoch,
        position.since,
        position.after,
        cmd.limit + 1,
        MAX_COUNTED_PER_PAGE,
    )
    head = rows[0]
    page = [counters_of(row) for row in rows if row["id"] is not None][: cmd.limit]
    more = len(rows) > cmd.limit or bool(head["is_cut"])
    next_ = position.next(head["epoch"], head["horizon"], page[-1].id if more else None)
    marks = [convert(mark, Mark) for mark in head["marks"]]
    state = SessionState(
        conversations=page,
        gone=head["left_conversations"],
        marks=marks,
        own=head["own_settings_changed"],
        reset=cmd.cursor is not None and position.epoch != head["epoch"],
        cursor=str(next_),
        more=more,
        threads=[convert(mark, ThreadMark) for mark in head["threads"]] or UNSET,
    )
    return [Reply(state)]


# Transaction ids without leading zeros, which Postgres would read as octal numbers.
FORM = re.compile(rf"([0-9a-f.]{{1,40}}):(0|[1-9][0-9]{{0,18}}):(|0|[1-9][0-9]{{0,18}}):({UUID})")


class Position(Struct, frozen=True):
    """The position of a session.sync: everything before `since` is known and, in a sync of several pages, all
    conversations up to `after`.

    `until` is the horizon of the first page; it becomes `since` after the last one.
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
            raise Refused("bad_request", "$.cursor: expected a cursor from session.sync")
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
    """Get what changed in a conversation after `rev`. While `more` is true, call again with the new rev."""

    conversation: Id
    rev: Rev
    limit: Limit = 100


class Changes(Result, tag="changes"):
    """States of what changed, each list in the order of `rev`. After this answer everything up to `rev` is known.

    `departures`: users who are no longer members. `info`: the shared settings of the conversation, if they changed.
    `reset`: the conversation has not reached the requested `rev`, because the database was restored from a backup.
    Discard the known state; this answer starts from the beginning.
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
    """`not_found`: the requester is not a member."""

    # One snapshot for all lists. A member who changes between two reads would be missing: the event with their new rev
    # (such as a receipt) does not describe a member that the client does not know.
    return [Reply(changes_of(await ctx.node.db.in_snapshot(find_changes, ctx, cmd), cmd))]


class Found(Struct, frozen=True):
    """The changes up to `rev`: of each kind one more than fits into the answer, if there are more."""

    rev: Rev
    messages: list[Message]
    members: list[Member]
    departures: list[Departure]
    info: Info | UnsetType


async def find_changes(tx: Tx, ctx: Ctx, cmd: SyncConversation) -> Found:
    """Read the changes in one snapshot. Raises Refused: `not_found`."""
    place = (ctx.tenant, cmd.conversation)
    conversation = await tx.one(SQL.conversation, *place, ctx.user)
    if conversation is None:
        raise Refused("not_found", "no such conversation")
    since = 0 if cmd.rev > conversation["rev"] else cmd.rev
    window = (since, conversation["rev"], cmd.limit + 1)
    seen = (max(since, conversation["first_rev"]), conversation["rev"], cmd.limit + 1)
    return Found(
        conversation["rev"],
        [message_of(row, ctx.files_url) for row in await tx.all(SQL.messages, *place, ctx.user, *seen)],
        [member_of(row) for row in await tx.all(SQL.members, *place, ctx.user, *window)],
        [departure_of(row) for row in await tx.all(SQL.departures, *place, *window)],
        info_of(conversation) if conversation["info_rev"] > since or since < cmd.rev else UNSET,
    )


def changes_of(found: Found, cmd: SyncConversation) -> Changes:
    """Cut all lists at the same rev: what is left out comes with the next page."""
    limit = cmd.limit
    lists = (found.messages, found.members, found.departures)
    edges = [states[limit - 1].rev for states in lists if len(states) > limit]
    edge = min(edges, default=found.rev)
    return Changes(
        messages=[message for message in found.messages if message.rev <= edge],
        members=[member for member in found.members if member.rev <= edge],
        departures=[departure for departure in found.departures if departure.rev <= edge],
        info=found.info,
        rev=edge,
        more=bool(edges),
        reset=cmd.rev > found.rev,
    )

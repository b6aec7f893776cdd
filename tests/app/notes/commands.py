"""The command, its answer and its event."""

from notes.board import SQL, NoteCounted
from notes.settings import NoteSettings

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.wire.base import Command, Event, Id, Name, Result


class AddNote(Command, tag="note.add"):
    """Leave a note for a user."""

    user: Id
    text: Name


class Note(Result, tag="note"):
    """The note is stored."""

    id: Id


class NoteAdded(Event, tag="note.added"):
    """Another user left a note for you."""

    id: Id
    sender: Id
    text: str


@command(AddNote, result=Note, refuses=("not_found", "too_large"), http="POST /v1/notes")
async def add_note(ctx: Ctx, cmd: AddNote) -> Effects:
    """Notes to yourself are allowed. `not_found`: there is no such user. `too_large`: you have `notes.max_notes` notes."""
    most = ctx.node.config.get(NoteSettings).max_notes
    if await ctx.node.db.value(SQL.written, ctx.tenant, ctx.user) >= most:
        raise Refused("too_large", f"a user can write at most {most} notes")
    note = uuid7(ctx.now)
    if await ctx.node.db.value(SQL.add, ctx.tenant, note, ctx.user, cmd.user, cmd.text) is None:
        raise Refused("not_found", "no such user")
    await ctx.node.cluster.broadcast(NoteCounted(ctx.tenant))
    return [Reply(Note(id=note)), ToUser(cmd.user, NoteAdded(id=note, sender=ctx.user, text=cmd.text))]

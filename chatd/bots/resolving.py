"""Which bot a text is a command for, and with which arguments. See `conversations/messages/text_commands.py`."""

from collections.abc import Sequence

from msgspec import convert

from chatd.app.context import Ctx
from chatd.bots.declarations import Declared
from chatd.bots.parser import BadArguments, Call, NamedUser, Value, arguments, call_in
from chatd.conversations.entities import Json
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.people.handles import handle_form
from chatd.people.lookup import find_by_handle, find_users

SQL = queries.load("bots/commands")
# Bots that a refusal names.
MAX_NAMED = 20


async def resolve(ctx: Ctx, conversation: str, text: str) -> Json | None:
    """The command that the text is; None for a text that no bot of the conversation has declared.

    Raises Refused: `bad_request` if the arguments do not fit, `conflict` if several bots have the command.
    """
    call = call_in(text)
    if call is None:
        return None
    rows = await ctx.node.db.all(SQL.candidates, ctx.tenant, conversation, ctx.user, call.name)
    row = chosen(call, rows)
    if row is None:
        return None
    try:
        given = arguments(call.rest, convert(row["declared"], Declared).args)
        args = {name: await resolved(ctx, name, value) for name, value in given.items()}
    except BadArguments as error:
        raise Refused("bad_request", f"$.text: /{call.name}: {error}") from None
    return {"bot": row["bot"], "name": call.name, "args": args}


def chosen(call: Call, rows: Sequence[Row]) -> Row | None:
    """The bot that is meant. Raises Refused: `conflict` if it may be any of several."""
    if call.handle is not None:
        handle = form_of(call.handle)
        return next((row for row in rows if handle is not None and row["handle"] == handle), None)
    if len(rows) > 1:
        choices = [f"/{call.name}@{row['handle']}" for row in rows[:MAX_NAMED]]
        raise Refused(
            "conflict",
            f"$.text: several bots have /{call.name}; write {' or '.join(choices)}",
            details={"choices": choices},
        )
    return rows[0] if rows else None


def form_of(handle: str) -> str | None:
    try:
        return handle_form(handle)
    except ValueError:
        return None


async def resolved(ctx: Ctx, name: str, value: Value | NamedUser) -> Value:
    """The value as the bot gets it: a user by id. Raises BadArguments."""
    if not isinstance(value, NamedUser):
        return value
    if value.text.startswith("@"):
        found = await find_by_handle(ctx, value.text)
    else:
        found = (await find_users(ctx, [value.text])).users.get(value.text)
    if found is None or found.deleted is True:
        raise BadArguments(f"{name}: no such user: {value.text}")
    return found.id

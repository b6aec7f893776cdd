"""Commands of bots: a bot declares them, and members of its conversations are offered them."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct, convert

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import Guard, command
from chatd.bots import declarations
from chatd.bots.declarations import ArgumentType, Declared, LocaleTag, in_locale
from chatd.bots.settings import BotSettings
from chatd.core.errors import Refused
from chatd.core.ids import NIL, PYTHON_END, UUID
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.jsonb import to_jsonb
from chatd.db.postgres import Tx
from chatd.wire.base import Command, Id, Limit, Result
from chatd.wire.reference.examples import BOB, Example

SQL = queries.load("bots/commands")
# Of one request; bots.max_commands may be lower.
MAX_AT_ONCE = 200
Prefix = Annotated[str, Meta(pattern=f"^[a-z0-9_]{{0,32}}{PYTHON_END}", description="The beginning of the name")]
CommandCursor = Annotated[
    str, Meta(pattern=f"^[a-z0-9_]{{1,32}}:{UUID}{PYTHON_END}", description="From the page before")
]


class SetCommands(Command, tag="bot.commands.set"):
    """Declare the commands of this bot, in place of all that it has declared before. Only for bots.

    Members of its conversations are offered them by bot.commands. A message whose text begins with `/name` is a command
    for the bot: see docs/bots.md for the form of arguments.
    """

    commands: Annotated[list[Declared], Meta(max_length=MAX_AT_ONCE)]


class DeclaredCommands(Result, tag="bot.declared"):
    """The commands that the bot has declared, in its order."""

    items: list[Declared]


@command(
    SetCommands,
    result=DeclaredCommands,
    cost=10,
    refuses=("forbidden", "too_large"),
    http="PUT /v1/bot/commands",
    uncancellable=True,
)
async def set_commands(ctx: Ctx, cmd: SetCommands) -> Effects:
    """`forbidden`: the requester is not a bot, or a filter refuses a text. `too_large`: there are more than
    `bots.max_commands`. `bad_request`: names are not unique, or arguments are not consistent.
    """
    most = ctx.node.config.get(BotSettings).max_commands
    if len(cmd.commands) > most:
        raise Refused("too_large", f"$.commands: a bot has at most {most} commands")
    declarations.check(filtered(cmd.commands))
    await ctx.node.db.in_transaction(write_commands, ctx, cmd.commands)
    return [Reply(DeclaredCommands(items=cmd.commands))]


def filtered(commands: list[Declared]) -> list[Declared]:
    """The commands as the filters have left them. Raises Refused: `forbidden` if one has masked a name."""
    try:
        return convert(msgspec.to_builtins(commands), list[Declared])
    except msgspec.ValidationError:
        raise Refused("forbidden", "$.commands: a filter does not allow a name or a value") from None


async def write_commands(tx: Tx, ctx: Ctx, commands: Sequence[Declared]) -> None:
    """Raises Refused: `forbidden` for a user who is not a bot."""
    if await tx.value(SQL.lock, ctx.tenant, ctx.user) is None:
        raise Refused("forbidden", "only a bot has commands")
    names = [one.name for one in commands]
    await tx.run(SQL.remove_others, ctx.tenant, ctx.user, names)
    await tx.run(SQL.put, ctx.tenant, ctx.user, names, [to_jsonb(msgspec.to_builtins(one)) for one in commands])


class GetDeclared(Command, tag="bot.commands.get"):
    """Get the commands that this bot has declared."""


@command(GetDeclared, result=DeclaredCommands, http="GET /v1/bot/commands")
async def get_declared(ctx: Ctx, cmd: GetDeclared) -> Effects:
    rows = await ctx.node.db.all(SQL.own, ctx.tenant, ctx.user)
    return [Reply(DeclaredCommands(items=[convert(row["declared"], Declared) for row in rows]))]


class OfferedCommands(Command, tag="bot.commands"):
    """List the commands that bots offer in a conversation, ordered by name; with `prefix`, those that begin with it.

    `locale`: the language of the descriptions, else your own locale, else English.
    """

    conversation: Id
    prefix: Prefix = ""
    locale: LocaleTag | None = None
    cursor: CommandCursor | None = None
    limit: Limit = 50
    EXAMPLE: ClassVar = Example(shown=("prefix",), prefix="wea", locale="en", cursor=f"weather:{BOB}")


class OfferedArgument(Struct, kw_only=True, frozen=True):
    """An argument of a command. `choices`: the values of the type `choice`."""

    name: str
    type: ArgumentType
    description: str
    required: bool
    choices: list[str]
    EXAMPLE: ClassVar = Example(name="city", type="string", description="where", choices=[])


class OfferedCommand(Struct, kw_only=True, frozen=True):
    """A command that a bot offers. `text`: how a message with it begins; it names the bot if several bots have a
    command of this name.
    """

    bot: Id
    handle: str | None
    bot_name: str | None
    name: str
    text: str
    description: str
    args: list[OfferedArgument]
    EXAMPLE: ClassVar = Example(
        handle="weather", bot_name="Weather", name="weather", text="/weather", description="the weather of today"
    )


class CommandList(Result, tag="bot.commands"):
    """A page of commands. `cursor` is null on the last page."""

    items: list[OfferedCommand]
    cursor: CommandCursor | None
    EXAMPLE: ClassVar = Example(cursor=f"weather:{BOB}")


@command(
    OfferedCommands,
    result=CommandList,
    guard=Guard.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/commands",
)
async def offered_commands(ctx: Ctx, cmd: OfferedCommands) -> Effects:
    name, _, bot = (cmd.cursor or f":{NIL}").partition(":")
    locale = cmd.locale or await ctx.node.db.value(SQL.locale, ctx.tenant, ctx.user)
    rows = await ctx.node.db.all(
        SQL.offered, ctx.tenant, cmd.conversation, ctx.user, cmd.prefix, name, bot, cmd.limit + 1
    )
    page, more = page_of(rows, cmd.limit)
    cursor = f"{page[-1]['name']}:{page[-1]['bot']}" if more else None
    return [Reply(CommandList(items=[offered_of(dict(row), locale) for row in page], cursor=cursor))]


def offered_of(row: dict[str, object], locale: str | None) -> OfferedCommand:
    declared = convert(row["declared"], Declared)
    handle = convert(row["handle"], str | None)
    return OfferedCommand(
        bot=convert(row["bot"], str),
        handle=handle,
        bot_name=convert(row["bot_name"], str | None),
        name=declared.name,
        text=f"/{declared.name}@{handle}" if row["is_shared"] and handle else f"/{declared.name}",
        description=in_locale(declared.description, locale),
        args=[
            OfferedArgument(
                name=one.name,
                type=one.type,
                description=in_locale(one.description, locale),
                required=one.required,
                choices=one.choices,
            )
            for one in declared.args
        ],
    )

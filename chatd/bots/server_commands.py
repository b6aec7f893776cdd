"""Server commands for bots, with a scope of their own: they make credentials."""

from typing import ClassVar

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import server_command
from chatd.bots import management
from chatd.bots.accounts import Reads
from chatd.bots.management import (
    DAY_S,
    URL,
    BotAdded,
    BotDescription,
    BotList,
    BotName,
    BotResult,
    BotTokenIssued,
    HandleText,
    Overlap,
    PictureUrl,
    WebhookUrl,
)
from chatd.wire.admin import Lasts
from chatd.wire.base import Id, Ok
from chatd.wire.reference.examples import Example
from chatd.wire.server import ServerCommand


class ServerAddBot(ServerCommand, tag="server.bot.add"):
    """Add a bot, as admin.bot.add does."""

    handle: HandleText
    name: BotName | None = None
    description: BotDescription = ""
    picture_url: PictureUrl | None = None
    reads: Reads = "commands"
    webhook: WebhookUrl | None = None
    lasts: Lasts | None = None
    EXAMPLE: ClassVar = Example(handle="weather", name="Weather", reads="commands", webhook=URL)


@server_command(
    ServerAddBot,
    result=BotAdded,
    scope="bots:write",
    cost=5,
    refuses=("conflict", "forbidden", "too_large"),
    http="POST /v1/server/bots",
    uncancellable=True,
)
async def add_bot(ctx: Ctx, cmd: ServerAddBot) -> Effects:
    """`conflict`: the handle, or one that looks alike, is taken. `forbidden`: it is reserved, or a filter refuses a
    text. `too_large`: the tenant has `bots.max_bots` bots.
    """
    return await management.add_bot(ctx, management.profile_of(cmd), cmd.lasts)


class ServerListBots(ServerCommand, tag="server.bots"):
    """List the bots, with the state of their tokens and webhooks."""


@server_command(ServerListBots, result=BotList, scope="bots:write", cost=2, http="GET /v1/server/bots")
async def list_bots(ctx: Ctx, cmd: ServerListBots) -> Effects:
    return await management.list_bots(ctx)


class ServerUpdateBot(ServerCommand, tag="server.bot.update"):
    """Change a bot, as admin.bot.update does."""

    bot: Id
    handle: HandleText | None = None
    name: BotName | None = None
    description: BotDescription | None = None
    picture_url: PictureUrl | None = None
    reads: Reads | None = None
    webhook: WebhookUrl | None = None
    EXAMPLE: ClassVar = Example(handle="weather", name="Weather", reads="all", webhook=URL)


@server_command(
    ServerUpdateBot,
    result=BotResult,
    scope="bots:write",
    refuses=("not_found", "conflict", "forbidden"),
    http="PATCH /v1/server/bots/{bot}",
    uncancellable=True,
)
async def update_bot(ctx: Ctx, cmd: ServerUpdateBot) -> Effects:
    """`not_found`: there is no such bot. `conflict`, `forbidden`: as for server.bot.add."""
    return await management.update_bot(ctx, cmd.bot, management.profile_of(cmd))


class ServerRemoveBot(ServerCommand, tag="server.bot.remove"):
    """Remove a bot: its sessions end at once on all nodes, and it is erased as a user is. It cannot be undone."""

    bot: Id


@server_command(
    ServerRemoveBot,
    result=Ok,
    scope="bots:write",
    refuses=("not_found",),
    http="DELETE /v1/server/bots/{bot}",
    uncancellable=True,
)
async def remove_bot(ctx: Ctx, cmd: ServerRemoveBot) -> Effects:
    """`not_found`: there is no such bot."""
    return [*await management.remove_bot(ctx, cmd.bot), Reply(Ok())]


class ServerRotateBotToken(ServerCommand, tag="server.bot.token"):
    """Give a bot a new token, as admin.bot.token does."""

    bot: Id
    overlap: Overlap = DAY_S
    lasts: Lasts | None = None


@server_command(
    ServerRotateBotToken,
    result=BotTokenIssued,
    scope="bots:write",
    refuses=("not_found",),
    http="POST /v1/server/bots/{bot}/token",
    uncancellable=True,
)
async def rotate_bot_token(ctx: Ctx, cmd: ServerRotateBotToken) -> Effects:
    """`not_found`: there is no such bot."""
    return await management.issue_token(ctx, cmd.bot, cmd.overlap, cmd.lasts)


class ServerRevokeBotToken(ServerCommand, tag="server.bot.revoke"):
    """Revoke the token of a bot. Its sessions end at once on all nodes."""

    bot: Id


@server_command(
    ServerRevokeBotToken,
    result=Ok,
    scope="bots:write",
    refuses=("not_found",),
    http="DELETE /v1/server/bots/{bot}/token",
    uncancellable=True,
)
async def revoke_bot_token(ctx: Ctx, cmd: ServerRevokeBotToken) -> Effects:
    """`not_found`: there is no such bot, or its token was revoked before."""
    return [*await management.revoke_token(ctx, cmd.bot), Reply(Ok())]

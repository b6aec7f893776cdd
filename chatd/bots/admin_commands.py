"""Admin commands for bots."""

from typing import ClassVar

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import admin_command
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
from chatd.wire.admin import AdminCommand, Lasts
from chatd.wire.base import Id, Ok
from chatd.wire.reference.examples import Example


class AddBot(AdminCommand, tag="admin.bot.add"):
    """Add a bot: a user that is a program, with a token. Without `lasts` the token does not expire.

    `reads`: what the bot receives in groups: `commands`, only what concerns it, or `all`. `webhook`: a URL that gets
    its events. See docs/bots.md.
    """

    handle: HandleText
    name: BotName | None = None
    description: BotDescription = ""
    picture_url: PictureUrl | None = None
    reads: Reads = "commands"
    webhook: WebhookUrl | None = None
    lasts: Lasts | None = None
    EXAMPLE: ClassVar = Example(handle="weather", name="Weather", reads="commands", webhook=URL)


@admin_command(AddBot, result=BotAdded, refuses=("conflict", "forbidden", "too_large"), uncancellable=True)
async def add_bot(ctx: Ctx, cmd: AddBot) -> Effects:
    """`conflict`: the handle, or one that looks alike, is taken. `forbidden`: it is reserved, or a filter refuses a
    text. `too_large`: the tenant has `bots.max_bots` bots.
    """
    return await management.add_bot(ctx, management.profile_of(cmd), cmd.lasts)


class ListBots(AdminCommand, tag="admin.bots"):
    """List the bots of a tenant, with the state of their tokens and webhooks."""


@admin_command(ListBots, result=BotList, role="viewer")
async def list_bots(ctx: Ctx, cmd: ListBots) -> Effects:
    return await management.list_bots(ctx)


class UpdateBot(AdminCommand, tag="admin.bot.update"):
    """Change a bot. Fields that are left out stay as they are; an empty `picture_url` or `webhook` is removed."""

    bot: Id
    handle: HandleText | None = None
    name: BotName | None = None
    description: BotDescription | None = None
    picture_url: PictureUrl | None = None
    reads: Reads | None = None
    webhook: WebhookUrl | None = None
    EXAMPLE: ClassVar = Example(handle="weather", name="Weather", reads="all", webhook=URL)


@admin_command(UpdateBot, result=BotResult, refuses=("not_found", "conflict", "forbidden"), uncancellable=True)
async def update_bot(ctx: Ctx, cmd: UpdateBot) -> Effects:
    """`not_found`: there is no such bot. `conflict`, `forbidden`: as for admin.bot.add."""
    return await management.update_bot(ctx, cmd.bot, management.profile_of(cmd))


class RemoveBot(AdminCommand, tag="admin.bot.remove"):
    """Remove a bot: its sessions end at once on all nodes, and it is erased as a user is. It cannot be undone."""

    bot: Id


@admin_command(RemoveBot, result=Ok, refuses=("not_found",), uncancellable=True)
async def remove_bot(ctx: Ctx, cmd: RemoveBot) -> Effects:
    """`not_found`: there is no such bot."""
    return [*await management.remove_bot(ctx, cmd.bot), Reply(Ok())]


class RotateBotToken(AdminCommand, tag="admin.bot.token"):
    """Give a bot a new token. The present one remains valid for `overlap` seconds; with 0 its sessions end at once.

    Without `lasts` the new token does not expire.
    """

    bot: Id
    overlap: Overlap = DAY_S
    lasts: Lasts | None = None


@admin_command(RotateBotToken, result=BotTokenIssued, refuses=("not_found",), uncancellable=True)
async def rotate_bot_token(ctx: Ctx, cmd: RotateBotToken) -> Effects:
    """`not_found`: there is no such bot."""
    return await management.issue_token(ctx, cmd.bot, cmd.overlap, cmd.lasts)


class RevokeBotToken(AdminCommand, tag="admin.bot.revoke"):
    """Revoke the token of a bot. Its sessions end at once on all nodes."""

    bot: Id


@admin_command(RevokeBotToken, result=Ok, refuses=("not_found",), uncancellable=True)
async def revoke_bot_token(ctx: Ctx, cmd: RevokeBotToken) -> Effects:
    """`not_found`: there is no such bot, or its token was revoked before."""
    return [*await management.revoke_token(ctx, cmd.bot), Reply(Ok())]

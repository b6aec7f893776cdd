"""What admins and backends do with bots: the same acts, under `admin.bot.*` and `server.bot.*`."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from chatd.accounts.bot_tokens import MAX_OVERLAP_S
from chatd.accounts.signals import ProfileChanged
from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, CloseSessions, Effect, Reply, SendSignal
from chatd.bots import accounts
from chatd.bots.accounts import Profile, Reads, tools_of
from chatd.conversations.messages.attachments import is_web_url
from chatd.core.errors import Refused
from chatd.db.postgres import UniqueViolation
from chatd.people import handles
from chatd.webhooks.directory import EndpointsChanged
from chatd.wire.base import Command, Id, Millis, Result
from chatd.wire.reference.examples import Example
from chatd.wire.texts import KEY, NAME, PRIVATE, PROSE

HandleText = Annotated[str, Meta(min_length=1, max_length=64, extra=KEY)]
BotName = Annotated[str, Meta(min_length=1, max_length=100, extra=NAME)]
BotDescription = Annotated[str, Meta(max_length=500, extra=PROSE)]
PictureUrl = Annotated[str, Meta(max_length=2048, extra=PRIVATE)]
WebhookUrl = Annotated[str, Meta(max_length=2000, extra=PRIVATE, description="https://, or empty")]
Overlap = Annotated[int, Meta(ge=0, le=MAX_OVERLAP_S, description="Seconds")]
TOKEN, SECRET, URL = "chatd_bt_...", "whsec_...", "https://example.org/bot"
DAY_S = 86_400


class BotToken(Struct, kw_only=True, frozen=True):
    """The state of the token of a bot. `last_used_at` is exact to a minute. `previous_until`: the end of the secret
    before a rotation.
    """

    issued_at: Millis
    expires_at: Millis | None
    revoked_at: Millis | None
    last_used_at: Millis | None
    previous_until: Millis | None


class BotWebhook(Struct, kw_only=True, frozen=True):
    """The webhook endpoint of a bot. `endpoint`: for the commands on webhooks, which show its queue."""

    endpoint: Id
    url: str
    disabled_at: Millis | None
    disabled_reason: str | None
    failing_since: Millis | None
    EXAMPLE: ClassVar = Example(url=URL)


class BotAccount(Struct, kw_only=True, frozen=True):
    """A bot. `reads`: what it receives in groups. `commands`: how many it has declared."""

    id: Id
    handle: str
    name: str
    description: str
    picture_url: str | None
    avatar: Id | None
    reads: Reads
    added_by: str
    created_at: Millis
    deactivated_at: Millis | None
    commands: int
    token: BotToken | None
    webhook: BotWebhook | None
    EXAMPLE: ClassVar = Example(
        handle="weather", name="Weather", description="Answers with the weather.", reads="commands", commands=1
    )


class BotAdded(Result, tag="bot.added"):
    """The new bot. `token` and `webhook_secret` are shown this once; the latter is null without a webhook."""

    bot: BotAccount
    token: str
    webhook_secret: str | None
    EXAMPLE: ClassVar = Example(token=TOKEN, webhook_secret=SECRET)


class BotList(Result, tag="bot.list"):
    """All bots of the tenant."""

    items: list[BotAccount]


class BotResult(Result, tag="bot"):
    """The bot as it is now. `webhook_secret`: of a webhook that is new; shown this once."""

    bot: BotAccount
    webhook_secret: str | None = None
    EXAMPLE: ClassVar = Example(webhook_secret=SECRET)


class BotTokenIssued(Result, tag="bot.token"):
    """The new token of a bot. It is shown this once."""

    token: str
    EXAMPLE: ClassVar = Example(token=TOKEN)


def account_of(row: dict[str, Any]) -> BotAccount:
    token = webhook = None
    if row["issued_at"] is not None:
        token = BotToken(**{name: row[name] for name in BotToken.__struct_fields__})
    if row["endpoint"] is not None:
        webhook = BotWebhook(**{name: row[name] for name in BotWebhook.__struct_fields__})
    own = {name: row[name] for name in BotAccount.__struct_fields__ if name not in ("token", "webhook")}
    return BotAccount(**own, token=token, webhook=webhook)


def check_picture(url: str | None) -> None:
    """Raises Refused: `bad_request`."""
    if url and not is_web_url(url):
        raise Refused("bad_request", "$.picture_url: expected an http or https address")


def profile_of(cmd: Command) -> Profile:
    """What a command that adds or changes a bot has given."""
    return Profile(**{name: getattr(cmd, name) for name in Profile.__struct_fields__})


def end_of(ctx: Ctx, lasts_s: int | None) -> int | None:
    return None if lasts_s is None else ctx.now + lasts_s * 1000


def closed(bot: str, credentials: Sequence[str]) -> list[Effect]:
    """Close the sessions of tokens that have ended."""
    return [CloseSessions(bot, "logged_out", credential=one) for one in credentials]


async def add_bot(ctx: Ctx, given: Profile, lasts_s: int | None) -> list[Effect]:
    check_picture(given.picture_url)
    try:
        added = await ctx.node.db.in_transaction(
            accounts.add, tools_of(ctx.node), ctx.actor, given, end_of(ctx, lasts_s)
        )
    except UniqueViolation:
        raise handles.taken() from None
    bot = account_of(await accounts.get(ctx.node.db, ctx.tenant, added.id))
    changed = [Broadcast(EndpointsChanged())] if given.webhook else []
    return [*changed, Reply(BotAdded(bot=bot, token=added.token, webhook_secret=added.webhook_secret))]


async def list_bots(ctx: Ctx) -> list[Effect]:
    return [Reply(BotList(items=[account_of(row) for row in await accounts.every(ctx.node.db, ctx.tenant)]))]


async def update_bot(ctx: Ctx, bot: str, given: Profile) -> list[Effect]:
    check_picture(given.picture_url)
    try:
        secret = await ctx.node.db.in_transaction(accounts.update, tools_of(ctx.node), ctx.actor, bot, given)
    except UniqueViolation:
        raise handles.taken() from None
    shown = account_of(await accounts.get(ctx.node.db, ctx.tenant, bot))
    changed: list[Effect] = []
    if any(one is not None for one in (given.handle, given.name, given.picture_url)):
        changed.append(SendSignal(ProfileChanged(ctx.tenant, bot)))
    if given.webhook is not None:
        changed.append(Broadcast(EndpointsChanged()))
    return [*changed, Reply(BotResult(bot=shown, webhook_secret=secret))]


async def remove_bot(ctx: Ctx, bot: str) -> list[Effect]:
    """The effects that end its sessions; the caller answers."""
    await ctx.node.db.in_transaction(accounts.remove, tools_of(ctx.node), ctx.actor, bot)
    return [CloseSessions(bot, "logged_out"), Broadcast(EndpointsChanged())]


async def issue_token(ctx: Ctx, bot: str, overlap_s: int, lasts_s: int | None) -> list[Effect]:
    new = await ctx.node.db.in_transaction(accounts.issue, ctx.actor, bot, overlap_s, end_of(ctx, lasts_s))
    return [*closed(bot, new.ended), Reply(BotTokenIssued(token=new.secret))]


async def revoke_token(ctx: Ctx, bot: str) -> list[Effect]:
    """The effects that end its sessions; the caller answers."""
    return closed(bot, await ctx.node.db.in_transaction(accounts.revoke, ctx.actor, bot))

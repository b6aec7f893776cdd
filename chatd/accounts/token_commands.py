"""Admin commands for service tokens."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, convert

from chatd.accounts import service_tokens
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import admin_command
from chatd.wire.admin import AdminCommand, Lasts, TenantName
from chatd.wire.base import Id, Millis, Ok, Result
from chatd.wire.reference.examples import Example
from chatd.wire.server import SCOPES, Scope

TokenName = TenantName
Overlap = Annotated[int, Meta(ge=0, le=service_tokens.MAX_OVERLAP_S, description="Seconds")]
DAY_S = 86_400


class AddToken(AdminCommand, tag="admin.token.add"):
    """Make a service token for the backend of an app. Without `lasts` it does not expire."""

    name: TokenName
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(SCOPES))]
    lasts: Lasts | None = None
    EXAMPLE: ClassVar = Example(name="shop", scopes=["users:write", "read"])


class TokenAdded(Result, tag="admin.token.added"):
    """The token. `secret` is shown this once."""

    token: Id
    secret: str
    EXAMPLE: ClassVar = Example(secret="chatd_st_...")  # noqa: S106


@admin_command(AddToken, result=TokenAdded, refuses=("conflict", "too_large"))
async def add_token(ctx: Ctx, cmd: AddToken) -> Effects:
    """`conflict`: a valid token has this name. `too_large`: the tenant has 100 tokens."""
    until = None if cmd.lasts is None else ctx.now + cmd.lasts * 1000
    added = await ctx.node.db.in_transaction(service_tokens.add, ctx.actor, cmd.name, cmd.scopes, until)
    return [Reply(TokenAdded(token=added.id, secret=added.secret))]


class ListTokens(AdminCommand, tag="admin.tokens"):
    """List the service tokens of a tenant, newest first, without their secrets."""


class ServiceToken(Struct, kw_only=True, frozen=True):
    """A service token. `last_used_at` is exact to a minute. `previous_until`: the end of the secret before a rotation.

    Revoked and expired tokens are listed for 90 days.
    """

    id: Id
    name: str
    scopes: list[str]
    created_at: Millis
    actor: str
    expires_at: Millis | None
    revoked_at: Millis | None
    last_used_at: Millis | None
    previous_until: Millis | None
    EXAMPLE: ClassVar = Example(name="shop", scopes=["users:write", "read"])


class ServiceTokenList(Result, tag="admin.token.list"):
    """All service tokens of the tenant."""

    items: list[ServiceToken]


@admin_command(ListTokens, result=ServiceTokenList, role="viewer")
async def list_tokens(ctx: Ctx, cmd: ListTokens) -> Effects:
    rows = await service_tokens.listed(ctx.node.db, ctx.tenant)
    return [Reply(ServiceTokenList(items=convert(rows, list[ServiceToken])))]


class RevokeToken(AdminCommand, tag="admin.token.revoke"):
    """Revoke a service token, at once and on all nodes."""

    token: Id


@admin_command(RevokeToken, result=Ok, refuses=("not_found",))
async def revoke_token(ctx: Ctx, cmd: RevokeToken) -> Effects:
    """`not_found`: there is no such token, or it was revoked before."""
    await ctx.node.db.in_transaction(service_tokens.revoke, ctx.actor, cmd.token)
    return [Reply(Ok())]


class RotateServiceToken(AdminCommand, tag="admin.token.rotate"):
    """Give a service token a new secret. The present secret remains valid for `overlap` seconds."""

    token: Id
    overlap: Overlap = DAY_S


@admin_command(RotateServiceToken, result=TokenAdded, refuses=("not_found",))
async def rotate_service_token(ctx: Ctx, cmd: RotateServiceToken) -> Effects:
    """`not_found`: there is no such token, or it is revoked or expired."""
    new = await ctx.node.db.in_transaction(service_tokens.rotate, ctx.actor, cmd.token, cmd.overlap)
    return [Reply(TokenAdded(token=new.id, secret=new.secret))]

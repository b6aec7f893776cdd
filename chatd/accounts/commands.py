"""Anonymous sign-up, refresh of tokens, connection tickets, and logout.

A login is the family of refresh tokens that descend from one sign-up, of which only the newest works, see
`refresh_tokens.py`. Refresh tokens and tickets are stored as hashes.
"""

import hashlib
import secrets
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from chatd.accounts import bans
from chatd.accounts.authentication import SignIn
from chatd.accounts.keys import Keyring
from chatd.accounts.logins import (
    Login,
    LoginAdded,
    LoginEnded,
    LoginName,
    Platform,
    ended_effects,
    network_of,
)
from chatd.accounts.refresh_tokens import RotationRules, RotationState, first_token, rotate, successor_key
from chatd.accounts.settings import AccountLimits, AuthSettings
from chatd.accounts.signals import ProfileChanged
from chatd.accounts.token_rules import DEFAULT_TENANT, MAX_TOKEN_BYTES
from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effects, Refuse, Renew, Reply, SendSignal, ToUser
from chatd.app.registry import Guard, command
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.secrets import digest
from chatd.db import queries
from chatd.db.batches import BATCH_SIZE, delete_all
from chatd.db.postgres import Postgres, Tx
from chatd.wire.admin import TenantName
from chatd.wire.base import Command, Id, Millis, Name, Ok, Result
from chatd.wire.reference.examples import ALICE, Example
from chatd.wire.texts import PRIVATE

SQL = queries.load("accounts/auth")
TICKET_BYTES = 24
# Logins that have ended, or whose tokens have all expired, can be looked up by operators for 30 days.
KEEP_LOGINS_MS = 30 * 86_400_000
Secret = Annotated[str, Meta(min_length=16, max_length=200, extra=PRIVATE)]
Opaque = Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_BYTES, extra=PRIVATE)]


class SignUp(Command, tag="auth.anonymous"):
    """Sign up anonymously. `device`: a random secret that the client stores; signing up with it again returns the same
    user.

    The user sees `login_name` and `platform` in `login.list`: what the device is called, and its system, such as `ios`,
    `android`, `web` or `windows`.
    """

    tenant: TenantName = DEFAULT_TENANT
    name: Name | None = None
    device: Secret | None = None
    login_name: LoginName | None = None
    platform: Platform | None = None
    EXAMPLE: ClassVar = Example(name="Alice")


class RotateToken(Command, tag="auth.rotate"):
    """Exchange a refresh token for a new pair of tokens. Each refresh token works once.

    Presenting a used one again within `auth.refresh_grace` returns the refresh token that followed it, so that a client
    may retry after a lost answer; later it revokes the login.
    """

    refresh_token: Opaque


class Tokens(Result, tag="auth.tokens"):
    """A pair of tokens.

    `access_token` authenticates requests and connections for `expires_in` seconds; `refresh_token` can be exchanged
    once for the next pair.
    """

    user: Id
    access_token: str
    refresh_token: str
    expires_in: int
    EXAMPLE: ClassVar = Example(user=ALICE)


@command(
    SignUp,
    result=Tokens,
    guard=Guard.NOTHING,
    refuses=("forbidden", "not_found"),
    http="POST /v1/auth/anonymous",
    socket=False,
)
async def sign_up(ctx: Ctx, cmd: SignUp) -> Effects:
    """`forbidden`: sign-up is off, or left to an identity provider. `not_found`: there is no such tenant."""
    node, tenant = ctx.node, cmd.tenant
    node.get(SignIn).signup_limiter.check(ctx.address)
    if not node.config.get(AuthSettings).anonymous:
        raise Refused("forbidden", "anonymous sign-up is disabled")
    if tenant not in node.get(Keyring).tenants:
        raise Refused("not_found", "$.tenant: no such tenant")
    node.get(Keyring).check_mints(tenant)
    key = device_key(tenant, cmd.device) if cmd.device else None
    await bans.check_signup(node.db, node.config, tenant, key, ctx.address, ctx.now)
    login, refresh = uuid7(ctx.now), first_token()
    new_user = uuid7(ctx.now)
    seen = Login(login, cmd.login_name, cmd.platform, ctx.now, ctx.now, network_of(ctx.address))
    shown = (seen.name, seen.platform, seen.address)
    values = (tenant, new_user, cmd.name, key, ctx.now, login, digest(refresh), refresh_end(ctx), *shown)
    if key is None:
        row = await node.db.one(SQL.sign_up, *values)
        assert row is not None
        added = DeviceLogin(row["user"], row["is_renamed"], [])
    else:
        added = await node.db.in_transaction(add_device_login, ctx, *values)
    reply = Reply(tokens_of(ctx, tenant, added.user, login, refresh))
    if added.user == new_user:
        return [reply]
    renamed = [SendSignal(ProfileChanged(tenant, added.user))] if added.is_renamed else []
    ended = ended_effects(tenant, added.user, added.ended)
    return [*ended, *renamed, reply, ToUser(added.user, LoginAdded(seen), tenant=tenant)]


class DeviceLogin(Struct, frozen=True):
    """A new login of a user, and the oldest logins, which end because a user has at most `limits.logins_per_user`.
    `is_renamed`: the user has another name now.
    """

    user: str
    is_renamed: bool
    ended: list[str]


async def add_device_login(tx: Tx, ctx: Ctx, tenant: str, *values: Any) -> DeviceLogin:
    """Add a login for the user of the device, and end the oldest logins beyond the limit."""
    row = await tx.one(SQL.sign_up, tenant, *values)
    assert row is not None
    return DeviceLogin(row["user"], row["is_renamed"], await limit_logins(tx, ctx, tenant, row["user"]))


async def add_login(
    tx: Tx, ctx: Ctx, tenant: str, user: str, login: str, refresh_hash: bytes, refresh_ends: int
) -> list[str]:
    """Add a login of an existing user. Returns the oldest logins, which end because a user has at most
    `limits.logins_per_user`.
    """
    await tx.run(SQL.add_login, tenant, user, login, ctx.now, refresh_hash, refresh_ends)
    return await limit_logins(tx, ctx, tenant, user)


async def limit_logins(tx: Tx, ctx: Ctx, tenant: str, user: str) -> list[str]:
    """End the oldest logins beyond the limit. Returns their ids."""
    rows = await tx.all(SQL.limit_logins, tenant, user, ctx.node.config.get(AccountLimits).logins_per_user, ctx.now)
    return [row["id"] for row in rows]


def device_key(tenant: str, device: str) -> bytes:
    return hashlib.sha256(f"{tenant}\x00{device}".encode()).digest()


def refresh_end(ctx: Ctx) -> int:
    """The expiry of a refresh token that is issued now, in milliseconds."""
    return ctx.now + int(ctx.node.config.get(AuthSettings).refresh_ttl * 1000)


def tokens_of(ctx: Ctx, tenant: str, user: str, login: str, refresh: str) -> Tokens:
    """The tokens of a login whose refresh token is stored."""
    access, expires_at = ctx.node.get(Keyring).mint(tenant, user, login, ctx.now)
    return Tokens(user=user, access_token=access, refresh_token=refresh, expires_in=(expires_at - ctx.now) // 1000)


@command(
    RotateToken,
    result=Tokens,
    guard=Guard.NOTHING,
    refuses=("unauthenticated",),
    http="POST /v1/auth/refresh",
    socket=False,
)
async def rotate_token(ctx: Ctx, cmd: RotateToken) -> Effects:
    """`unauthenticated`: the token is unknown, expired or used, or its login has ended."""
    node = ctx.node
    node.get(SignIn).check_failures(ctx.address)
    done = await rotate(node.db, cmd.refresh_token, ctx.now, rotation_rules(ctx))
    if done.state in (RotationState.ROTATED, RotationState.REPEATED):
        return [Reply(tokens_of(ctx, done.tenant, done.user, done.login, done.token))]
    if done.state is RotationState.TOO_OFTEN:
        raise Refused("rate_limited", "this login refreshes its tokens too often", retry_after=60)
    node.get(SignIn).note_failure(ctx.address)
    refused = Refused("unauthenticated", "the refresh token is unknown, expired or used")
    if done.state is not RotationState.REUSED:
        raise refused
    return [*ended_effects(done.tenant, done.user, [done.login]), Refuse(refused)]


def rotation_rules(ctx: Ctx) -> RotationRules:
    config = ctx.node.config
    auth = config.get(AuthSettings)
    return RotationRules(
        key=successor_key(config),
        ttl_ms=int(auth.refresh_ttl * 1000),
        grace_ms=int(auth.refresh_grace * 1000),
        per_hour=config.get(AccountLimits).rotations_per_hour,
        tenants=ctx.node.get(Keyring).minting_tenants(),
        network=network_of(ctx.address),
    )


class RefreshAuth(Command, tag="auth.refresh"):
    """Renew the authentication of this connection with a new access token of the same user."""

    token: Opaque


class AuthRefreshed(Result, tag="auth.refreshed"):
    """The connection is authenticated until `expires_at`."""

    expires_at: Millis


@command(
    RefreshAuth,
    result=AuthRefreshed,
    refuses=("unauthenticated", "forbidden", "not_found"),
    http="PUT /v1/auth/session",
    of_session=True,
)
async def refresh_auth(ctx: Ctx, cmd: RefreshAuth) -> Effects:
    """`forbidden`: the token belongs to another user. `not_found`: the session of the request has ended."""
    fresh = await ctx.node.get(SignIn).principal(ctx.address, token=cmd.token, now=ctx.now)
    if (fresh.tenant, fresh.user) != (ctx.tenant, ctx.user):
        raise Refused("forbidden", "$.token: belongs to another user")
    await ctx.node.get(SignIn).check(fresh, ctx.address, ctx.now)
    return [Renew(fresh), Reply(AuthRefreshed(expires_at=fresh.expires_at))]


class MakeTicket(Command, tag="auth.ticket"):
    """Get a ticket that opens one connection as this user within seconds, for browsers, which cannot send headers."""


class Ticket(Result, tag="auth.ticket"):
    """Connect once with `?ticket=` within `expires_in` seconds."""

    ticket: str
    expires_in: int
    EXAMPLE: ClassVar = Example(expires_in=30)


@command(MakeTicket, result=Ticket, http="POST /v1/auth/ticket")
async def make_ticket(ctx: Ctx, cmd: MakeTicket) -> Effects:
    me, ttl = ctx.me, ctx.node.config.get(AuthSettings).ticket_ttl
    ticket = f"ct_{secrets.token_urlsafe(TICKET_BYTES)}"
    ends = ctx.now + int(ttl * 1000)
    claims = (me.tenant, me.user, me.token_id, me.login, me.scope, me.external_id, me.expires_at)
    await ctx.node.db.run(SQL.add_ticket, digest(ticket), *claims, ends)
    return [Reply(Ticket(ticket=ticket, expires_in=int(ttl)))]


class Logout(Command, tag="auth.logout"):
    """End this login and close its connections; with `everywhere`, all logins and connections of the user.

    An access token of an identity provider has no login: the token itself is revoked, and the connections that use it
    are closed. Other devices of the user get `login.ended`.
    """

    everywhere: bool = False


@command(Logout, result=Ok, http="POST /v1/auth/logout", uncancellable=True)
async def logout(ctx: Ctx, cmd: Logout) -> Effects:
    me = ctx.me
    login = None if cmd.everywhere else me.login or None
    token = (me.token_id, me.expires_at)
    rows = await ctx.node.db.all(SQL.log_out, me.tenant, me.user, login, cmd.everywhere, ctx.now, *token)
    closes = CloseSessions(me.user, "logged_out", credential=None if cmd.everywhere else me.credential)
    told = [] if cmd.everywhere else [ToUser(me.user, LoginEnded([row["id"]])) for row in rows]
    return [Reply(Ok()), closes, *told]


async def sweep(db: Postgres, now: int, leeway: float, *, batch_size: int = BATCH_SIZE) -> None:
    """Delete everything that has expired.

    Revoked tokens are kept for `leeway` seconds after their expiry, because they would be accepted until then.
    """
    await delete_all(db, SQL.sweep_refresh_tokens, now, batch_size=batch_size)
    await delete_all(db, SQL.sweep_revoked_tokens, now - round(leeway * 1000), batch_size=batch_size)
    await delete_all(db, SQL.sweep_tickets, now, batch_size=batch_size)
    await delete_all(db, SQL.sweep_logins, now - KEEP_LOGINS_MS, batch_size=batch_size)

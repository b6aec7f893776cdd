"""Signing up without a password, keeping the tokens fresh, and logging out.

A login is everything one sign-up or sign-in led to: a family of refresh tokens, of which only the newest works. Using an older
one means that somebody has a copy, and nobody can say who: the whole login ends. Refresh tokens and tickets are kept as hashes.
"""

import hashlib
import secrets
from typing import Annotated

from msgspec import Meta

from chatd.domain.tokens import DEFAULT_TENANT, TENANT
from chatd.errors import Refused
from chatd.ids import uuid7
from chatd.node import bans
from chatd.node.context import Ctx
from chatd.node.effects import CloseSessions, Effects, Renew, Reply
from chatd.node.registry import Needs, command
from chatd.node.sign_in import digest
from chatd.store import queries
from chatd.store.postgres import Postgres
from chatd.wire.messages import Command, Id, Millis, Name, Ok, Result
from chatd.wire.texts import PRIVATE

SQL = queries.load("auth")
Secret = Annotated[str, Meta(min_length=16, max_length=200, extra=PRIVATE)]
Opaque = Annotated[str, Meta(min_length=1, max_length=4096, extra=PRIVATE)]


class SignUp(Command, tag="auth.anonymous"):
    """Become somebody with nothing but a device. The same `device` (a random secret that it keeps) is the same user again."""

    tenant: Annotated[str, Meta(pattern=f"^{TENANT.pattern}$")] = DEFAULT_TENANT
    name: Name | None = None
    device: Secret | None = None


class RotateToken(Command, tag="auth.rotate"):
    """Exchange a refresh token for a new pair. It works once; a second time ends the login."""

    refresh_token: Opaque


class Tokens(Result, tag="auth.tokens"):
    """`access_token` is for requests and sockets, for `expires_in` seconds; `refresh_token` is for the next pair, once."""

    user: Id
    access_token: str
    refresh_token: str
    expires_in: int


@command(
    SignUp,
    result=Tokens,
    needs=Needs.NOTHING,
    refuses=("forbidden", "not_found"),
    http="POST /v1/auth/anonymous",
    socket=False,
)
async def sign_up(ctx: Ctx, cmd: SignUp) -> Effects:
    """Refused `forbidden` where it is switched off, `not_found` for an unknown tenant."""
    ctx.node.sign_ups.check(ctx.address)
    if not ctx.node.config.auth.anonymous:
        raise Refused("forbidden", "anonymous sign-up is switched off")
    if cmd.tenant not in ctx.node.keys.tenants:
        raise Refused("not_found", "$.tenant: no such tenant")
    key = device_key(cmd.tenant, cmd.device) if cmd.device else None
    await bans.check_arrival(ctx.node.db, ctx.node.config, cmd.tenant, key, ctx.address, ctx.now)
    user = await ctx.node.db.value(SQL.sign_up, cmd.tenant, uuid7(ctx.now), cmd.name, key, ctx.now)
    login = uuid7(ctx.now)
    await ctx.node.db.run(SQL.begin_login, cmd.tenant, login, user, ctx.now)
    return [Reply(await issue(ctx, cmd.tenant, user, login))]


def device_key(tenant: str, device: str) -> bytes:
    return hashlib.sha256(f"{tenant}\x00{device}".encode()).digest()


async def issue(ctx: Ctx, tenant: str, user: str, login: str) -> Tokens:
    """A new pair for a login."""
    access, expires_at = ctx.node.keys.mint(tenant, user, login, ctx.now)
    refresh = f"cr_{secrets.token_urlsafe(32)}"
    ends = ctx.now + int(ctx.node.config.auth.refresh_ttl * 1000)
    await ctx.node.db.run(SQL.add_refresh_token, digest(refresh), tenant, login, ends)
    return Tokens(user=user, access_token=access, refresh_token=refresh, expires_in=(expires_at - ctx.now) // 1000)


@command(
    RotateToken,
    result=Tokens,
    needs=Needs.NOTHING,
    refuses=("unauthenticated",),
    http="POST /v1/auth/refresh",
    socket=False,
)
async def rotate_token(ctx: Ctx, cmd: RotateToken) -> Effects:
    """Refused `unauthenticated` for a token that is unknown, expired, used before, or of a login that has ended."""
    hash_ = digest(cmd.refresh_token)
    row = await ctx.node.db.one(SQL.use_refresh_token, hash_, ctx.now)
    if row is not None:
        return [Reply(await issue(ctx, row["tenant"], row["user"], row["login"]))]
    ctx.node.sign_ups.check(ctx.address)
    await end_stolen_login(ctx, hash_)
    raise Refused("unauthenticated", "the refresh token is not valid (any more)")


async def end_stolen_login(ctx: Ctx, hash_: bytes) -> None:
    """A token that was used before ends its login, wherever that is open."""
    row = await ctx.node.db.one(SQL.end_login_of_used_token, hash_, ctx.now)
    if row is not None:
        ctx.node.cluster.close_sessions(row["tenant"], row["user"], "logged_out", login=row["login"])


class RefreshAuth(Command, tag="auth.refresh"):
    """Show a fresh access token of the same user on an open socket, which then lives on."""

    token: Opaque


class AuthRefreshed(Result, tag="auth.refreshed"):
    """The socket is good until `expires_at`."""

    expires_at: Millis


@command(RefreshAuth, result=AuthRefreshed, refuses=("unauthenticated", "forbidden"))
async def refresh_auth(ctx: Ctx, cmd: RefreshAuth) -> Effects:
    """Refused `forbidden` for a token of somebody else."""
    fresh = await ctx.node.sign_in.principal(ctx.address, token=cmd.token, now=ctx.now)
    if (fresh.tenant, fresh.user) != (ctx.tenant, ctx.user):
        raise Refused("forbidden", "$.token: of another user")
    await ctx.node.sign_in.check(fresh, ctx.address, ctx.now)
    return [Renew(fresh), Reply(AuthRefreshed(expires_at=fresh.expires_at))]


class MakeTicket(Command, tag="auth.ticket"):
    """A ticket opens one connection as this user, within seconds: for browsers, which cannot send headers."""


class Ticket(Result, tag="auth.ticket"):
    """Connect with `?ticket=`, once, within `expires_in` seconds."""

    ticket: str
    expires_in: int


@command(MakeTicket, result=Ticket, http="POST /v1/auth/ticket")
async def make_ticket(ctx: Ctx, cmd: MakeTicket) -> Effects:
    me, ttl = ctx.me, ctx.node.config.auth.ticket_ttl
    ticket = f"ct_{secrets.token_urlsafe(24)}"
    ends = ctx.now + int(ttl * 1000)
    claims = (me.tenant, me.user, me.token_id, me.login, me.scope, me.expires_at)
    await ctx.node.db.run(SQL.add_ticket, digest(ticket), *claims, ends)
    return [Reply(Ticket(ticket=ticket, expires_in=int(ttl)))]


class Logout(Command, tag="auth.logout"):
    """End this login and close its sockets; with `everywhere`, all logins and all sockets of this user."""

    everywhere: bool = False


@command(Logout, result=Ok, http="POST /v1/auth/logout", lasting=True)
async def logout(ctx: Ctx, cmd: Logout) -> Effects:
    me = ctx.me
    login = None if cmd.everywhere else me.login or None
    await ctx.node.db.run(SQL.revoke_token, me.tenant, me.token_id, me.expires_at)
    await ctx.node.db.run(SQL.end_logins, me.tenant, me.user, login, cmd.everywhere, ctx.now)
    return [Reply(Ok()), CloseSessions(me.user, "logged_out", login=None if cmd.everywhere else me.login)]


# Logins that ended, or whose tokens have all expired, are kept this long for questions. Milliseconds.
KEEP_LOGINS = 30 * 86_400_000


async def sweep(db: Postgres, now: int) -> None:
    """Forget what has expired."""
    await db.run(SQL.sweep, now, now - KEEP_LOGINS)

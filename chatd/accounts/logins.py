"""The logins of a user: what they are called, when they were used last, and how they end.

An ended login ends its refresh tokens, its access tokens and its connections. The other devices of the user get an
event for each change; a client that was away gets the list.
"""

from ipaddress import ip_network
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effect, Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.core.addresses import parse
from chatd.core.errors import Refused
from chatd.core.ids import PYTHON_END
from chatd.db import queries
from chatd.db.postgres import Database, Tx
from chatd.wire.base import Command, Event, Id, Millis, Ok, Result
from chatd.wire.reference.examples import Example
from chatd.wire.texts import PRIVATE

SQL = queries.load("accounts/logins")
# Bits of the network that is stored of an address.
NETWORK_BITS = {4: 24, 6: 48}
MAX_LISTED = 200
LoginName = Annotated[str, Meta(min_length=1, max_length=100, extra=PRIVATE)]
Platform = Annotated[
    str, Meta(pattern=f"^[a-z0-9][a-z0-9._-]{{0,31}}{PYTHON_END}", description="1 to 32 of a-z, 0-9, `.`, `_`, `-`")
]


class Login(Struct):
    """A login of the user.

    `platform` as the client named it. `last_seen`: when its tokens were refreshed last; for a session at an identity
    provider the last sign-in, to the hour. `address`: the network that it was used from, an IPv4 /24 or an IPv6 /48;
    null if it is unknown.
    """

    id: Id
    name: str | None
    platform: str | None
    created_at: Millis
    last_seen: Millis
    address: str | None


class ListLogins(Command, tag="login.list"):
    """List your logins, the one that was used last first. At most 200 are listed."""


class Logins(Result, tag="logins"):
    """The logins of the user that have not ended.

    `current`: the login of this request or connection; null for a token that belongs to none.
    """

    items: list[Login]
    current: Id | None
    EXAMPLE: ClassVar = Example(current=None)


class RenameLogin(Command, tag="login.rename"):
    """Give one of your logins a name. Your other devices get `login.updated`."""

    login: Id
    name: LoginName


class LoginState(Result, tag="login"):
    """A login after a change."""

    login: Login


class EndLogin(Command, tag="login.end"):
    """End one of your logins, and close its connections with 4404. Your other devices get `login.ended`.

    Its tokens stop working at once.
    """

    login: Id


class EndOtherLogins(Command, tag="login.end_others"):
    """End all your logins except the current one, and close their connections with 4404.

    Tokens of an identity provider belong to a login only with `auth.session_claim`. Others end at the provider, or with
    `auth.logout`.
    """


class EndedLogins(Result, tag="logins.ended"):
    """The ids of the logins that have ended now."""

    logins: list[Id]


class LoginAdded(Event, tag="login.added"):
    """The user has signed in with another device, or once more."""

    login: Login


class LoginUpdated(Event, tag="login.updated"):
    """A login of the user has another name."""

    login: Login


class LoginEnded(Event, tag="login.ended"):
    """Logins of the user have ended, by a command of the user or of an admin, or because a stolen refresh token was
    used.
    """

    logins: list[Id]


async def logins_of(db: Database, tenant: str, user: str) -> list[dict[str, Any]]:
    """The logins of a user that have not ended, as the fields of `Login`, the last used one first."""
    return [dict(row) for row in await db.all(SQL.page, tenant, user, MAX_LISTED)]


async def end_for_operator(tx: Tx, actor: AuditActor, user: str, login: str) -> None:
    """End a login of a user, by an admin or an operator. Raises Refused: `not_found`."""
    if await tx.value(SQL.end, actor.tenant, user, login, actor.now) is None:
        raise Refused("not_found", "the user has no such login")
    await audit_log.write(tx, actor, "user.login.end", user, {"login": login})


@command(ListLogins, result=Logins, http="GET /v1/logins")
async def list_logins(ctx: Ctx, cmd: ListLogins) -> Effects:
    rows = await logins_of(ctx.node.db, ctx.tenant, ctx.user)
    return [Reply(Logins(items=[Login(**row) for row in rows], current=ctx.me.login or None))]


@command(RenameLogin, result=LoginState, refuses=("not_found",), http="PATCH /v1/logins/{login}")
async def rename_login(ctx: Ctx, cmd: RenameLogin) -> Effects:
    """`not_found`: you have no such login, or it has ended."""
    row = await ctx.node.db.one(SQL.rename, ctx.tenant, ctx.user, cmd.login, cmd.name)
    if row is None:
        raise no_such_login()
    login = Login(**row)
    return [Reply(LoginState(login)), ToUser(ctx.user, LoginUpdated(login), exclude_session=ctx.origin)]


@command(EndLogin, result=Ok, refuses=("not_found",), http="DELETE /v1/logins/{login}", uncancellable=True)
async def end_login(ctx: Ctx, cmd: EndLogin) -> Effects:
    """`not_found`: you have no such login, or it has ended."""
    ended = await ctx.node.db.value(SQL.end, ctx.tenant, ctx.user, cmd.login, ctx.now)
    if ended is None:
        raise no_such_login()
    return [Reply(Ok()), *ended_effects(ctx.tenant, ctx.user, [ended], ctx.origin)]


@command(EndOtherLogins, result=EndedLogins, http="POST /v1/logins/end-others", uncancellable=True)
async def end_other_logins(ctx: Ctx, cmd: EndOtherLogins) -> Effects:
    rows = await ctx.node.db.all(SQL.end_others, ctx.tenant, ctx.user, ctx.me.login or None, ctx.now)
    ended = [row["id"] for row in rows]
    return [Reply(EndedLogins(ended)), *ended_effects(ctx.tenant, ctx.user, ended, ctx.origin)]


def ended_effects(tenant: str, user: str, logins: list[str], session: str | None = None) -> list[Effect]:
    """Close the connections of logins that have ended, and inform the others of the user, except this session."""
    closes = [CloseSessions(user, "logged_out", login, tenant) for login in logins]
    told = [ToUser(user, LoginEnded(logins), exclude_session=session, tenant=tenant)] if logins else []
    return [*closes, *told]


def network_of(address: str) -> str | None:
    """The network that is stored of the address of a client: an IPv4 /24, an IPv6 /48. None for no address."""
    parsed = parse(address)
    if parsed is None:
        return None
    return str(ip_network((parsed, NETWORK_BITS[parsed.version]), strict=False))


def no_such_login() -> Refused:
    return Refused("not_found", "$.login: you have no such login")

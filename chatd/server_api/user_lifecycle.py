"""The life of a user's account: its tokens and logins, deactivation and erasure. Each act is in the audit log."""

from typing import ClassVar

from chatd.accounts.commands import Tokens, add_login, refresh_end, tokens_of
from chatd.accounts.keys import Keyring
from chatd.accounts.logins import Login, LoginAdded, ended_effects
from chatd.accounts.refresh_tokens import first_token
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effects, Reply, ToUser
from chatd.app.personal_data import AllPersonalData
from chatd.app.registry import server_command
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.secrets import digest
from chatd.db import queries
from chatd.db.postgres import Tx
from chatd.moderation import actions
from chatd.privacy import erasure
from chatd.server_api.users import ServerUserResult, user_of
from chatd.wire.base import Id, Ok, Result
from chatd.wire.reference.examples import BOB, Example
from chatd.wire.server import ServerCommand

SQL = queries.load("server_api/user_lifecycle")


class ServerDeactivateUser(ServerCommand, tag="server.user.deactivate"):
    """Deactivate a user: all logins end, connections are closed with 4404, and the user cannot sign in until
    `server.user.reactivate`. Messages and memberships stay.
    """

    user: Id


@server_command(
    ServerDeactivateUser,
    result=ServerUserResult,
    scope="users:write",
    refuses=("not_found",),
    http="POST /v1/server/users/{user}/deactivate",
    uncancellable=True,
)
async def deactivate(ctx: Ctx, cmd: ServerDeactivateUser) -> Effects:
    """`not_found`: there is no such user."""
    await ctx.node.db.in_transaction(set_deactivated, ctx.actor, cmd.user, True)
    user = await user_of(ctx, cmd.user)
    return [CloseSessions(cmd.user, "logged_out"), Reply(ServerUserResult(user=user, created=False))]


class ServerReactivateUser(ServerCommand, tag="server.user.reactivate"):
    """Let a deactivated user sign in again."""

    user: Id


@server_command(
    ServerReactivateUser,
    result=ServerUserResult,
    scope="users:write",
    refuses=("not_found",),
    http="POST /v1/server/users/{user}/reactivate",
    uncancellable=True,
)
async def reactivate(ctx: Ctx, cmd: ServerReactivateUser) -> Effects:
    """`not_found`: there is no such user."""
    await ctx.node.db.in_transaction(set_deactivated, ctx.actor, cmd.user, False)
    return [Reply(ServerUserResult(user=await user_of(ctx, cmd.user), created=False))]


async def set_deactivated(tx: Tx, actor: AuditActor, user: str, on: bool) -> None:
    """Raises Refused: `not_found`."""
    if await tx.value(SQL.set_deactivated, actor.tenant, user, actor.now if on else None) is None:
        raise Refused("not_found", "no such user")
    if on:
        await tx.run(SQL.end_logins, actor.tenant, user, actor.now)
    await audit_log.write(tx, actor, "user.deactivate" if on else "user.reactivate", user)


class ServerEraseUser(ServerCommand, tag="server.user.erase"):
    """Erase a user permanently, with all messages, uploads and settings. It cannot be undone; the id, and so the
    external id, is not used again.

    All logins end at once, and connections are closed with 4404. The data is removed within minutes.
    """

    user: Id


class ErasureStarted(Result, tag="server.user.erased"):
    """The erasure has started. `started`: false if the user had been erased before."""

    started: bool


@server_command(
    ServerEraseUser,
    result=ErasureStarted,
    scope="users:write",
    cost=10,
    refuses=("not_found",),
    http="DELETE /v1/server/users/{user}",
    uncancellable=True,
)
async def erase(ctx: Ctx, cmd: ServerEraseUser) -> Effects:
    """`not_found`: there is no such user."""
    started = await ctx.node.db.in_transaction(begin_erasure, ctx.node.get(AllPersonalData), ctx.actor, cmd.user)
    return [Reply(ErasureStarted(started=started)), CloseSessions(cmd.user, "logged_out")]


async def begin_erasure(tx: Tx, data: AllPersonalData, actor: AuditActor, user: str) -> bool:
    """Raises Refused: `not_found`."""
    return await erasure.begin(tx, data, actor.tenant, user, actor.name, actor.now)


class ServerIssueToken(ServerCommand, tag="server.user.token"):
    """Sign a user in, and get the tokens for the user's device. The refresh token renews them, as after a sign-up.

    Only for tenants whose tokens this server issues (HS256); with an identity provider, it issues them.
    """

    user: Id
    EXAMPLE: ClassVar = Example(user=BOB)


@server_command(
    ServerIssueToken,
    result=Tokens,
    scope="users:write",
    refuses=("not_found", "conflict"),
    http="POST /v1/server/users/{user}/tokens",
    uncancellable=True,
)
async def issue_token(ctx: Ctx, cmd: ServerIssueToken) -> Effects:
    """`not_found`: there is no such user. `conflict`: the user is deactivated, or a bot. `forbidden`: an identity
    provider issues the tokens of this tenant.
    """
    ctx.node.get(Keyring).check_mints(ctx.tenant)
    login, refresh = uuid7(ctx.now), first_token()
    ended = await ctx.node.db.in_transaction(add_audited_login, ctx, cmd.user, login, digest(refresh))
    added = LoginAdded(Login(login, None, None, ctx.now, ctx.now, None))
    told = [*ended_effects(ctx.tenant, cmd.user, ended), ToUser(cmd.user, added)]
    return [Reply(tokens_of(ctx, ctx.tenant, cmd.user, login, refresh)), *told]


async def add_audited_login(tx: Tx, ctx: Ctx, user: str, login: str, refresh_hash: bytes) -> list[str]:
    """Add a login. Returns the logins that end because of it. Raises Refused: `not_found`, `conflict`."""
    state = await tx.one(SQL.sign_in_state, ctx.tenant, user)
    if state is None:
        raise Refused("not_found", "no such user")
    if state["is_deactivated"]:
        raise Refused("conflict", "the user is deactivated")
    if state["is_bot"]:
        raise Refused("conflict", "a bot signs in with its own token, see server.bot.token")
    await audit_log.write(tx, ctx.actor, "user.token", user)
    return await add_login(tx, ctx, ctx.tenant, user, login, refresh_hash, refresh_end(ctx))


class ServerLogOutUser(ServerCommand, tag="server.user.logout"):
    """End all logins of a user, and close their connections with 4404. The user may sign in again.

    An access token of an identity provider that belongs to no login remains valid until it expires.
    """

    user: Id


@server_command(
    ServerLogOutUser,
    result=Ok,
    scope="users:write",
    refuses=("not_found",),
    http="POST /v1/server/users/{user}/logout",
    uncancellable=True,
)
async def log_out(ctx: Ctx, cmd: ServerLogOutUser) -> Effects:
    """`not_found`: there is no such user."""
    await ctx.node.db.in_transaction(actions.revoke_logins, ctx.actor, cmd.user)
    return [CloseSessions(cmd.user, "logged_out"), Reply(Ok())]

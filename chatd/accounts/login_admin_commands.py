"""Admin commands for single logins of a user."""

from msgspec import convert

from chatd.accounts.logins import Login, end_for_operator, ended_effects, logins_of
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import admin_command
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Id, Ok, Result


class ListUserLogins(AdminCommand, tag="admin.user.logins"):
    """List the logins of a user, the one that was used last first. At most 200 are listed."""

    user: Id


class UserLogins(Result, tag="admin.user.login.list"):
    """The logins of the user that have not ended."""

    items: list[Login]


@admin_command(ListUserLogins, result=UserLogins)
async def list_user_logins(ctx: Ctx, cmd: ListUserLogins) -> Effects:
    """A user who does not exist has no logins."""
    rows = await logins_of(ctx.node.db, ctx.tenant, cmd.user)
    return [Reply(UserLogins(items=convert(rows, list[Login])))]


class EndUserLogin(AdminCommand, tag="admin.user.login.end"):
    """End one login of a user, and close its connections with 4404. The user's other devices get `login.ended`."""

    user: Id
    login: Id


@admin_command(EndUserLogin, result=Ok, refuses=("not_found",), uncancellable=True)
async def end_user_login(ctx: Ctx, cmd: EndUserLogin) -> Effects:
    """`not_found`: the user has no such login, or it has ended."""
    await ctx.node.db.in_transaction(end_for_operator, ctx.actor, cmd.user, cmd.login)
    return [Reply(Ok()), *ended_effects(ctx.tenant, cmd.user, [cmd.login])]

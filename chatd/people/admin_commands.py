"""Removal of unwanted parts of a profile, by admins."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from chatd.accounts.signals import ProfileChanged
from chatd.app import audit_log
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, SendSignal
from chatd.app.registry import admin_command
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Tx
from chatd.people.handles import SQL as HANDLES
from chatd.people.handles import key_hash
from chatd.people.name_index import NameIndex
from chatd.wire.admin import AdminCommand, Why
from chatd.wire.base import Id, Ok
from chatd.wire.reference.examples import Example

SQL = queries.load("people/admin_commands")
Removable = Literal["name", "handle", "avatar", "picture_url", "status_text", "profile"]


class ClearProfile(AdminCommand, tag="admin.profile.clear"):
    """Remove parts of a user's profile, such as an unwanted picture.

    The user may set other values. A handle is held, also for the user: nobody can take it for `people.handle_hold_days`
    days.
    """

    user: Id
    fields: Annotated[list[Removable], Meta(min_length=1, max_length=6)]
    reason: Why
    EXAMPLE: ClassVar = Example(fields="avatar", reason="an unwanted picture")


@admin_command(ClearProfile, result=Ok, role="moderator", refuses=("not_found",), uncancellable=True)
async def clear_profile(ctx: Ctx, cmd: ClearProfile) -> Effects:
    """`not_found`: there is no such user."""
    await ctx.node.db.in_transaction(clear, ctx, cmd)
    return [Reply(Ok()), SendSignal(ProfileChanged(ctx.tenant, cmd.user))]


async def clear(tx: Tx, ctx: Ctx, cmd: ClearProfile) -> None:
    """Remove the fields. Raises Refused: `not_found`."""
    before = await tx.one(SQL.lock, ctx.tenant, cmd.user)
    if before is None:
        raise Refused("not_found", "no such user")
    key = before["handle_key"] if "handle" in cmd.fields else None
    if key:
        await tx.run(HANDLES.lock, ctx.tenant, [key])
        await tx.run(HANDLES.release, ctx.tenant, uuid7(ctx.now), None, key_hash(ctx.tenant, key), ctx.now)
    after = await tx.one(SQL.clear, ctx.tenant, cmd.user, cmd.fields)
    assert after is not None
    await ctx.node.get(NameIndex).write(tx, ctx.tenant, after)
    details = {"fields": sorted(set(cmd.fields)), "reason": cmd.reason}
    await audit_log.write(tx, ctx.actor, "profile.clear", cmd.user, details)

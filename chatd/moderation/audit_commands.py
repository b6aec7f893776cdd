"""Admin commands for the audit log."""

from typing import Any, ClassVar

from msgspec import Struct, convert

from chatd.app import audit_log
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import admin_command
from chatd.db.batches import page_of
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Id, Limit, Millis, Result
from chatd.wire.reference.examples import BOB, Example


class ListActs(AdminCommand, tag="admin.audit"):
    """List the audit log, newest first. `before`: the last id of the previous page."""

    before: Id | None = None
    limit: Limit = 50


class Act(Struct, kw_only=True, frozen=True):
    """An entry of the audit log. `actor`: the name of an admin, or of an account of the operating system."""

    id: Id
    at: Millis
    actor: str
    act: str
    subject: str
    details: dict[str, Any] | None
    EXAMPLE: ClassVar = Example(subject=BOB)


class Acts(Result, tag="admin.audit.list"):
    """A page of the audit log. `more`: there are older entries."""

    items: list[Act]
    more: bool


@admin_command(ListActs, result=Acts, role="viewer")
async def list_acts(ctx: Ctx, cmd: ListActs) -> Effects:
    rows = await audit_log.page(ctx.node.db, ctx.tenant, before=cmd.before, limit=cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    return [Reply(Acts(items=convert(page, list[Act]), more=more))]

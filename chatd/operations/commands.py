"""`ping`, and the commands with which admins of all tenants control the whole cluster."""

from typing import Annotated, ClassVar

from msgspec import Meta

from chatd.app import audit_log, maintenance
from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effects, Reply
from chatd.app.maintenance import MaintenanceChanged
from chatd.app.registry import admin_command, always, command
from chatd.cluster.control_messages import StartDrain
from chatd.core.errors import Refused
from chatd.wire.admin import AdminCommand, Lasts
from chatd.wire.base import Command, Millis, Ok, Result
from chatd.wire.reference.examples import Example


class SetMaintenance(AdminCommand, tag="admin.maintenance"):
    """Turn maintenance mode on or off on all nodes. It notifies all clients and pauses matching. `lasts`: expected
    duration.
    """

    on: bool
    message: Annotated[str, Meta(max_length=500)] = ""
    lasts: Lasts | None = None
    EXAMPLE: ClassVar = Example(on=True, message="Back at noon.")


@admin_command(
    SetMaintenance,
    result=Ok,
    refuses=("forbidden",),
    uncancellable=True,
)
async def set_maintenance(ctx: Ctx, cmd: SetMaintenance) -> Effects:
    """`forbidden`: the tenants of this admin are restricted."""
    require_all_tenants(ctx)
    again = float(cmd.lasts) if cmd.on and cmd.lasts else None
    await ctx.node.db.in_transaction(maintenance.change, ctx.actor, cmd.on, cmd.message if cmd.on else "", again)
    return [Broadcast(MaintenanceChanged()), Reply(Ok())]


class DrainNodes(AdminCommand, tag="admin.drain"):
    """Drain the node of this name, or all nodes, and stop them. Clients are asked to reconnect, spread over `over`
    seconds.
    """

    over: Annotated[int, Meta(ge=0, le=3600, description="Seconds")] = 5
    node: Annotated[str, Meta(max_length=64)] = ""
    EXAMPLE: ClassVar = Example(node="0190a3c4-5b00-7000-8000-00000000d0e5")


@admin_command(DrainNodes, result=Ok, refuses=("forbidden",), uncancellable=True)
async def drain_nodes(ctx: Ctx, cmd: DrainNodes) -> Effects:
    """`forbidden`: the tenants of this admin are restricted."""
    require_all_tenants(ctx)
    await audit_log.write(ctx.node.db, ctx.actor, "nodes.drain", cmd.node or "all nodes", {"over": cmd.over})
    return [Broadcast(StartDrain(cmd.node, float(cmd.over), ctx.actor.name)), Reply(Ok())]


def require_all_tenants(ctx: Ctx) -> None:
    if not ctx.admin_scope.all_tenants:
        raise Refused("forbidden", "only admins of all tenants may do this")


class Ping(Command, tag="ping"):
    """Get the time of the server. `ts` is returned unchanged."""

    ts: Millis


class Pong(Result, tag="pong"):
    """The answer to `ping`."""

    ts: Millis
    server_time: Millis


@command(Ping, result=Pong, cost=0.1, http="POST /v1/ping", at_once=always)
async def ping(ctx: Ctx, cmd: Ping) -> Effects:
    return [Reply(Pong(ts=cmd.ts, server_time=ctx.now))]

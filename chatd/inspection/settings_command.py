"""The admin command that shows the settings of this node."""

from typing import ClassVar

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import admin_command
from chatd.core.errors import Refused
from chatd.core.setting_names import SettingNames
from chatd.core.settings import SettingSources, shown_settings
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Result
from chatd.wire.reference.examples import Example


class ShowNodeSettings(AdminCommand, tag="admin.settings"):
    """Show the settings of the node that answers, with the source of each. Secrets are masked."""


class Setting(Struct, kw_only=True, frozen=True):
    """A setting. `source`: a file and its line, a variable, or `default`."""

    key: str
    value: str
    source: str
    EXAMPLE: ClassVar = Example(key="gateway.port", value="8080", source="default")


class ShownSettings(Result, tag="admin.setting.list"):
    """All settings. `node`: the name of the node."""

    node: str
    items: list[Setting]


@admin_command(ShowNodeSettings, result=ShownSettings, role="operator", refuses=("forbidden",))
async def show_settings(ctx: Ctx, cmd: ShowNodeSettings) -> Effects:
    """`forbidden`: the tenants of this admin are restricted."""
    if not ctx.admin_scope.all_tenants:
        raise Refused("forbidden", "only admins of all tenants may do this")
    node = ctx.node
    rows = shown_settings(node.get(SettingNames), node.config, node.get(SettingSources))
    items = [Setting(key=key, value=value, source=source) for key, value, source in rows]
    return [Reply(ShownSettings(node=node.cluster.name, items=items))]

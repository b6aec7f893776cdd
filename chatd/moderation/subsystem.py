"""Moderation: reports, strikes, and the admin commands on users."""

from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem
from chatd.moderation import (
    audit_commands,
    commands,
    openapi,
    report_admin_commands,
    reports,
    routes,
    user_admin_commands,
)
from chatd.moderation.personal_data import PERSONAL_DATA
from chatd.moderation.settings import SETTINGS, ModerationSettings
from chatd.moderation.tables import TABLES


async def sweep(node: Node) -> bool:
    await reports.sweep(node.db, node.config.get(ModerationSettings), node.clock())
    return False


MODERATION = Subsystem(
    name="moderation",
    about="reports, strikes, acts of admins on users, the audit log",
    settings=SETTINGS,
    tables=TABLES,
    commands=(commands, audit_commands, report_admin_commands, user_admin_commands),
    routes=(routes.add_routes,),
    openapi=openapi.ROUTES,
    conditions=openapi.CONDITIONS,
    jobs=(Job("old reports", sweep, 3600),),
    personal_data=PERSONAL_DATA,
)

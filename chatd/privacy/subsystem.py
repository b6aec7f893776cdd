"""Privacy: export and erasure of a user's data."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.personal_data import PersonalData
from chatd.app.subsystem import Subsystem
from chatd.privacy import admin_commands, commands, openapi, routes
from chatd.privacy.erasure import erase_next
from chatd.privacy.tables import REMAINS, TABLES


@asynccontextmanager
async def open_privacy(node: Node) -> AsyncIterator[None]:
    """The limits of exports."""
    node.services.add(routes.Exports(node))
    yield


PRIVACY = Subsystem(
    name="privacy",
    about="export and erasure",
    tables=TABLES,
    commands=(commands, admin_commands),
    routes=(routes.add_routes,),
    openapi=openapi.ROUTES,
    conditions=openapi.CONDITIONS,
    jobs=(Job("erasure", erase_next, 2),),
    personal_data=PersonalData(remains=REMAINS),
    open=open_privacy,
)

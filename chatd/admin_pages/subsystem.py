"""The pages for admins at /admin, on a port of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.admin_pages import lockout, sessions
from chatd.admin_pages.app import AdminPages
from chatd.admin_pages.door import is_served, open_door
from chatd.admin_pages.live import LiveSamples
from chatd.admin_pages.settings import SETTINGS
from chatd.admin_pages.site import ACTIONS, OWN_FORMS, PAGES
from chatd.admin_pages.tables import REDIS_KEYS, TABLES
from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem, background


@asynccontextmanager
async def open_admin_pages(node: Node) -> AsyncIterator[None]:
    """Serve the pages, if there is an admin."""
    if not is_served(node):
        yield
        return
    samples = node.services.add(LiveSamples(node))
    async with background(node) as start:
        start("live figures", samples.run)
        async with open_door(node, AdminPages(node, PAGES, ACTIONS, OWN_FORMS)) as address:
            node.services.add(address)
            yield


async def sweep(node: Node) -> bool:
    await sessions.sweep(node.db)
    await lockout.sweep(node.db)
    return False


ADMIN_PAGES = Subsystem(
    name="admin_pages",
    about="web pages for admins: figures, reports, users, bans, settings",
    settings=SETTINGS,
    tables=TABLES,
    redis_keys=REDIS_KEYS,
    jobs=(Job("old admin sessions", sweep, 600),),
    open=open_admin_pages,
)

"""People: profiles of users, handles, and how users find each other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.accounts.signals import ProfileChanged
from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem, background
from chatd.people import admin_commands, announcements, checks, commands, handles, name_index, openapi, search, updates
from chatd.people.announcements import Announcements, AnnouncementTunables, Deliveries
from chatd.people.handles import ReservedHandles
from chatd.people.metrics import METRICS
from chatd.people.name_index import NameIndex
from chatd.people.personal_data import PERSONAL_DATA
from chatd.people.search import SearchLimits
from chatd.people.settings import SETTINGS, PeopleSettings
from chatd.people.tables import TABLES


@asynccontextmanager
async def open_people(node: Node, tunables: AnnouncementTunables = announcements.TUNABLES) -> AsyncIterator[None]:
    settings = node.config.get(PeopleSettings)
    node.services.add(ReservedHandles(settings.reserved_handles))
    node.services.add(NameIndex(node.db, has_names=settings.search == "names"))
    node.services.add(SearchLimits.of_settings(settings))
    deliveries = node.services.add(Deliveries(node.hub, tunables))
    announced = node.services.add(Announcements(node.db, node.cluster, deliveries, settings.announce_up_to, tunables))
    node.signals.on_sync(ProfileChanged, announced.add)
    node.cluster.reconciler.register(announced.check)
    async with background(node) as start:
        start("profile announcements", announced.run)
        start("profile deliveries", deliveries.run)
        yield


async def sweep(node: Node) -> bool:
    await handles.sweep(node.db, node.config.get(PeopleSettings), node.clock())
    return False


PEOPLE = Subsystem(
    name="people",
    about="profiles, handles, and how users find each other",
    settings=SETTINGS,
    check_settings=checks.check_settings,
    tables=TABLES,
    commands=(commands, search, updates, admin_commands),
    conditions=openapi.CONDITIONS,
    jobs=(Job("index of names", name_index.index_names, 1), Job("handle changes", sweep, 3600)),
    metrics=METRICS,
    personal_data=PERSONAL_DATA,
    open=open_people,
)

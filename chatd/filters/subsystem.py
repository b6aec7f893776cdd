"""Filters for the texts of users, and the moderation hook: a service of the operator that checks messages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.command_texts import TextFilters
from chatd.app.context import Node
from chatd.app.subsystem import Subsystem
from chatd.filters import checks
from chatd.filters.service import open_filters
from chatd.filters.settings import SETTINGS


@asynccontextmanager
async def open_subsystem(node: Node) -> AsyncIterator[None]:
    """Open the filters and the hook. Raises InvalidFilters.

    Dispatch applies the filters to the texts of all commands; conversations apply them, and the hook, to messages.
    """
    async with open_filters(node.config, node.clock) as filters:
        if filters is not None:
            node.services.add(filters)
            node.services.add(TextFilters(filters.of))
        yield


FILTERS = Subsystem(
    name="filters",
    about="unwanted words and links, and the moderation hook",
    settings=SETTINGS,
    check_settings=checks.check_settings,
    open=open_subsystem,
)

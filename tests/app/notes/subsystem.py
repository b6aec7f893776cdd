"""The declaration."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from notes import board, commands, routes, settings, tables

from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.metrics import number
from chatd.app.subsystem import Subsystem


@asynccontextmanager
async def open_notes(node: Node) -> AsyncIterator[None]:
    node.services.add(board.Board())
    yield


NOTES = Subsystem(
    name="notes",
    about="notes that users leave for each other",
    package="notes",
    settings=settings.SETTINGS,
    schema=Path(__file__).with_name("schema"),
    tables=tables.TABLES,
    commands=(commands,),
    jobs=(Job("archive notes", board.archive, 0.05),),
    routes=(routes.add_routes,),
    openapi=routes.OPENAPI,
    metrics=(number("chatd_notes_total", "Notes of all nodes.", lambda node: node.get(board.Board).counted),),
    check_settings=settings.check_settings,
    check=settings.check,
    personal_data=board.PERSONAL_DATA,
    open=open_notes,
)

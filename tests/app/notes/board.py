"""Stores the notes, and exchanges their number between nodes."""

from pathlib import Path

from chatd.app.context import Node
from chatd.app.personal_data import Part, PersonalData, Remains
from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.db import queries

SQL = queries.load("notes", Path(__file__).parent)
PERSONAL_DATA = PersonalData(
    export=(Part("note", "notes that the user left", SQL.export, ("id",)),),
    forget=(SQL.forget,),
    remains=(Remains("the id, in notes by others", "`notes`", "as long as their accounts"),),
)


class NoteCounted(ControlMessage, array_like=True, tag="note-counted"):
    """A note was added on some node."""

    tenant: str

    async def apply(self, receiver: Receiver) -> None:
        receiver.services.get(Board).counted += 1


class Board:
    """Counts the notes of all nodes since this one started."""

    def __init__(self) -> None:
        self.counted = 0


async def archive(node: Node) -> bool:
    """A periodic job."""
    await node.db.run(SQL.archive)
    return False

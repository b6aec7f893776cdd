"""What several features need of a message: its text within bounds, and the message itself within a change."""

from chatd.config import Config
from chatd.errors import Refused
from chatd.node.changes import Change
from chatd.store import queries
from chatd.store.postgres import Row

SQL = queries.load("message_states")


def check_text(config: Config, text: str) -> None:
    """Raises Refused: `too_large`."""
    most = config.limits.text_bytes
    if len(text) * 4 > most and len(text.encode()) > most:
        raise Refused("too_large", f"$.text: at most {most} bytes")


async def message_in(here: Change, message: str) -> Row:
    """A row of `message_states`, when the asker may see it. Raises Refused: `not_found`."""
    row = await here.one(SQL.by_id, message, here.place.first_seq or 1)
    if row is None:
        raise Refused("not_found", "no such message")
    return row

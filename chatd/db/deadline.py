"""Until when the statements of a command may run, however many they are.

`Postgres.within` looks here: at the deadline a statement under way ends, and after it none begins. So a command that is `lasting`
also ends in time, by a refusal where it asks the database, and is never cancelled while it tells what it has done.
"""

from contextvars import ContextVar
from math import inf

from msgspec import Struct


class Deadline(Struct, eq=False):
    """In trio's time. `over` when the command is answered: what it has started beside itself has no deadline any more."""

    at: float

    def over(self) -> None:
        self.at = inf


DEADLINE: ContextVar[Deadline | None] = ContextVar("chatd_statement_deadline", default=None)


def limit_statements(at: float) -> Deadline:
    """From now on the statements of this task end at this time."""
    deadline = Deadline(at)
    DEADLINE.set(deadline)
    return deadline


def deadline() -> float:
    """When the statements of this task must end; infinity where nobody waits for an answer."""
    found = DEADLINE.get()
    return inf if found is None else found.at

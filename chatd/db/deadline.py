"""The deadline for all statements of a command.

`Postgres.run_on_connection` checks it: at the deadline a running statement is cancelled, and no other one starts. So an
uncancellable command ends in time as well, by a refusal of a statement, and is not cancelled while it delivers its
effects.
"""

from contextvars import ContextVar
from math import inf

from msgspec import Struct


class Deadline(Struct, eq=False):
    """A deadline in Trio's time. `over` is called once the command is answered: its tasks have no deadline."""

    at: float

    def over(self) -> None:
        self.at = inf


DEADLINE: ContextVar[Deadline | None] = ContextVar("chatd_statement_deadline", default=None)


def limit_statements(at: float) -> Deadline:
    """Set the deadline of the further statements of this task."""
    deadline = Deadline(at)
    DEADLINE.set(deadline)
    return deadline


def deadline() -> float:
    """The deadline of the statements of this task; infinity outside of commands."""
    found = DEADLINE.get()
    return inf if found is None else found.at

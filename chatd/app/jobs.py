"""Periodic jobs. Every node runs all of them; a job for one node only claims its turn in Postgres."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import uniform

import trio

from chatd.app.context import Node
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("app/jobs")
# The jobs begin one by one after the start of a node, and at other moments on each node.
MAX_FIRST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """A periodic job. `run` does a bounded piece of work, and returns whether there is more: then it runs again."""

    name: str
    run: Callable[[Node], Awaitable[bool]]
    every_s: float


async def run_job(node: Node, job: Job) -> None:
    """Run one job forever. After a refusal it is retried at its next turn; any other error ends the run."""
    await trio.sleep(uniform(0, min(job.every_s, MAX_FIRST_WAIT_S)))  # noqa: S311
    while True:
        more = False
        with suppress(Refused):
            more = await job.run(node)
        await trio.sleep(0 if more else job.every_s)


async def is_due(db: Postgres, name: str, every_ms: int) -> bool:
    """Claim the turn of a job that one node runs once in `every_ms`. Raises Refused."""
    return await db.value(SQL.claim, name, every_ms) is not None

"""Periodic jobs: each node runs all of them, and what only one node may do claims its turn in Postgres."""

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
    """`run` does a bounded piece of work, and returns whether there is more of it; then it runs again at once."""

    name: str
    run: Callable[[Node], Awaitable[bool]]
    every_s: float


async def run_job(node: Node, job: Job) -> None:
    """One job, for ever. What is refused is tried again at the next turn; anything else ends this run."""
    await trio.sleep(uniform(0, min(job.every_s, MAX_FIRST_WAIT_S)))  # noqa: S311
    while True:
        more = False
        with suppress(Refused):
            more = await job.run(node)
        await trio.sleep(0 if more else job.every_s)


async def is_due(db: Postgres, name: str, every_ms: int) -> bool:
    """Whether this node may run a job now that one node runs once in `every_ms`. Raises Refused."""
    return await db.value(SQL.claim, name, every_ms) is not None

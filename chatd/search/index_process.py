"""The process that writes the search index: the child of `chatd serve`, and `chatd index`.

It imports only what the indexer needs, and takes its settings from the first line of standard input, because a command
line or an environment would show the password of the database. A child ends with its parent: its standard input ends.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator

import trio
from msgspec import Struct, json

from chatd.core import log
from chatd.core.config import Log, PostgresSection
from chatd.core.health import Health
from chatd.db.driver_loop import open_driver_loop
from chatd.db.postgres import open_postgres
from chatd.search.indexer import Indexer

# Run with -m, its name is __main__.
LOG = log.get("chatd.search.index_process")
# How much less of a busy core it gets than the server: a third.
NICENESS = 5
READ_BYTES = 4096


class Start(Struct, frozen=True):
    """`is_child`: it ends when its standard input ends."""

    postgres: PostgresSection
    log: Log
    is_child: bool

    def line(self) -> bytes:
        return json.encode(self) + b"\n"


def arguments() -> list[str]:
    """The command line. -P: the working directory is no place for modules."""
    return [sys.executable, "-P", "-m", __name__]


def main() -> None:
    start = json.decode(first_line(sys.stdin.fileno()), type=Start)
    log.setup(start.log.level, start.log.format)
    os.nice(NICENESS)
    trio.run(serve, start)


def first_line(descriptor: int) -> bytes:
    """The first line; what follows is left for `wait_for_end`."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(descriptor, 1)
        if not part:
            raise SystemExit("no settings: start this process with `chatd index`")
        line += part
    return line


async def serve(start: Start) -> None:
    """Index until SIGTERM, SIGINT or the end of the parent."""
    health = Health()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with (
            open_driver_loop(),
            open_postgres(start.postgres.dsn, start.postgres) as db,
            trio.open_nursery() as nursery,
        ):
            health.start(nursery, "search index", Indexer(db).run)
            if start.is_child:
                health.start(nursery, "end of the parent", wait_for_end, sys.stdin.fileno(), nursery.cancel_scope)
            health.start(nursery, "signals", wait_for_signal, signals, nursery.cancel_scope)


async def wait_for_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    number = await anext(signals)
    LOG.info("the index process stops", extra={"by": signal.Signals(number).name})
    scope.cancel()


async def wait_for_end(descriptor: int, scope: trio.CancelScope) -> None:
    ended = False
    while not ended:
        await trio.lowlevel.wait_readable(descriptor)
        ended = not os.read(descriptor, READ_BYTES)
    scope.cancel()


if __name__ == "__main__":
    main()

"""Commands in flight: the commands of one connection that have begun and are not settled.

A command is handled in one of three ways:

* At once, if nothing in it waits.
* Begun, if it has a pipeline: it waits for its batch, and the next commands of the same pipeline begin meanwhile, up to
  MAX_PIPELINED. All of them are answered in their order.
* Run in the task of the connection, after all commands in flight.

So answers are in the order of the commands, whatever each of them waits for.
"""

from collections.abc import Callable
from typing import Protocol

import trio

# Commands in flight of one connection.
MAX_PIPELINED = 8


class Call(Protocol):
    """A decoded message that is still to be handled. `at_once`: nothing in it waits.

    `pipeline`: it can begin without a wait, also while others of the same pipeline are not settled yet.
    """

    @property
    def at_once(self) -> bool: ...
    @property
    def pipeline(self) -> object | None: ...

    async def run(self) -> None:
        """Handle the message."""

    async def begin(self, done: Callable[[], None]) -> None:
        """Begin the message without a wait, and call `done` when it is settled. Requires a `pipeline`."""


class CommandsInFlight:
    """Those of one connection: `run` or `start` each call in the order of arrival."""

    __slots__ = ("_all_settled", "_count", "_pipeline")

    def __init__(self) -> None:
        self._count = 0
        # That of all commands in flight.
        self._pipeline: object | None = None
        self._all_settled: trio.Event | None = None

    async def start(self, call: Call) -> bool:
        """Handle or begin a call, if that needs no wait. Returns whether it is done."""
        if call.pipeline is None:
            if self._count or not call.at_once:
                return False
            await call.run()
            return True
        if self._count and (self._count >= MAX_PIPELINED or self._pipeline != call.pipeline):
            return False
        self._count += 1
        self._pipeline = call.pipeline
        await call.begin(self._settle)
        return True

    async def run(self, call: Call) -> None:
        """Handle a call, after those in flight unless it is of their pipeline."""
        started = await self.start(call)
        if not started and self._count:
            await self.wait_until_settled()
            started = await self.start(call)
        if not started:
            await call.run()

    async def wait_until_settled(self) -> None:
        while self._count:
            if self._all_settled is None:
                self._all_settled = trio.Event()
            await self._all_settled.wait()

    def _settle(self) -> None:
        """Handle the end of a command that was begun."""
        self._count -= 1
        if not self._count and self._all_settled is not None:
            self._all_settled.set()
            self._all_settled = None

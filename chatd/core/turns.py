"""Cooperative scheduling: long work lets other tasks run after each turn on the event loop."""

from collections.abc import AsyncIterator, Generator, Iterable
from time import perf_counter
from typing import TypeVar

import trio

# How long one task may run before others get their turn.
TURN_S = 0.001
Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_turns(work: Generator[None, None, Result]) -> Result:
    """Run work that yields after each slice (see `chatd.core.slices`), with a checkpoint after each turn."""
    ends = perf_counter() + TURN_S
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: Result = done.value
            return result
        if perf_counter() >= ends:
            await trio.lowlevel.checkpoint()
            ends = perf_counter() + TURN_S


async def each_in_turns(items: Iterable[Item]) -> AsyncIterator[Item]:
    """The items, with a checkpoint after each turn of the loop over them."""
    ends = perf_counter() + TURN_S
    for item in items:
        yield item
        if perf_counter() >= ends:
            await trio.lowlevel.checkpoint()
            ends = perf_counter() + TURN_S

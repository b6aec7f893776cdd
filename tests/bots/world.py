"""Bots for the tests: accounts made by the server API, and their connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from chatd.client import Account
from tests.server_api.backend import Backend, backend_of
from tests.support import Daemon, Person

WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": {"en": "the weather of a city", "de": "das Wetter einer Stadt"},
    "args": [{"name": "city", "type": "string", "required": True, "description": {"en": "where"}}],
}


class Bots:
    """The bots of a daemon."""

    def __init__(self, daemon: Daemon, backend: Backend) -> None:
        self.daemon = daemon
        self.backend = backend

    async def add(self, **fields: Any) -> Account:
        """A new bot."""
        made = await self.backend.done("POST", "/bots", {"handle": f"b{uuid4().hex[:20]}", **fields})
        return Account(self.daemon.addresses.http, made["bot"]["id"], made["token"], "")

    @asynccontextmanager
    async def connected(self, *commands: Any, **fields: Any) -> AsyncIterator[Person]:
        """A new bot that is connected and has declared these commands."""
        async with self.daemon.connected(await self.add(**fields)) as bot:
            if commands:
                await bot.call("bot.commands.set", commands=list(commands))
            yield bot


async def bots_of(daemon: Daemon) -> Bots:
    return Bots(daemon, await backend_of(daemon))


async def group_of(owner: Person, *members: Person) -> str:
    """A group of the owner with these members."""
    made = await owner.call("conversation.create", members=[one.user for one in members])
    return str(made.conversation.id)

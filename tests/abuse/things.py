"""Things of users for `test_ids`. What makes them is declared in `tests/<subsystem>/declares.py`, by the name of a field
that holds an id: a new kind of id fails `test_every_kind_of_id_can_be_made` until FACTORIES has its name. If a user can
lose the thing (leave, delete, unpair), declare it in GONE too.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from tests.bots.world import Bots
from tests.declarations import declared
from tests.files import stored
from tests.server_api.backend import backend_of
from tests.support import Daemon, Person


@dataclass(frozen=True)
class Thing:
    """`holder` may do with it what its owner may."""

    id: str
    holder: Person


Factory = Callable[["World", Person], Awaitable[Thing]]


class World:
    """The users of one test and their things. A thing is made on first use, once for each owner."""

    def __init__(self, daemon: Daemon, stack: AsyncExitStack) -> None:
        self._daemon = daemon
        self._factories: dict[str, Factory] = declared("FACTORIES")
        self._stack = stack
        self._made: dict[tuple[str, str], Thing] = {}
        self.people: list[Person] = []

    async def person(self, **fields: str) -> Person:
        """A new user, connected as long as the world lasts."""
        person = await self._stack.enter_async_context(self._daemon.person(**fields))
        self.people.append(person)
        return person

    async def bot(self, owner: Person) -> Person:
        """A new bot of the owner's tenant, connected as long as the world lasts."""
        bots = Bots(self._daemon, await backend_of(self._daemon, tenant=owner.hello.tenant))
        bot = await self._stack.enter_async_context(bots.connected())
        self.people.append(bot)
        return bot

    async def stored(self, owner: Person, data: bytes) -> dict[str, Any]:
        """The server's description of a file of the user."""
        return await stored(self._daemon, owner.account.access_token, data)

    async def thing(self, owner: Person, field: str) -> Thing:
        if (owner.user, field) not in self._made:
            self._made[owner.user, field] = await self._factories[field](self, owner)
        return self._made[owner.user, field]

    async def friend(self, owner: Person) -> Person:
        """Another user of the same tenant."""
        key = (owner.user, "friend")
        if key not in self._made:
            tenant = owner.hello.tenant
            self._made[key] = Thing("", await self.person(name="friend", tenant=tenant))
        return self._made[key].holder

    def forget(self) -> None:
        """Make everything again from here on: a command may have used it up."""
        self._made.clear()

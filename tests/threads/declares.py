"""What tests of all commands have to know of threads, see `tests/declarations.py`."""

from tests.abuse.things import Thing, World
from tests.support import Person


async def thread(world: World, owner: Person) -> Thing:
    """A message in `conversation` with a reply."""
    room = await world.thing(owner, "conversation")
    root = (await owner.send(room.id, "the root")).message
    await owner.send(room.id, "a reply", thread=root)
    return Thing(root, owner)


FACTORIES = {"thread": thread}

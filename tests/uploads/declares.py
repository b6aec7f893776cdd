"""What tests of all commands have to know of uploads, see `tests/declarations.py`."""

from tests.abuse.bounds import Most
from tests.abuse.things import Thing, World
from tests.files import picture
from tests.support import Person


async def image(world: World, owner: Person) -> Thing:
    """An image that the owner has uploaded."""
    return Thing((await world.stored(owner, picture()))["id"], owner)


FACTORIES = {"picture": image, "upload": image, "uploads": image}
CONTAINERS = {"uploads.media.workers.MediaWorkers._idle": Most("uploads.media.workers.MAX_PROCESSES")}

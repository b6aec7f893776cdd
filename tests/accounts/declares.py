"""What tests of all commands have to know of accounts, see `tests/declarations.py`."""

from tests.abuse.bounds import Fixed
from tests.abuse.things import Thing, World
from tests.support import Person


async def friend(world: World, owner: Person) -> Thing:
    return Thing((await world.friend(owner)).user, owner)


FACTORIES = {"members": friend, "sender": friend, "user": friend, "users": friend}
CONTAINERS = {
    "accounts.authentication.SignIn._key_sets": Fixed(),
    "accounts.keys.Keyring._by_issuer": Fixed(),
}

"""What tests of all commands have to know of accounts, see `tests/declarations.py`."""

from uuid import uuid4

from tests.abuse.bounds import Fixed
from tests.abuse.things import Thing, World
from tests.support import Person


async def friend(world: World, owner: Person) -> Thing:
    return Thing((await world.friend(owner)).user, owner)


async def login(world: World, owner: Person) -> Thing:
    """The second login of a user who has signed up twice with a device."""
    fields = {"tenant": owner.hello.tenant, "device": uuid4().hex}
    first, second = [await world.person(name="two logins", **fields) for _ in range(2)]
    return Thing((await second.call("login.list")).current, first)


FACTORIES = {"login": login, "members": friend, "sender": friend, "user": friend, "users": friend}
CONTAINERS = {
    "accounts.authentication.SignIn._key_sets": Fixed(),
    "accounts.keys.Keyring._by_issuer": Fixed(),
}

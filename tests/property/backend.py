"""Random commands of a backend with a service token, with valid and invalid arguments, beside those of the devices.

Like a deed of a device, one of a backend returns a command: its name, and the method, path and body of the request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.property.deeds import World
from tests.property.device import Device
from tests.property.room import NOBODY, Json, Room


class Request(NamedTuple):
    """A server command."""

    name: str
    method: str
    path: str
    body: Json | None = None


@dataclass
class BackendWorld:
    """What the commands of the backend use: the world, and what the devices know of messages."""

    world: World
    devices: Sequence[Device]
    # Users that may not sign in at the moment.
    deactivated: set[str] = field(default_factory=set)

    def room(self) -> tuple[str, Room]:
        """A conversation that a device knows, or rarely one that nobody may know any more."""
        rng = self.world.rng
        known = {id_: room for device in self.devices for id_, room in device.mirror.rooms.items()}
        if not known or rng.random() < 0.03:
            return rng.choice([NOBODY, *sorted(self.world.conversations)]), Room()
        id_ = rng.choice(sorted(known))
        return id_, known[id_]

    def message(self) -> tuple[str, str]:
        """A conversation and a message in it, rarely one that does not exist."""
        id_, room = self.room()
        if not room.messages or self.world.rng.random() < 0.03:
            return id_, NOBODY
        return id_, str(room.messages[self.world.rng.choice(sorted(room.messages)[-6:])]["id"])


Deed = Callable[[BackendWorld], Request]


def put(known: BackendWorld) -> Request:
    rng = known.world.rng
    body = {"user": rng.choice(known.world.users), "name": rng.choice(["", "Ann", "Ben", "Cem"])}
    return Request("server.user.put", "POST", "/users", body)


def put_many(known: BackendWorld) -> Request:
    """Users who have never come, and users who have."""
    rng = known.world.rng
    users: list[Json] = [{"external_id": f"guest {number}", "name": f"G{rng.randint(1, 3)}"} for number in range(3)]
    users += [{"user": user, "name": "Bulk", "roles": ["r"]} for user in known.world.some_users()]
    return Request("server.users.put", "POST", "/users/batch", {"users": users})


def group(known: BackendWorld) -> Request:
    """A new one, or one that exists already under its external id."""
    rng, members = known.world.rng, known.world.some_users(4)
    body: Json = {"members": members, "title": f"backend {next(known.world.numbers)}"}
    if rng.random() < 0.5:
        body["owner"] = members[0]
    if rng.random() < 0.7:
        body["external_id"] = f"room {rng.randint(1, 5)}"
    return Request("server.conversation.create", "POST", "/conversations", body)


def direct(known: BackendWorld) -> Request:
    body = {"user": known.world.user(), "other": known.world.user()}
    return Request("server.conversation.direct", "POST", "/conversations/direct", body)


def describe(known: BackendWorld) -> Request:
    rng = known.world.rng
    choices: list[Json] = [
        {"title": f"t{next(known.world.numbers)}"}, {"announce": rng.random() < 0.3}, {"joining": "open"},
        {"history": rng.choice(["all", "joined"])}, {"disappear": rng.choice([0, 3, 31_536_000])}, {"description": "d"},
    ]  # fmt: skip
    return Request("server.conversation.edit", "PATCH", f"/conversations/{known.room()[0]}", rng.choice(choices))


def dissolve(known: BackendWorld) -> Request:
    return Request("server.conversation.dissolve", "DELETE", f"/conversations/{known.room()[0]}")


def add(known: BackendWorld) -> Request:
    path = f"/conversations/{known.room()[0]}/members"
    return Request("server.member.add", "POST", path, {"users": known.world.some_users()})


def remove(known: BackendWorld) -> Request:
    return Request("server.member.remove", "DELETE", f"/conversations/{known.room()[0]}/members/{known.world.user()}")


def role(known: BackendWorld) -> Request:
    path = f"/conversations/{known.room()[0]}/members/{known.world.user()}/role"
    to = known.world.rng.choice(["owner", "admin", "moderator", "member"])
    return Request("server.member.role", "PUT", path, {"role": to})


def post(known: BackendWorld) -> Request:
    """As the system, or in the name of a user."""
    rng, (id_, room) = known.world.rng, known.room()
    body: Json = {"client_id": known.world.client_id(), "text": rng.choice("ghijk") * rng.randint(1, 50)}
    if rng.random() < 0.5:
        body["sender"] = known.world.user()
    if room.messages and rng.random() < 0.3:
        body["reply_to"] = known.world.root(room)
    if room.messages and rng.random() < 0.4:
        body["thread"] = known.world.root(room)
    if rng.random() < 0.4:
        body["mentions"] = known.world.some_users()
    if rng.random() < 0.1:
        body["everybody"] = True
    return Request("server.message.send", "POST", f"/conversations/{id_}/messages", body)


def edit(known: BackendWorld) -> Request:
    id_, message = known.message()
    body = {"text": known.world.rng.choice("lmnop") * known.world.rng.randint(1, 9)}
    return Request("server.message.edit", "PATCH", f"/conversations/{id_}/messages/{message}", body)


def delete(known: BackendWorld) -> Request:
    id_, message = known.message()
    return Request("server.message.delete", "DELETE", f"/conversations/{id_}/messages/{message}")


def deactivate(known: BackendWorld) -> Request:
    user = known.world.user()
    known.deactivated.add(user)
    return Request("server.user.deactivate", "POST", f"/users/{user}/deactivate", {})


def reactivate(known: BackendWorld) -> Request:
    return reactivation(known.world.rng.choice(sorted(known.deactivated) or [NOBODY]))


def reactivation(user: str) -> Request:
    return Request("server.user.reactivate", "POST", f"/users/{user}/reactivate", {})


def log_out(known: BackendWorld) -> Request:
    return Request("server.user.logout", "POST", f"/users/{known.world.user()}/logout", {})


# The relative frequency of each deed.
DEEDS: dict[Deed, int] = {
    put: 5, put_many: 2, group: 6, direct: 3, describe: 4, dissolve: 1, add: 6, remove: 5, role: 4, post: 30, edit: 5,
    delete: 4, deactivate: 1, reactivate: 2, log_out: 1,
}  # fmt: skip


def draw(known: BackendWorld) -> Request:
    """The next command of the backend."""
    return known.world.rng.choices(list(DEEDS), list(DEEDS.values()))[0](known)


def outcome_of(body: Any, status: int) -> str:
    """`ok`, or the code of the refusal."""
    return "ok" if status == 200 else str(body["code"])

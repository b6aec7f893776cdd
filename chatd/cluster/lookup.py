"""Asks all nodes where users are connected."""

from collections.abc import Sequence

import trio

from chatd.cluster.bus import Bus
from chatd.cluster.control_messages import ControlMessage, Receiver, publish
from chatd.core.errors import Refused
from chatd.core.identity import UserKey
from chatd.realtime.hub import Hub

# Time that the other nodes have to answer.
FIND_TIMEOUT_S = 1.5
LOCATE_TIMEOUT_S = 2.0


class FindUser(ControlMessage, array_like=True, tag="seek"):
    """Asks which nodes have a session of this user. Only nodes that have one answer."""

    tenant: str
    user: str
    asker: str

    async def apply(self, receiver: Receiver) -> None:
        if receiver.hub.connections.count(self.tenant, self.user):
            receiver.publish(UserFound(self.tenant, self.user, self.asker))


class UserFound(ControlMessage, array_like=True, tag="seen"):
    """The answer to `FindUser`."""

    tenant: str
    user: str
    asker: str

    async def apply(self, receiver: Receiver) -> None:
        if self.asker == receiver.name:
            receiver.services.get(ClusterLookup).note_found((self.tenant, self.user))


class LocateUsers(ControlMessage, array_like=True, tag="who"):
    """Asks which of these users (tenant, id) are connected to each node. All nodes answer."""

    asker: str
    number: int
    users: list[tuple[str, str]]

    async def apply(self, receiver: Receiver) -> None:
        here = [user for user in self.users if receiver.hub.connections.count(*user)]
        receiver.publish(UsersLocated(self.asker, self.number, receiver.name, here))


class UsersLocated(ControlMessage, array_like=True, tag="these"):
    """The answer to `LocateUsers`."""

    asker: str
    number: int
    node: str
    users: list[tuple[str, str]]

    async def apply(self, receiver: Receiver) -> None:
        if self.asker == receiver.name:
            receiver.services.get(ClusterLookup).note_located(self)


class Inquiry:
    """One question under way: the nodes that have not answered yet, and the users that no node has reported."""

    def __init__(self, nodes: set[str], users: set[UserKey]) -> None:
        self.nodes = nodes
        self.users = users
        self.answered = trio.Event()


class ClusterLookup:
    """Queries all nodes, and collects the answers. `is_connected` counts a missing answer as no; `disconnected` does
    not.
    """

    def __init__(self, hub: Hub, bus: Bus) -> None:
        self._hub = hub
        self._bus = bus
        self._sought: dict[UserKey, set[trio.Event]] = {}
        self._inquiries: dict[int, Inquiry] = {}
        self._number = 0

    async def is_connected(self, tenant: str, user: str) -> bool:
        """Whether the user is connected to this node or to one that answers in time."""
        if self._hub.connections.count(tenant, user):
            return True
        if self._bus.is_single_node:
            return False
        found, waiting = trio.Event(), self._sought.setdefault((tenant, user), set())
        waiting.add(found)
        publish(self._bus, FindUser(tenant, user, self._bus.name))
        try:
            with trio.move_on_after(FIND_TIMEOUT_S):
                await found.wait()
        finally:
            waiting.discard(found)
            if not waiting:
                self._sought.pop((tenant, user), None)
        return found.is_set()

    def note_found(self, user: UserKey) -> None:
        for found in self._sought.get(user, ()):
            found.set()

    async def disconnected(self, users: Sequence[UserKey]) -> list[UserKey]:
        """Those of the users who are connected to no node.

        Raises Refused: `unavailable` if a node has not answered, or if the bus fails or has just recovered: then a
        silent node may still be alive.
        """
        nodes = set(self._bus.peers(self._bus.times.silence_s))
        inquiry = Inquiry(nodes, {user for user in users if not self._hub.connections.count(*user)})
        if inquiry.users and inquiry.nodes:
            await self._ask(inquiry)
        if inquiry.users and (inquiry.nodes or not self._bus.is_settled):
            raise Refused("unavailable", "some nodes did not answer")
        return [user for user in users if user in inquiry.users]

    async def _ask(self, inquiry: Inquiry) -> None:
        self._number += 1
        number = self._number
        self._inquiries[number] = inquiry
        publish(self._bus, LocateUsers(self._bus.name, number, list(inquiry.users)))
        with trio.move_on_after(LOCATE_TIMEOUT_S):
            await inquiry.answered.wait()
        del self._inquiries[number]

    def note_located(self, answer: UsersLocated) -> None:
        inquiry = self._inquiries.get(answer.number)
        if inquiry is not None:
            inquiry.nodes.discard(answer.node)
            inquiry.users.difference_update(answer.users)
            if not inquiry.nodes:
                inquiry.answered.set()

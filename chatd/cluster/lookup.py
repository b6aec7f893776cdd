"""Asks all nodes where users are connected."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from chatd.cluster.control_messages import ControlMessage
from chatd.core.errors import Refused
from chatd.core.identity import UserKey

if TYPE_CHECKING:
    from chatd.cluster.cluster import Cluster

# Time that the other nodes have to answer.
FIND_TIMEOUT_S = 1.5
LOCATE_TIMEOUT_S = 2.0


class FindUser(ControlMessage, array_like=True, tag="seek"):
    """Asks which nodes have a session of this user. Only nodes that have one answer."""

    tenant: str
    user: str
    asker: str

    async def apply(self, cluster: "Cluster") -> None:
        if cluster.hub.connections.count(self.tenant, self.user):
            cluster.publish(UserFound(self.tenant, self.user, self.asker))


class UserFound(ControlMessage, array_like=True, tag="seen"):
    """The answer to `FindUser`."""

    tenant: str
    user: str
    asker: str

    async def apply(self, cluster: "Cluster") -> None:
        if self.asker == cluster.name:
            cluster.lookup.note_found((self.tenant, self.user))


class LocateUsers(ControlMessage, array_like=True, tag="who"):
    """Asks which of these users (tenant, id) are connected to each node. All nodes answer."""

    asker: str
    number: int
    users: list[tuple[str, str]]

    async def apply(self, cluster: "Cluster") -> None:
        here = [user for user in self.users if cluster.hub.connections.count(*user)]
        cluster.publish(UsersLocated(self.asker, self.number, cluster.name, here))


class UsersLocated(ControlMessage, array_like=True, tag="these"):
    """The answer to `LocateUsers`."""

    asker: str
    number: int
    node: str
    users: list[tuple[str, str]]

    async def apply(self, cluster: "Cluster") -> None:
        if self.asker == cluster.name:
            cluster.lookup.note_located(self)


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

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._sought: dict[UserKey, set[trio.Event]] = {}
        self._inquiries: dict[int, Inquiry] = {}
        self._number = 0

    async def is_connected(self, tenant: str, user: str) -> bool:
        """Whether the user is connected to this node or to one that answers in time."""
        cluster = self._cluster
        if cluster.hub.connections.count(tenant, user):
            return True
        if cluster.is_single_node:
            return False
        found, waiting = trio.Event(), self._sought.setdefault((tenant, user), set())
        waiting.add(found)
        cluster.publish(FindUser(tenant, user, cluster.name))
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
        cluster = self._cluster
        nodes = set(cluster.peers(cluster.times.silence_s))
        inquiry = Inquiry(nodes, {user for user in users if not cluster.hub.connections.count(*user)})
        if inquiry.users and inquiry.nodes:
            await self._ask(inquiry)
        if inquiry.users and (inquiry.nodes or not cluster.bus.is_settled):
            raise Refused("unavailable", "some nodes did not answer")
        return [user for user in users if user in inquiry.users]

    async def _ask(self, inquiry: Inquiry) -> None:
        self._number += 1
        number = self._number
        self._inquiries[number] = inquiry
        self._cluster.publish(LocateUsers(self._cluster.name, number, list(inquiry.users)))
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

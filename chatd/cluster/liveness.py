"""Who of many users is connected nowhere. Unlike `Cluster.is_anywhere` it knows the difference between "no" and no answer."""

from collections.abc import Sequence

import trio

from chatd.cluster import control_messages
from chatd.cluster.bus import SILENCE
from chatd.cluster.cluster import Cluster
from chatd.core.errors import Refused
from chatd.realtime.hub import Hub

User = tuple[str, str]
# Seconds that the others have to answer.
PATIENCE = 2.0


class Call:
    """One question: which nodes have not answered, and whom nobody has seen."""

    def __init__(self, nodes: set[str], users: set[User]) -> None:
        self.nodes = nodes
        self.users = users
        self.answered = trio.Event()


class RollCall:
    """Asks, and answers the others."""

    def __init__(self, hub: Hub, cluster: Cluster) -> None:
        self._hub = hub
        self._cluster = cluster
        self._calls: dict[int, Call] = {}
        self._number = 0
        cluster.on(control_messages.WhoIsHere, self._obey_who)
        cluster.on(control_messages.TheseAreHere, self._obey_these)

    async def missing(self, users: Sequence[User]) -> list[User]:
        """Those who are connected nowhere.

        Raises Refused: `unavailable` when a node has not answered, and when the bus is away or was a moment ago: a node that is
        silent may still be there then.
        """
        call = Call(set(self._cluster.peers(SILENCE)), {user for user in users if not self._hub.sessions_of(*user)})
        if call.users and call.nodes:
            await self._ask(call)
        if call.users and (call.nodes or not self._cluster.bus.is_settled):
            raise Refused("unavailable", "not every node has answered")
        return [user for user in users if user in call.users]

    async def _ask(self, call: Call) -> None:
        self._number += 1
        number = self._number
        self._calls[number] = call
        self._cluster.publish(control_messages.WhoIsHere(self._cluster.name, number, list(call.users)))
        with trio.move_on_after(PATIENCE):
            await call.answered.wait()
        del self._calls[number]

    async def _obey_who(self, order: control_messages.WhoIsHere) -> None:
        here = [user for user in order.users if self._hub.sessions_of(*user)]
        self._cluster.publish(control_messages.TheseAreHere(order.asker, order.number, self._cluster.name, here))

    async def _obey_these(self, order: control_messages.TheseAreHere) -> None:
        call = self._calls.get(order.number) if order.asker == self._cluster.name else None
        if call is not None:
            call.nodes.discard(order.node)
            call.users.difference_update(order.users)
            if not call.nodes:
                call.answered.set()

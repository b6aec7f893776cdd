"""The order of `rev` on each connection of one node, under any interleaving of commits, events of other nodes, and
repairs.
"""

import random
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.cluster.reconciler import GAP_TIMEOUT_S
from chatd.conversations.log.entries import Appended, Entry, Receipt
from chatd.conversations.log.publisher import Publisher
from chatd.conversations.messages.receipts import MessageDelivered
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import WRITES_PER_TURN, Delivery, EncodedEvent
from chatd.wire.codec import Codec, codecs

JSON = codecs([])["chatd.v1.json"]
PLACE = ("t", "c")
# Seconds of each history, in virtual time, and what the network and the database may take for one step.
LENGTH_S = 30.0
DELAYS_S = (0.0, 0.0, 0.01, 0.05, 0.2, 0.5, 1.0)


@dataclass(eq=False)
class Connection:
    """The events of one session in their order: kind and rev."""

    id: str
    user: str
    given: list[tuple[str, int]] = field(default_factory=list)
    tenant: str = "t"
    login: str = "l"
    token_id: str = "j"
    address: str = ""
    codec: Codec = JSON
    transport: str = "websocket"

    def send_nowait(self, frame: bytes, event: Delivery | None = None, /) -> bool:
        assert event is not None
        self.given.append(("behind" if b'"behind"' in frame else "event", event.rev))
        return True

    def request_close(self, close: str, reason: str = "") -> None:
        raise AssertionError(close)

    def statistics(self) -> Any:
        raise AssertionError


def check_order(connection: Connection) -> None:
    """No rev twice, none below an earlier one, and none skipped without a `behind` before it."""
    for (_, before), (kind, rev) in pairwise(connection.given):
        assert rev > before, connection.given
        assert kind == "behind" or rev == before + 1, connection.given


class OneConversation:
    """A node: its hub, the part of the log that delivers, and the repairs of `cluster/reconciler.py`.

    `rev` is the one in Postgres.
    """

    def __init__(self, rng: random.Random, writes_per_turn: int) -> None:
        self.rev = 0
        self.connections: list[Connection] = []
        self._online: list[Connection] = []
        self._rng = rng
        self._ids = count(1)
        self._hub = Hub(writes_per_turn=writes_per_turn)
        self._publisher = Publisher(self._hub.subscriptions.advance_past_gap, lambda *_: None)
        self._hub.subscriptions.gaps.use_commits(lambda *topic: self._publisher.began(topic))

    async def run(self) -> None:
        with trio.move_on_after(LENGTH_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._publisher.run)
                nursery.start_soon(self._mend)
                nursery.start_soon(self._resync)
                nursery.start_soon(self._message_log)
                nursery.start_soon(self._joins)
                for _ in range(2):
                    nursery.start_soon(self._changes)
                    nursery.start_soon(self._other_node, nursery)
                for user in "abcd":
                    nursery.start_soon(self._come_and_go, user)

    async def _pause(self) -> None:
        await trio.sleep(self._rng.choice(DELAYS_S))

    def _number(self) -> int:
        self.rev += 1
        return self.rev

    async def _come_and_go(self, user: str) -> None:
        while True:
            await self._pause()
            pending = self._hub.connections.pending.begin("t", user)
            await self._pause()
            pending.topics.append(("c", self.rev))
            await self._pause()
            connection = Connection(str(next(self._ids)), user)
            self._hub.register(connection, pending)
            self.connections.append(connection)
            self._online.append(connection)
            for _ in range(self._rng.choice([1, 5, 50])):
                await self._pause()
            self._online.remove(connection)
            self._hub.unregister(connection)

    # --- what is committed ----------------------------------------------------------------------------------------

    def _news(self, rev: int, **fields: Any) -> Delivery:
        return Delivery(EncodedEvent(MessageDelivered(conversation="c", user="u", seq=1, rev=rev)), rev, **fields)

    async def _message_log(self) -> None:
        """Batch after batch. Some answers arrive after the deadline of the sender, the outcome of some batches is
        unknown.
        """
        while True:
            await self._pause()
            senders = self._rng.choices([None, *self._online], k=self._rng.randint(1, 3))
            entries = [
                Entry(Receipt(*PLACE, "u", 0, 0, 0), partial(self._tell, sender), inf, lambda *_: None)
                for sender in senders
            ]
            with self._publisher.flight(entries) as flight:
                await self._pause()
                results = [Appended("m", 1, self._number(), 0, False, 0, 1) for _ in entries]
                await self._pause()
                if self._rng.random() < 0.2:
                    self._rng.choice(entries).decided = True
                await self._publisher.put(flight, list(zip(entries, results, strict=True)))
            if self._rng.random() < 0.1:
                await self._publisher.put_gap(*PLACE, self.rev)

    async def _tell(self, sender: Connection | None, done: Appended) -> None:
        if sender is None:
            await self._hub.subscriptions.deliver(*PLACE, self._news(done.rev))
            return

        def ack() -> None:
            if sender in self._online:
                sender.given.append(("ack", done.rev))

        await self._hub.subscriptions.deliver(*PLACE, self._news(done.rev, exclude_session=sender.id, on_delivered=ack))

    async def _changes(self) -> None:
        """Edits and other changes of this node, each on a connection of its own."""
        while True:
            await self._pause()
            rev = self._number()
            await self._pause()
            await self._hub.subscriptions.deliver(*PLACE, self._news(rev))

    async def _other_node(self, nursery: trio.Nursery) -> None:
        """The events of another node arrive in any order, twice, as `behind`, or not at all."""
        while True:
            await self._pause()
            rev = self._number()
            for _ in range(self._rng.choice([0, 1, 1, 1, 1, 2])):
                nursery.start_soon(self._arrive, rev, self._rng.random() < 0.1)

    async def _arrive(self, rev: int, is_large: bool) -> None:
        await self._pause()
        if is_large:
            await self._hub.subscriptions.report_gap(*PLACE, rev)
        else:
            await self._hub.subscriptions.deliver(*PLACE, self._news(rev))

    async def _joins(self) -> None:
        """Control messages that subscribe users to the conversation, at an old or a future rev.

        The users may be connected and subscribed already, also where their membership begins (`anew`): another node
        removed and added them while one of their acks waits for its place in the order.
        """
        while True:
            await self._pause()
            rev = self._number()
            await self._pause()
            self._hub.memberships.add(*PLACE, self._rng.sample("abcd", 2), rev, is_new_member=self._rng.random() < 0.5)
            await self._pause()
            await self._hub.subscriptions.deliver(*PLACE, self._news(rev))

    # --- repairs, as in cluster/reconciler.py ---------------------------------------------------------------------

    async def _read_rev(self) -> int:
        await self._pause()
        rev = self.rev
        await self._pause()
        return rev

    async def _mend(self) -> None:
        while True:
            await trio.sleep(GAP_TIMEOUT_S / 3)
            await self._hub.subscriptions.deliver_deferred_gaps()
            if self._hub.subscriptions.gaps.overdue(GAP_TIMEOUT_S):
                await self._hub.subscriptions.report_gap(*PLACE, await self._read_rev())

    async def _resync(self) -> None:
        while True:
            await trio.sleep(self._rng.choice([0.5, 5.0]))
            rev = await self._read_rev()
            before = self._hub.subscriptions.rev_of(*PLACE)
            self._hub.memberships.add(*PLACE, {one.user for one in self._online}, 0 if before is None else before)
            await self._hub.subscriptions.report_gap(*PLACE, rev)


@pytest.mark.parametrize("writes_per_turn", [1, WRITES_PER_TURN])
@pytest.mark.parametrize("seed", range(6))
async def test_revs_rise_by_one_or_after_behind(autojump_clock: MockClock, seed: int, writes_per_turn: int) -> None:
    """With one write per turn, sessions open, close and get more events while an event is being delivered."""
    world = OneConversation(random.Random(seed), writes_per_turn)
    await world.run()
    for connection in world.connections:
        check_order(connection)
    kinds = {kind for connection in world.connections for kind, _ in connection.given}
    assert kinds == {"event", "ack", "behind"}


async def test_an_ack_of_an_earlier_membership_follows_behind() -> None:
    """Another node removes and adds the user while their message from before the removal waits for a late event."""
    hub = Hub()
    sender, other = Connection("1", "a"), Connection("2", "b")
    for connection in (sender, other):
        pending = hub.connections.pending.begin("t", connection.user)
        pending.topics.append(("c", 0))
        hub.register(connection, pending)

    def event(rev: int, **fields: Any) -> Delivery:
        return Delivery(EncodedEvent(MessageDelivered(conversation="c", user="u", seq=1, rev=rev)), rev, **fields)

    def ack(rev: int) -> Delivery:
        return event(rev, exclude_session=sender.id, on_delivered=lambda: sender.given.append(("ack", rev)))

    await hub.subscriptions.deliver(*PLACE, event(1))
    await hub.subscriptions.deliver(*PLACE, ack(4))
    after = hub.memberships.remove_after(*PLACE, ["a"], 6)
    await hub.subscriptions.deliver(*PLACE, event(6, on_delivered=after))
    hub.memberships.add(*PLACE, ["a"], 8, is_new_member=True)
    for rev in (7, 9, 8, 2, 3):
        await hub.subscriptions.deliver(*PLACE, event(rev))
    await hub.subscriptions.deliver(*PLACE, ack(5))
    await hub.subscriptions.deliver(*PLACE, ack(10))
    # The second ack needs no `behind`: nothing was left out before it.
    own = [("event", 1), ("behind", 3), ("ack", 4), ("ack", 5), ("behind", 8), ("event", 9), ("ack", 10)]
    assert sender.given == own
    assert other.given == [("event", rev) for rev in range(1, 11)]


@pytest.mark.parametrize("known_by", ["join", "sign-in", "look-up"])
@pytest.mark.parametrize("ended_by", ["event", "gap", "members"])
async def test_an_end_that_becomes_known_late_does_not_end_the_next_membership(known_by: str, ended_by: str) -> None:
    """Other nodes remove the user at rev 5 and add them at 6. The removal arrives last, or from a look-up before the
    addition.
    """
    hub = Hub()
    connection = Connection("1", "a")
    pending = hub.connections.pending.begin("t", "a")
    pending.topics.append(("c", 6 if known_by == "sign-in" else 4))
    hub.register(connection, pending)
    if known_by == "join":
        hub.memberships.add(*PLACE, ["a"], 5, is_new_member=True)
    elif known_by == "look-up":
        hub.memberships.add(*PLACE, ["a"], 4, known_at=6)
    assert hub.subscriptions.users_of(*PLACE) == {"a"}
    late = hub.connections.pending.begin("t", "a")
    late.topics.append(("c", 6))

    async def end(rev: int) -> None:
        if ended_by == "event":
            after = hub.memberships.remove_after(*PLACE, ["a"], rev)
            left = EncodedEvent(MessageDelivered(conversation="c", user="u", seq=1, rev=rev))
            await hub.subscriptions.deliver(*PLACE, Delivery(left, rev, on_delivered=after))
            await hub.subscriptions.advance_past_gap(*PLACE, rev)
        elif ended_by == "gap":
            await hub.memberships.end_at(*PLACE, ["a"], rev)
            await hub.subscriptions.report_gap(*PLACE, rev)
        else:
            hub.memberships.remove(*PLACE, ["a"], rev)

    await end(5)
    assert (hub.subscriptions.users_of(*PLACE), late.unsubscribed) == ({"a"}, set())
    await end(9)
    assert (hub.subscriptions.users_of(*PLACE), late.unsubscribed) == (set(), {"c"})


async def test_a_lost_end_of_a_membership_waits_for_acks_before_it() -> None:
    """The removal is found in Postgres while an earlier message of the user is being committed; nothing after it is
    delivered.
    """
    hub = Hub()
    sender, other = Connection("1", "a"), Connection("2", "b")
    for connection in (sender, other):
        pending = hub.connections.pending.begin("t", connection.user)
        pending.topics.append(("c", 1))
        hub.register(connection, pending)
    committing = [trio.current_time()]
    hub.subscriptions.gaps.use_commits(lambda tenant, name: committing[0])

    def event(rev: int, **fields: Any) -> Delivery:
        return Delivery(EncodedEvent(MessageDelivered(conversation="c", user="u", seq=1, rev=rev)), rev, **fields)

    await hub.subscriptions.deliver(*PLACE, event(7))
    await hub.memberships.end_at(*PLACE, ["a", "b2"], 6)
    await hub.subscriptions.report_gap(*PLACE, 8)
    assert (sender.given, other.given) == ([], [])
    ack = event(4, exclude_session=sender.id, on_delivered=lambda: sender.given.append(("ack", 4)))
    await hub.subscriptions.deliver(*PLACE, ack)
    committing[0] = float("inf")
    await hub.subscriptions.deliver_deferred_gaps()
    assert sender.given == [("behind", 3), ("ack", 4), ("behind", 5), ("behind", 6)]
    assert other.given == [("behind", 3), ("event", 4), ("behind", 5), ("behind", 6), ("event", 7), ("behind", 8)]
    assert hub.subscriptions.users_of(*PLACE) == {"b"}

"""`storm`: all clients lose their connections at once and reconnect, while a few others exchange messages.

The clients back off as `chatd.client` does, honour Retry-After, and count as reconnected when they have synced. A
server on the loopback network sees many addresses.
"""

import heapq
import ipaddress
import itertools
import random
from array import array
from collections import Counter

from chatd.bench.client import Body, Client
from chatd.bench.run import Run
from chatd.bench.send import Sending
from chatd.client.backoff import Backoff

CANARIES = 4
CLIENTS_PER_ADDRESS = 80
CONNECT_TIMEOUT_S = 15.0


class Visitor:
    """A client that was disconnected.

    `began`: when the present attempt began. `step` changes with each attempt and each failure, so that what was planned
    for an earlier one is ignored.
    """

    __slots__ = ("backoff", "began", "is_back", "is_waiting", "step", "sync_id")

    def __init__(self) -> None:
        # Not used for secrets.
        self.backoff = Backoff(random.random)
        self.began = 0.0
        self.step = 0
        self.sync_id = 0
        self.is_waiting = False
        self.is_back = True


class Storm(Sending):
    """Operation n is a message of one of the clients that stay. The first measured operation begins the storm."""

    name = "storm"
    raises_limits = False
    turn_s = 0.01

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._conversations: list[str] = []
        self._visitors: dict[str, Visitor] = {}
        self._due: list[tuple[float, int, Client, int]] = []
        self._order = itertools.count()
        self._began = 0.0
        self._refused: Counter[str] = Counter()

    def prepare(self) -> None:
        self._conversations = self.run.pairs(CANARIES)
        is_local = ipaddress.ip_address(self.run.target.address[0]) in ipaddress.ip_network("127.0.0.0/8")
        visitors = [
            self.run.new_client(address(number) if is_local else "") for number in range(self.run.options.connections)
        ]
        self.run.connect_all(visitors)
        self._visitors = {client.user: Visitor() for client in visitors}

    def fire(self, number: int, now: float) -> None:
        if number == self.run.options.unmeasured:
            self._disconnect_all(now)
        place = number % CANARIES
        clients = self.run.clients
        self.send(clients[place], self._conversations[place // 2], [clients[place ^ 1]], number, now)

    @property
    def open(self) -> int:
        return super().open + sum(not visitor.is_back for visitor in self._visitors.values())

    def figures(self) -> dict[str, float]:
        count = len(self._visitors)
        refused = self._refused.total()
        kinds = {f"of these: {reason}": float(times) for reason, times in self._refused.items()}
        return {"refused attempts per client": refused / count, **kinds}

    def on_turn(self, now: float) -> None:
        """Start the attempts that are due, and give up those without an answer."""
        while self._due and self._due[0][0] <= now:
            _, _, client, step = heapq.heappop(self._due)
            visitor = self._visitors[client.user]
            if visitor.is_back or visitor.step != step:
                continue
            if visitor.is_waiting:
                self._attempt(client, visitor, now)
            else:
                client.abandon(now)
                self._fail(client, visitor, "timed out", now)

    def on_connected(self, client: Client, now: float) -> None:
        visitor = self._visitors[client.user]
        self._record("handshake", now - visitor.began)
        visitor.sync_id = client.command({"t": "session.sync"})

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        visitor = self._visitors.get(client.user)
        if visitor is None or frame_id != visitor.sync_id or visitor.is_back:
            return
        if body.t == "error":
            client.abandon(now)
            self._fail(client, visitor, f"sync refused: {body.code}", now)
            return
        visitor.is_back = True
        visitor.backoff.connected(now)
        self._record("synced, since the disconnect", now - self._began)

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        visitor = self._visitors.get(client.user)
        if visitor is None or visitor.is_back:
            super().on_ended(client, reason, now)
        else:
            self._fail(client, visitor, reason, now)

    def _disconnect_all(self, now: float) -> None:
        self._began = now
        for client in self.run.clients:
            if visitor := self._visitors.get(client.user):
                client.abandon(now)
                visitor.is_back = False
                self._retry(client, visitor, now, None)

    def _attempt(self, client: Client, visitor: Visitor, now: float) -> None:
        visitor.began, visitor.is_waiting = now, False
        visitor.step += 1
        self._later(client, visitor, now + CONNECT_TIMEOUT_S)
        try:
            client.connect()
        except OSError as error:
            self._fail(client, visitor, error.strerror or "error", now)

    def _fail(self, client: Client, visitor: Visitor, reason: str, now: float) -> None:
        self._refused[reason] += 1
        self._retry(client, visitor, now, client.retry_after_s)

    def _retry(self, client: Client, visitor: Visitor, now: float, requested_s: float | None) -> None:
        visitor.is_waiting = True
        visitor.step += 1
        self._later(client, visitor, now + visitor.backoff.next_wait(now, requested_s))

    def _later(self, client: Client, visitor: Visitor, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._order), client, visitor.step))

    def _record(self, name: str, seconds: float) -> None:
        self.run.result.latencies.setdefault(name, array("d")).append(seconds)


def address(number: int) -> str:
    """The local address of a client, which at most CLIENTS_PER_ADDRESS clients share."""
    group = number // CLIENTS_PER_ADDRESS
    return f"127.{1 + group // 250}.1.{1 + group % 250}"

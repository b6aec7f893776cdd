"""`typing`: typing events in direct conversations. The database is not used."""

from collections import deque

from chatd.bench.client import Body, Client
from chatd.bench.run import Run, Scenario

KINDS = ("typing.start", "typing.stop")


class TypingEvents:
    """Typing events under way. They have no ids, and may be dropped: each arrival is the oldest of its kind."""

    def __init__(self, run: Run) -> None:
        self.unanswered: dict[tuple[str, int], int] = {}
        self.dropped = 0
        self._run = run
        self._counts: dict[str, int] = {}
        self._awaited: dict[str, deque[tuple[str, int]]] = {}

    def send(self, client: Client, partner: Client, conversation: str, number: int) -> None:
        """Start or stop typing, in turns."""
        if not client.is_connected:
            return
        count = self._counts[client.user] = self._counts.get(client.user, -1) + 1
        kind = KINDS[count % 2]
        self.unanswered[client.user, client.command({"t": kind, "conversation": conversation})] = number
        if partner.is_connected:
            self._awaited.setdefault(partner.user, deque()).append((kind, number))

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        number = self.unanswered.pop((client.user, frame_id), None)
        if number is None:
            return
        if body.t == "error":
            self._run.result.refusals[body.code] += 1
        else:
            self._run.record("answer to typing", number, now)

    def on_event(self, client: Client, body: Body, now: float) -> None:
        awaited = self._awaited.get(client.user)
        while body.t in KINDS and awaited:
            kind, number = awaited.popleft()
            if kind == body.t:
                self._run.record("typing delivery", number, now)
                return
            self.dropped += 1

    def on_ended(self, client: Client) -> None:
        self._awaited.pop(client.user, None)
        self.unanswered = {key: number for key, number in self.unanswered.items() if key[0] != client.user}

    @property
    def undelivered(self) -> int:
        return self.dropped + sum(map(len, self._awaited.values()))


class Typing(Scenario):
    """Operation n is a typing event of client n modulo the number of clients."""

    name = "typing"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._events = TypingEvents(run)
        self._conversations: list[str] = []

    def prepare(self) -> None:
        self._conversations = self.run.pairs()

    def fire(self, number: int, now: float) -> None:
        clients = self.run.clients
        place = number % len(clients)
        self._events.send(clients[place], clients[place ^ 1], self._conversations[place // 2], number)

    @property
    def open(self) -> int:
        return len(self._events.unanswered)

    def figures(self) -> dict[str, float]:
        return {"events not delivered": self._events.undelivered}

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        self._events.on_answer(client, frame_id, body, now)

    def on_event(self, client: Client, body: Body, now: float) -> None:
        self._events.on_event(client, body, now)

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        super().on_ended(client, reason, now)
        self._events.on_ended(client)

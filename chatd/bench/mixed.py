"""`mixed`: what users of a messenger do, in direct conversations."""

from chatd.bench.client import Body, Client, Message
from chatd.bench.run import Run
from chatd.bench.send import Sending
from chatd.bench.typing import TypingEvents

# Of ten operations: four messages, three typing events, two read receipts, one page of history.
ORDER = ("type", "send", "read", "type", "send", "read", "send", "type", "history", "send")
HISTORY_LIMIT = 20


class Mixed(Sending):
    """Clients take turns; after each round over all clients, the next kind of operation follows for each."""

    name = "mixed"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._typing = TypingEvents(run)
        self._conversations: list[str] = []
        self._seqs: dict[str, int] = {}
        self._reads: dict[tuple[str, int], tuple[str, int]] = {}

    def prepare(self) -> None:
        self._conversations = self.run.pairs()

    def fire(self, number: int, now: float) -> None:
        clients = self.run.clients
        round_, place = divmod(number, len(clients))
        client, partner, conversation = clients[place], clients[place ^ 1], self._conversations[place // 2]
        if not client.is_connected:
            return
        # Begin at another place of the order for each client, so that the kinds are spread over time.
        kind = ORDER[(round_ + place) % len(ORDER)]
        if kind == "send":
            self.send(client, conversation, [partner], number, now)
        elif kind == "type":
            self._typing.send(client, partner, conversation, number)
        elif kind == "read" and (seq := self._seqs.get(client.user, 0)):
            self._ask(client, {"t": "receipt.read", "conversation": conversation, "seq": seq}, "read receipt", number)
        else:
            command = {"t": "message.history", "conversation": conversation, "limit": HISTORY_LIMIT}
            self._ask(client, command, "history", number)

    def _ask(self, client: Client, command: dict[str, object], name: str, number: int) -> None:
        self._reads[client.user, client.command(command)] = (name, number)

    @property
    def open(self) -> int:
        return super().open + len(self._typing.unanswered) + len(self._reads)

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        self._typing.on_answer(client, frame_id, body, now)
        if asked := self._reads.pop((client.user, frame_id), None):
            if body.t == "error":
                self.run.result.refusals[body.code] += 1
            else:
                self.run.record(asked[0], asked[1], now)

    def on_event(self, client: Client, body: Body, now: float) -> None:
        self._typing.on_event(client, body, now)

    def on_message(self, client: Client, message: Message, now: float) -> None:
        super().on_message(client, message, now)
        self._seqs[client.user] = max(message.seq, self._seqs.get(client.user, 0))

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        super().on_ended(client, reason, now)
        self._typing.on_ended(client)
        self._reads = {key: asked for key, asked in self._reads.items() if key[0] != client.user}

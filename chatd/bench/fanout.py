"""`fanout`: messages in one group, each delivered to all other members."""

from chatd.bench.client import Client, Message
from chatd.bench.run import Run
from chatd.bench.send import Sending


class Fanout(Sending):
    """All clients are members of one group; operation n is a message of client n modulo their number."""

    name = "fanout"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._conversation = ""
        self._missing: dict[int, int] = {}

    def prepare(self) -> None:
        clients = [self.run.new_client() for _ in range(max(3, self.run.options.connections))]
        self.run.connect_all(clients)
        self._conversation = self.run.conversation(clients)

    def fire(self, number: int, now: float) -> None:
        client = self.run.clients[number % len(self.run.clients)]
        others = [other for other in self.run.clients if other is not client]
        self._missing[number] = sum(other.is_connected for other in others)
        self.send(client, self._conversation, others, number, now)

    def on_message(self, client: Client, message: Message, now: float) -> None:
        before = len(self._awaited)
        super().on_message(client, message, now)
        if len(self._awaited) < before:
            number = int(message.client_id)
            self._missing[number] -= 1
            if not self._missing[number]:
                self.run.record("delivery to the last member", number, now)

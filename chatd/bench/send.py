"""`send`: messages in direct conversations. Each has to be committed, acknowledged, and delivered to the other user."""

from chatd.bench.client import Body, Client, Message
from chatd.bench.run import Run, Scenario


class Sending(Scenario):
    """Messages whose number is their `client_id`, each awaited by its sender and by the other members.

    `returns`: whether clients reconnect after their connection has ended, and sync.
    """

    returns = False

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._text = "x" * run.options.text_bytes
        # The sender of each message without an outcome.
        self._unanswered: dict[int, str] = {}
        self._awaited: set[tuple[int, str]] = set()
        self._recipients: dict[int, list[str]] = {}

    def send(self, client: Client, conversation: str, recipients: list[Client], number: int, now: float) -> None:
        if client.is_connected:
            client.send(conversation, str(number), self._text, now)
            self._unanswered[number] = client.user
            users = [other.user for other in recipients if other.is_connected or self.returns]
            self._recipients[number] = users
            self._awaited.update((number, user) for user in users)

    @property
    def open(self) -> int:
        return len(self._unanswered) + len(self._awaited)

    def on_outcome(self, client: Client, client_id: str, body: Body, now: float) -> None:
        number = int(client_id)
        self._unanswered.pop(number, None)
        if body.t == "message.ack":
            self.run.record("ack", number, now)
        else:
            self.run.result.refusals[body.code] += 1
            self._give_up(number)

    def on_message(self, client: Client, message: Message, now: float) -> None:
        if not message.system and (awaited := (int(message.client_id), client.user)) in self._awaited:
            self._awaited.remove(awaited)
            self.run.record("delivery", awaited[0], now)

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        super().on_ended(client, reason, now)
        self._awaited = {awaited for awaited in self._awaited if awaited[1] != client.user}
        for number in [number for number, user in self._unanswered.items() if user == client.user]:
            del self._unanswered[number]
            self._give_up(number)

    def _give_up(self, number: int) -> None:
        """Stop waiting for members to receive this message."""
        self._awaited.difference_update((number, user) for user in self._recipients[number])


class Send(Sending):
    """Operation n is a message of client n modulo the number of clients."""

    name = "send"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._conversations: list[str] = []

    def prepare(self) -> None:
        self._conversations = self.run.pairs()

    def fire(self, number: int, now: float) -> None:
        clients = self.run.clients
        place = number % len(clients)
        self.send(clients[place], self._conversations[place // 2], [clients[place ^ 1]], number, now)

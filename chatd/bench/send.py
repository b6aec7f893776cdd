"""`send`: messages in direct conversations. Each has to be committed, acknowledged, and delivered to the other user."""

from chatd.bench.client import Body, Client, Message
from chatd.bench.run import Run, Scenario


class Sending(Scenario):
    """Messages whose number is their `client_id`, each awaited by its sender and by the other members."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._text = "x" * run.options.text_bytes
        self._unanswered: dict[tuple[str, int], int] = {}
        self._awaited: set[tuple[int, str]] = set()
        self._recipients: dict[int, list[str]] = {}

    def send(self, client: Client, conversation: str, recipients: list[Client], number: int, now: float) -> None:
        if client.is_connected:
            frame_id = client.send(conversation, str(number), self._text, now)
            self._unanswered[client.user, frame_id] = number
            self._recipients[number] = users = [other.user for other in recipients if other.is_connected]
            self._awaited.update((number, user) for user in users)

    @property
    def open(self) -> int:
        return len(self._unanswered) + len(self._awaited)

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        number = self._unanswered.pop((client.user, frame_id), None)
        if number is None:
            return
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
        for key in [key for key in self._unanswered if key[0] == client.user]:
            self._give_up(self._unanswered.pop(key))

    def _give_up(self, number: int) -> None:
        """No member has to receive this message."""
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

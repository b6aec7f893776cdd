"""`resume`: connections end without notice, and the clients reconnect and catch up, while messages are sent."""

from chatd.bench.client import Client
from chatd.bench.run import Run
from chatd.bench.send import Sending


class Resume(Sending):
    """By turns, client n sends a message, and its partner loses its connection, reconnects at once and syncs.

    A message whose ack is lost with the connection is sent again with the same `client_id`.
    """

    name = "resume"
    returns = True

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._conversations: list[str] = []
        self._resuming: dict[str, int] = {}
        self._skipped = 0

    def prepare(self) -> None:
        self._conversations = self.run.pairs()

    def fire(self, number: int, now: float) -> None:
        clients = self.run.clients
        turn, is_cut = divmod(number, 2)
        place = turn % len(clients)
        if is_cut:
            self._cut(clients[place ^ 1], number, now)
        else:
            self.send(clients[place], self._conversations[place // 2], [clients[place ^ 1]], number, now)

    def _cut(self, client: Client, number: int, now: float) -> None:
        """End the connection of a client, unless it is still reconnecting."""
        if not client.is_connected or client.user in self._resuming:
            self._skipped += 1
            return
        client.abandon(now)
        self._resuming[client.user] = number
        client.connect()

    @property
    def open(self) -> int:
        return super().open + len(self._resuming)

    def figures(self) -> dict[str, float]:
        return {"skipped, still reconnecting": self._skipped}

    def on_connected(self, client: Client, now: float) -> None:
        if client.user in self._resuming:
            self.run.record("connected", self._resuming[client.user], now)
            client.resume(now)

    def on_synced(self, client: Client, now: float) -> None:
        if (number := self._resuming.pop(client.user, None)) is not None:
            self.run.record("complete again", number, now)

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        super().on_ended(client, reason, now)
        self._resuming.pop(client.user, None)

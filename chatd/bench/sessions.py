"""`connect` and `idle`: authenticated connections, and the memory that they use."""

import errno
import time
from collections import deque

from chatd.bench.client import Body, Client
from chatd.bench.processes import resident_bytes
from chatd.bench.run import Run, Scenario


class Connect(Scenario):
    """Operation n connects a new user; the oldest connection ends when there are more than `connections`."""

    name = "connect"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._opening: dict[str, int] = {}
        self._connected: deque[Client] = deque()

    def fire(self, number: int, now: float) -> None:
        client = self.run.new_client()
        try:
            client.connect()
        except OSError as error:
            self.run.result.ended[errno.errorcode.get(error.errno or 0, "error")] += 1
            return
        self._opening[client.user] = number

    @property
    def open(self) -> int:
        return len(self._opening)

    def on_connected(self, client: Client, now: float) -> None:
        self.run.record("connected", self._opening.pop(client.user), now)
        self._connected.append(client)
        while len(self._connected) > self.run.options.connections:
            self._connected.popleft().abandon(now)

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        super().on_ended(client, reason, now)
        self._opening.pop(client.user, None)


class Idle(Scenario):
    """Operation n is a ping of client n modulo the number of clients; apart from that they are silent."""

    name = "idle"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._pings: dict[tuple[str, int], int] = {}
        self._before = 0

    def prepare(self) -> None:
        """Connect all clients. The first ones warm the server up, and are not counted in the memory per session."""
        count = self.run.options.connections
        clients = [self.run.new_client() for _ in range(count)]
        warm = clients[: count // 10]
        if warm:
            self.run.connect_all(warm)
        self._before = resident_bytes(self.run.target.pid) if self.run.target.pid else 0
        self.run.connect_all(clients[len(warm) :])

    def fire(self, number: int, now: float) -> None:
        client = self.run.clients[number % len(self.run.clients)]
        if client.is_connected:
            frame_id = client.command({"t": "ping", "ts": int(time.time() * 1000)})
            self._pings[client.user, frame_id] = number

    @property
    def open(self) -> int:
        return len(self._pings)

    def figures(self) -> dict[str, float]:
        count = len(self.run.clients) - len(self.run.clients) // 10
        if not self._before:
            return {}
        return {"KB per session": (resident_bytes(self.run.target.pid) - self._before) / count / 1024}

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        number = self._pings.pop((client.user, frame_id), None)
        if number is None:
            return
        if body.t == "error":
            self.run.result.refusals[body.code] += 1
        else:
            self.run.record("ping", number, now)

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        super().on_ended(client, reason, now)
        self._pings = {key: number for key, number in self._pings.items() if key[0] != client.user}

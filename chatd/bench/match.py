"""`match`: users search for partners, find them, and leave."""

from collections import deque

from chatd.bench.client import Body, Client
from chatd.bench.run import Run, Scenario


class Match(Scenario):
    """Operation n is a search of the client that has been free for the longest time. Both partners leave at once."""

    name = "match"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._free: deque[Client] = deque()
        # The operation of each client that searches.
        self._searching: dict[str, int] = {}
        self._unanswered: dict[tuple[str, int], str] = {}
        self._skipped = 0

    def prepare(self) -> None:
        clients = [self.run.new_client() for _ in range(max(2, self.run.options.connections))]
        self.run.connect_all(clients)
        self._free.extend(clients)

    def fire(self, number: int, now: float) -> None:
        if not self._free:
            self._skipped += 1
            return
        client = self._free.popleft()
        self._searching[client.user] = number
        self._ask(client, "match.find")

    def _ask(self, client: Client, command: str) -> None:
        self._unanswered[client.user, client.command({"t": command})] = command

    @property
    def open(self) -> int:
        return len(self._unanswered)

    def figures(self) -> dict[str, float]:
        return {"still searching": len(self._searching), "skipped, no user was free": self._skipped}

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        command = self._unanswered.pop((client.user, frame_id), "")
        if command == "match.find" and body.t == "error":
            self.run.result.refusals[body.code] += 1
            self._searching.pop(client.user, None)
            self._free.append(client)
        elif command == "match.leave":
            # Refused if the partner was faster: the match has ended either way.
            self._free.append(client)

    def on_event(self, client: Client, body: Body, now: float) -> None:
        number = self._searching.pop(client.user, None) if body.t in ("match.found", "match.expired") else None
        if number is None:
            return
        if body.t == "match.found":
            self.run.record("match found", number, now)
            self._ask(client, "match.leave")
        else:
            self.run.result.refusals["expired"] += 1
            self._free.append(client)

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        super().on_ended(client, reason, now)
        self._searching.pop(client.user, None)
        self._unanswered = {key: command for key, command in self._unanswered.items() if key[0] != client.user}
        if client in self._free:
            self._free.remove(client)

"""One run: connect, warm up, fire operations at their planned times, wait for the rest, check the logs.

The load is open: an operation starts at its planned time, whether or not earlier ones are answered, and its latency
counts from the planned time. So a server that stalls is charged for every operation that it delays (Tene, "How NOT to
Measure Latency"), which a closed loop hides.
"""

import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from chatd.bench.client import Body, Client, Decoded, Message
from chatd.bench.connection import Loop
from chatd.bench.processes import cpu_s, family, with_helpers
from chatd.bench.result import Result, percentiles
from chatd.bench.target import Target
from chatd.bench.verdict import judge

# Handshakes at the same time before the measurement, and the pause after one that was refused.
MAX_HANDSHAKES = 20
RETRY_S = 1.0
PREPARE_TIMEOUT_S = 60.0
DRAIN_TIMEOUT_S = 10.0
TURN_S = 0.1
# Operations between two polls of the sockets.
MAX_BURST = 64
PROGRESS_S = 0.2
# Beyond these the figures are those of the load generator.
MAX_OWN_CPU = 0.9
MAX_LATE_MS = 20.0
Progress = Callable[[str, float], None]


class RunFailed(Exception):
    """The run cannot continue; the text names the reason."""


@dataclass(frozen=True)
class Options:
    """The options of a run. `rate` in operations per second. Operations of the first `warm_up_s` are not measured."""

    connections: int = 100
    rate: float = 100.0
    seconds: float = 10.0
    warm_up_s: float = 2.0
    text_bytes: int = 100
    prepare_timeout_s: float = PREPARE_TIMEOUT_S
    drain_timeout_s: float = DRAIN_TIMEOUT_S

    @property
    def unmeasured(self) -> int:
        return int(self.rate * self.warm_up_s)

    @property
    def operations(self) -> int:
        return self.unmeasured + max(1, int(self.rate * self.seconds))


class Scenario:
    """A kind of load: a subclass fires operations.

    `raises_limits`: a server that is started for this load has raised limits, because one address makes all of it.
    """

    name = ""
    raises_limits = True
    turn_s = TURN_S

    def __init__(self, run: "Run") -> None:
        self.run = run

    @property
    def open(self) -> int:
        """The number of answers and deliveries that are still to come."""
        return 0

    def prepare(self) -> None:
        """Connect clients and create conversations."""

    def fire(self, number: int, now: float) -> None:
        """Start the operation with this number."""

    def figures(self) -> dict[str, float]:
        """Further figures, at the end of the run."""
        return {}

    def on_connected(self, client: Client, now: float) -> None:
        """A client is connected."""

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        self.run.result.ended[reason] += 1

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        """A command other than a message or a sync is answered."""

    def on_outcome(self, client: Client, client_id: str, body: Body, now: float) -> None:
        """A message is acknowledged or refused."""

    def on_synced(self, client: Client, now: float) -> None:
        """A client that missed something is complete again."""

    def on_turn(self, now: float) -> None:
        """Called at least every `turn_s`."""

    def on_event(self, client: Client, body: Body, now: float) -> None:
        """An event has arrived."""

    def on_message(self, client: Client, message: Message, now: float) -> None:
        """A message has arrived in an event or in a sync."""


class Preparation:
    """Handler until the operations begin: the answers, and the reasons of refused connections."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], Body] = {}
        self.refused: list[Client] = []
        self.reasons: Counter[str] = Counter()

    def on_connected(self, client: Client, now: float) -> None:
        """Do nothing: `Client.is_connected` is set."""

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        self.refused.append(client)
        self.reasons[reason] += 1

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        self.answers[client.user, frame_id] = body

    def on_outcome(self, client: Client, client_id: str, body: Body, now: float) -> None:
        """No messages are sent."""

    def on_synced(self, client: Client, now: float) -> None:
        """No client is behind."""

    def on_event(self, client: Client, body: Body, now: float) -> None:
        """Events of new conversations."""

    def on_message(self, client: Client, message: Message, now: float) -> None:
        """The first message of a group is one of the system."""


class Run:
    """A run against one server. `database`: the postmaster of a Postgres on this machine; 0 if unknown."""

    def __init__(self, target: Target, options: Options, progress: Progress, database: int = 0) -> None:
        self.target, self.options, self.loop = target, options, Loop()
        self.clients: list[Client] = []
        self.result = Result("", {})
        self._progress, self._database = progress, database
        self._shown_at = 0.0
        self._decode = Decoded()
        self._handler: Preparation | Scenario = Preparation()
        self._start = 0.0
        self._late = array("d")

    # Clients forward to the handler of the phase.

    def on_connected(self, client: Client, now: float) -> None:
        self._handler.on_connected(client, now)

    def on_ended(self, client: Client, reason: str, now: float) -> None:
        self._handler.on_ended(client, reason, now)

    def on_answer(self, client: Client, frame_id: int, body: Body, now: float) -> None:
        self._handler.on_answer(client, frame_id, body, now)

    def on_outcome(self, client: Client, client_id: str, body: Body, now: float) -> None:
        self._handler.on_outcome(client, client_id, body, now)

    def on_synced(self, client: Client, now: float) -> None:
        self._handler.on_synced(client, now)

    def on_event(self, client: Client, body: Body, now: float) -> None:
        self._handler.on_event(client, body, now)

    def on_message(self, client: Client, message: Message, now: float) -> None:
        self._handler.on_message(client, message, now)

    def new_client(self, source: str = "") -> Client:
        """A client that is not connected yet. `source`: the local address to connect from."""
        client = Client(self.loop, self.target, str(uuid4()), self, self._decode, source)
        self.clients.append(client)
        return client

    def planned(self, number: int) -> float:
        """The planned time of an operation."""
        return self._start + number / self.options.rate

    def record(self, name: str, number: int, now: float) -> None:
        """Record the latency `name` of the operation `number`, which ends now."""
        if number >= self.options.unmeasured:
            planned = self.planned(number)
            self.result.latencies.setdefault(name, array("d")).append(now - planned)
            self.result.planned.setdefault(name, array("d")).append(planned - self._start - self.options.warm_up_s)

    def execute(self, kind: type[Scenario]) -> Result:
        """Run a scenario. Raises RunFailed."""
        scenario = kind(self)
        self.result = Result(kind.name, vars(self.options) | {"server": self.target.host})
        try:
            scenario.prepare()
            self._handler = scenario
            self._fire_all(scenario)
            self._drain(scenario)
            self.result.figures |= scenario.figures()
            self.result.verdict = judge([client.log for client in self.clients])
        finally:
            self.loop.close()
        return self.result

    def connect_all(self, clients: Sequence[Client]) -> None:
        """Connect these clients, and try again those that the server refuses for now. Raises RunFailed."""
        preparation = self._handler
        assert isinstance(preparation, Preparation)
        waiting, opening = list(reversed(clients)), list[Client]()
        deadline = time.perf_counter() + self.options.prepare_timeout_s
        while waiting or opening:
            while waiting and len(opening) < MAX_HANDSHAKES:
                self._open(waiting[-1])
                opening.append(waiting.pop())
            self.loop.turn(TURN_S)
            opening = [client for client in opening if not client.is_connected and client not in preparation.refused]
            self.show("connecting", 1 - (len(waiting) + len(opening)) / len(clients))
            if preparation.refused:
                waiting += preparation.refused
                preparation.refused.clear()
                self._wait(RETRY_S)
            if time.perf_counter() > deadline:
                raise RunFailed(
                    f"{len(waiting) + len(opening)} clients cannot connect: {reasons_text(preparation.reasons)}"
                )

    def ask(self, client: Client, command: dict[str, object]) -> Body:
        """Send a command before the measurement, and wait for its answer. Raises RunFailed if it is refused."""
        preparation = self._handler
        assert isinstance(preparation, Preparation)
        key = (client.user, client.command(command))
        deadline = time.perf_counter() + self.options.prepare_timeout_s
        while key not in preparation.answers:
            self.loop.turn(TURN_S)
            if time.perf_counter() > deadline or not client.is_connected:
                raise RunFailed(f"the server did not answer {command['t']}; {reasons_text(preparation.reasons)}")
        answer = preparation.answers.pop(key)
        if answer.t == "error":
            raise RunFailed(f"the server refused {command['t']}: {answer.code}, {answer.message}")
        return answer

    def conversation(self, members: Sequence[Client]) -> str:
        """Create a conversation of connected clients."""
        first, *others = members
        if len(others) == 1:
            command: dict[str, object] = {"t": "conversation.open", "user": others[0].user}
        else:
            command = {"t": "conversation.create", "members": [other.user for other in others]}
        made = self.ask(first, command).conversation
        assert not isinstance(made, str)
        now = time.perf_counter()
        for member in members:
            member.join(made.id, made.rev, now)
        return made.id

    def pairs(self, count: int = 0) -> list[str]:
        """Connect pairs of users, partners in adjacent places, and return the conversation of each pair.

        `count`: the number of users; by default that of the options.
        """
        pairs = max(1, (count or self.options.connections) // 2)
        clients = [self.new_client() for _ in range(2 * pairs)]
        self.connect_all(clients)
        made = []
        for number in range(0, len(clients), 2):
            made.append(self.conversation(clients[number : number + 2]))
            self.show("creating conversations", number / len(clients))
        return made

    def show(self, what: str, share: float) -> None:
        now = time.perf_counter()
        if now - self._shown_at >= PROGRESS_S:
            self._shown_at = now
            self._progress(what, share)

    def _open(self, client: Client) -> None:
        try:
            client.connect()
        except OSError as error:
            raise RunFailed(f"a connection cannot be opened: {error.strerror}") from None

    def _wait(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.loop.turn(left)

    def _fire_all(self, scenario: Scenario) -> None:
        """Start every operation at its planned time, and measure from the end of the warm-up."""
        total, number, measured = self.options.operations, 0, self.options.unmeasured
        self._start = time.perf_counter() + TURN_S
        cpu = (0.0, 0.0, 0.0)
        while number < total:
            burst = 0
            while number < total and burst < MAX_BURST and (now := time.perf_counter()) >= self.planned(number):
                if number == measured:
                    cpu = self._cpu()
                if number >= measured:
                    self._late.append(now - self.planned(number))
                scenario.fire(number, now)
                number, burst = number + 1, burst + 1
            self.show("warm-up" if number < measured else "measuring", number / total)
            wait = self.planned(number) - time.perf_counter() if number < total else 0.0
            self.loop.turn(max(0.0, min(wait, scenario.turn_s)))
            scenario.on_turn(time.perf_counter())
        # The time after the last operation counts too.
        self._wait(self.planned(number) - time.perf_counter())
        self._measure(time.perf_counter() - self.planned(measured), cpu)

    def _cpu(self) -> tuple[float, float, float]:
        """CPU seconds of the load generator, of the server, and of Postgres."""
        server = with_helpers(self.target.pid) if self.target.pid else []
        return time.process_time(), cpu_s(server), cpu_s(family(self._database) if self._database else [])

    def _measure(self, seconds: float, before: tuple[float, float, float]) -> None:
        own, server, database = (after - earlier for after, earlier in zip(self._cpu(), before, strict=True))
        count = self.options.operations - self.options.unmeasured
        figures = {"operations per second": count / seconds, "load generator CPU %": own / seconds * 100}
        if self.target.pid:
            figures |= {"server CPU %": server / seconds * 100, "server us per operation": server / count * 1e6}
        if self._database:
            figures |= {"Postgres us per operation": database / count * 1e6}
        self.result.figures = figures
        self._warn(own / seconds)

    def _warn(self, own_cpu: float) -> None:
        """Warn if the load generator was the bottleneck."""
        late = percentiles(self._late)
        if own_cpu > MAX_OWN_CPU:
            self.result.warnings.append(
                f"the load generator used {own_cpu:.0%} of a core: its own delays are part of the latencies; "
                "use a lower rate, or several of them"
            )
        if late and late.p99 > MAX_LATE_MS:
            self.result.warnings.append(
                f"the load generator fell behind its plan (p99 {late.p99:.0f} ms): these delays are part of the "
                "latencies; use a lower rate, or run it on another machine"
            )

    def _drain(self, scenario: Scenario) -> None:
        """Wait for outstanding answers and deliveries."""
        deadline = time.perf_counter() + self.options.drain_timeout_s
        while scenario.open > 0 or not all(client.is_complete for client in self.clients if client.is_connected):
            if time.perf_counter() > deadline:
                self.result.unfinished = scenario.open
                return
            self.loop.turn(scenario.turn_s)
            scenario.on_turn(time.perf_counter())
            self.show("waiting for the last answers", 1.0)


def reasons_text(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} ({count} times)" for reason, count in reasons.most_common()) or "no answer"

"""Random histories: every command on conversations, in any order, on two nodes, with devices that come and go.

The property: the state of a device after any history (old state and changes) equals what a fresh client reads, and what
the tables contain.

python -m tests.property.histories --seeds 1 2 3 --steps 5000
"""

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import trio
import trio_asyncio
from trio_websocket import ConnectionRejected

from chatd.client import Account, Refused, sign_up
from chatd.client.link import Disconnected
from chatd.conversations.settings import ConsentSettings
from chatd.core.config import Config, PostgresSection
from chatd.db.embedded import postgres as embedded_postgres
from chatd.db.embedded import redis as embedded_redis
from chatd.db.postgres import Postgres, open_postgres
from chatd.matching.settings import MatchSettings, QueueSettings
from chatd.people.announcements import AnnouncementTunables
from chatd.people.settings import PeopleSettings
from chatd.people.subsystem import PEOPLE, open_people
from tests.cluster.test_two_nodes import nodes
from tests.conftest import QUICK, Servers, config_for, database, start, stop
from tests.property import backend, judge
from tests.property.backend import BackendWorld, Request
from tests.property.deeds import BACKEND, BLOCKING, CONSENT, DEEDS, MATCHING, Command, Deed, World, draw
from tests.property.device import Device
from tests.property.mirror import RECEIPTS
from tests.server_api.backend import backend_of
from tests.support import Answer, Daemon, altered


@dataclass(frozen=True)
class Kind:
    """A kind of history: the number of users, the frequency of each deed, and the probability that a device disconnects.

    `absences`: a user disconnects all devices for longer than `match.grace`, once between two checks. `in_match` and
    `queues`: see `World`.
    """

    people: int
    deeds: dict[Deed, int]
    away: float = 0.06
    absences: bool = False
    in_match: float = 0.0
    queues: tuple[str, ...] = ("default",)
    # The probability that the backend acts beside the devices, each of which has a login of its own then.
    backend: float = 0.0


KINDS = {
    "all": Kind(5, DEEDS),
    "blocking": Kind(3, BLOCKING),
    "consent": Kind(5, CONSENT, away=0.1),
    "backend": Kind(4, BACKEND, away=0.08, backend=0.8),
    "matching": Kind(4, MATCHING, away=0.12, absences=True, in_match=0.7, queues=(*["default"] * 8, "trio", "asking")),
}
# Users are matched with the same few partners again, and a match ends soon after the last device has disconnected.
MATCH_SETTINGS = MatchSettings(recent=0, grace=0.5)
# Requests are seldom refused.
CONSENT_SETTINGS = ConsentSettings(requests_per_day=10_000, declines_to_halve=1000)
QUEUES = {"trio": QueueSettings(size=3), "asking": QueueSettings(confirm=2.0)}
# The maximum number of concurrent deeds, of steps between two checks, and of seconds until all events are delivered.
AT_ONCE, BETWEEN, PATIENCE = 6, 100, 15.0
# The probability that a device catches up, and that it stops after the first page.
CATCH_UP, FIRST_PAGE = 0.35, 0.1
# Changes of a profile are announced soon, and handles are seldom refused because of their number.
QUICKLY = altered(replace(PEOPLE, open=partial(open_people, tunables=AnnouncementTunables(interval_s=0.5))))
PEOPLE_SETTINGS = PeopleSettings(handle_changes=10_000, handle_hold_days=1)
# Refusals that no command of a history may get.
BUGS = ("internal", "timeout")
OK, UNAUTHENTICATED = 200, 401
# The probability that a receipt is sent under id 0.
UNANSWERED = 0.3


@dataclass
class Report:
    """The deeds, and the differences found."""

    seed: int
    steps: int = 0
    judged: int = 0
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.steps} steps, {self.judged} judgements, {len(self.wrong)} wrong"]
        return "\n  ".join([*lines, *self.wrong[:40]])


class History:
    """One seed. The commands are the same for each seed; the order in which they reach the database is not."""

    def __init__(self, seed: int, kind: Kind, db: Postgres, nursery: trio.Nursery) -> None:
        self.report = Report(seed)
        self.world = World(random.Random(seed), deeds=kind.deeds, in_match=kind.in_match, queues=kind.queues)
        self._kind = kind
        self.devices: list[Device] = []
        self._db = db
        self._nursery = nursery
        self._tail: list[str] = []

    async def begin(self, daemons: list[Daemon]) -> None:
        for number in range(self._kind.people):
            account = await sign_up(daemons[0].addresses.http, name=f"p{number}")
            self.world.users.append(account.user)
            for codec, daemon in zip(("json", "msgpack"), daemons, strict=True):
                device = Device(f"p{number}/{codec}", account, daemon, codec)
                device.may_be_logged_out = device.logged_out = self._kind.backend > 0
                self.devices.append(device)
        self._backend = await backend_of(daemons[0])
        self._known = BackendWorld(self.world, self.devices)

    async def run(self, steps: int) -> None:
        """Ends early at the first difference."""
        while self.report.steps < steps and not self.report.wrong:
            for number in range(BETWEEN // AT_ONCE):
                await self._round()
                if self._kind.absences and number == BETWEEN // AT_ONCE // 2:
                    await self._absence()
            await self.judge()

    async def _absence(self) -> None:
        """All devices of a user disconnect for a while; if possible, of one in a match."""
        in_match = [device.user for device in self.devices if device.mirror.matches()]
        user = self.world.rng.choice(in_match or self.world.users)
        for device in self.devices:
            if device.user == user:
                await device.go_offline()
        await trio.sleep(3 * MATCH_SETTINGS.grace)

    async def _round(self) -> None:
        rng = self.world.rng
        busy = rng.sample(self.devices, rng.randint(1, AT_ONCE))
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                for device in busy:
                    nursery.start_soon(self._step, device, rng.random(), rng.choice([2, 2, 100]))
                if rng.random() < self._kind.backend:
                    nursery.start_soon(self._serve, backend.draw(self._known))
        self.report.steps += len(busy)

    async def _step(self, device: Device, chance: float, limit: int) -> None:
        if not await self._enter(device):
            return
        try:
            if chance < self._kind.away:
                # In the middle of a catch-up, half of the time.
                await device.catch_up(limit, pages=int(chance * 100))
                await device.go_offline()
            elif chance < self._kind.away + FIRST_PAGE:
                await device.catch_up(limit, pages=1)
            elif chance < self._kind.away + FIRST_PAGE + CATCH_UP:
                await device.catch_up(limit)
            await self._do(device, draw(self.world, device))
        except Disconnected:
            return

    async def _enter(self, device: Device) -> bool:
        """Connect a device that is offline; with a new login, if its last one has ended. Whether that is possible."""
        while not device.online:
            if device.logged_out and not await self._sign_in(device):
                return False
            try:
                await device.go_online(self._nursery)
            except ConnectionRejected as rejected:
                if rejected.status_code != UNAUTHENTICATED or not device.may_be_logged_out:
                    raise
                device.logged_out = True
        return True

    async def _sign_in(self, device: Device) -> bool:
        """A new login from the backend. A deactivated user gets none."""
        was_deactivated = device.user in self._known.deactivated
        answer = await self._backend.ask("POST", f"/users/{device.user}/tokens", {})
        self.report.done[f"server.user.token {backend.outcome_of(answer.body, answer.status)}"] += 1
        if answer.status != OK:
            if not was_deactivated and device.user not in self._known.deactivated:
                self.report.wrong.append(f"no sign-in of {device.user}: {answer.body}")
            return False
        tokens = answer.body
        http = device.node.addresses.http
        device.account = Account(http, device.user, tokens["access_token"], tokens["refresh_token"])
        device.logged_out = False
        return True

    async def _serve(self, request: Request) -> None:
        """A command of the backend."""
        answer = await self._backend.ask(request.method, request.path, request.body)
        outcome = backend.outcome_of(answer.body, answer.status)
        self.report.done[f"{request.name} {outcome}"] += 1
        self._tail = [*self._tail[-60:], f"backend {request} {outcome}"]
        if request.name == "server.user.reactivate":
            self._known.deactivated.discard(request.path.split("/")[2])
        if outcome in BUGS:
            self.report.wrong.append(f"{request}: {answer.body}")
        elif outcome == "ok" and request.name in ("server.conversation.create", "server.conversation.direct"):
            self.world.conversations.add(answer.body["conversation"]["id"])
        elif outcome == "ok" and request.name == "server.users.put":
            guests = {item["user"] for item in answer.body["items"]} - {*self.world.users}
            self.world.users += sorted(guests)

    async def _refresh_twice(self, device: Device) -> None:
        """Two refreshes at once, as of two parts of a client: both get the same token, or none if the login has ended."""
        account, answers = device.account, list[Answer]()

        async def refresh(node: Daemon) -> None:
            body = {"refresh_token": account.refresh_token}
            answers.append(await node.rest("POST", "/v1/auth/refresh", body))

        async with trio.open_nursery() as nursery:
            for node in {id(one.node): one.node for one in self.devices}.values():
                nursery.start_soon(refresh, node)
        tokens = {answer.body["refresh_token"] for answer in answers if answer.status == OK}
        refused = {answer.status for answer in answers} - {OK}
        self.report.done[f"refresh {'ok' if tokens else 'refused'}"] += 1
        if len(tokens) > 1 or refused - {UNAUTHENTICATED}:
            self.report.wrong.append(f"refreshes at once: {[answer.body for answer in answers]}")
        if tokens:
            newer = next(answer.body for answer in answers if answer.status == OK)
            account.access_token, account.refresh_token = newer["access_token"], newer["refresh_token"]
        elif await self._is_signed_in(device):
            self.report.wrong.append(f"a login that has not ended could not be refreshed: {device.name}")

    async def _is_signed_in(self, device: Device) -> bool:
        return (await device.node.rest("GET", "/v1/me", None, device.account.access_token)).status == OK

    async def _do(self, device: Device, command: Command) -> None:
        name, fields = command
        if name == "refresh":
            await self._refresh_twice(device)
            return
        if name in RECEIPTS and self.world.rng.random() < UNANSWERED:
            await device.notify(name, **fields)
            self._note(device, command, "unanswered")
            return
        try:
            result = await device.call(name, **fields)
        except Refused as refused:
            self._note(device, command, refused.code)
            if refused.code in BUGS:
                self.report.wrong.append(f"{name}: {refused}")
            return
        self._note(device, command, "ok")
        if name == "invite.create":
            self.world.secrets.append(result["secret"])
            self.world.invites.append(result["invite"])
        self.world.conversations |= set(device.mirror.rooms)

    def _note(self, device: Device, command: Command, outcome: str) -> None:
        name, fields = command
        self.report.done[f"{name} {outcome}"] += 1
        if outcome in ("ok", "unanswered"):
            self._tail = [*self._tail[-60:], f"{device.name} {name} {fields}"]

    # --- checks -----------------------------------------------------------------------------------------------------

    async def judge(self) -> None:
        """Compare each device while no command runs: all events must arrive in time."""
        self.report.judged += 1
        for user in sorted(self._known.deactivated):
            await self._serve(backend.reactivation(user))
        for device in self.devices:
            await self._enter(device)
        for device in self.devices:
            wrong = await self._difference(device)
            deadline = trio.current_time() + PATIENCE
            while wrong and trio.current_time() < deadline:
                await trio.sleep(0.1)
                wrong = await self._difference(device)
            bugs = [f"unanswered {refusal}" for refusal in device.refused if refusal.endswith(BUGS)]
            self.report.wrong += [
                f"{device.name} {device.user} {line}" for line in [*wrong, *bugs, *device.wrong, *device.wire.wrong]
            ]

    async def _difference(self, device: Device) -> list[str]:
        try:
            # The close of a connection whose login has ended may be on its way.
            await self._enter(device)
            await device.catch_up(self.world.rng.choice([2, 100]))
        except Disconnected:
            return ["disconnected while it was judged"]
        if device.mirror.stale or device.mirror.behind:
            return ["something is left to be asked"]
        try:
            return [*await judge.compare(device), *await judge.recount(self._db, device)]
        except (Refused, Disconnected, AssertionError) as changed:
            return [f"while it was read: {changed!r}"]

    @property
    def tail(self) -> str:
        """The last deeds."""
        return "\n".join(self._tail)


async def live(config: Config, seed: int, steps: int, kind: Kind = KINDS["all"]) -> Report:
    """A history of this many steps. Needs trio_asyncio's loop."""
    config = config.using(MATCH_SETTINGS, CONSENT_SETTINGS, PEOPLE_SETTINGS).using_named(QueueSettings, QUEUES)
    async with (
        nodes(config, subsystems=QUICKLY) as daemons,
        open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
        trio.open_nursery() as nursery,
    ):
        history = History(seed, kind, db, nursery)
        await history.begin(daemons)
        await history.run(steps)
        for device in history.devices:
            history.report.done.update({f"event {kind}": number for kind, number in device.received.items()})
            history.report.done.update(
                {f"{refusal} (unanswered)": number for refusal, number in device.refused.items()}
            )
        nursery.cancel_scope.cancel()
    if history.report.wrong:
        print(history.tail)
    return history.report


# --- command line ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    postgres = embedded_postgres.Server(folder / "postgres", QUICK)
    redis = embedded_redis.Server(folder / "redis", "+@all")
    await start(postgres, redis)
    try:
        yield Servers(postgres.dsn, redis.url)
    finally:
        await stop(postgres, redis)


async def alone(seeds: list[int], steps: int, kind: Kind) -> int:
    """Run without pytest; return the number of seeds with differences."""
    folder, failed = Path(tempfile.mkdtemp(prefix="chatd-histories-")), 0
    async with servers(folder) as found:
        for seed in seeds:
            async with trio_asyncio.open_loop(), database(found, "chatd") as dsn:
                report = await live(config_for(dsn, found, folder), seed, steps, kind)
            print(report, flush=True)
            print("  " + ", ".join(f"{name} {number}" for name, number in sorted(report.done.items())), flush=True)
            failed += bool(report.wrong)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--kind", choices=KINDS, default="all")
    options = parser.parse_args()
    raise SystemExit(trio.run(alone, options.seeds, options.steps, KINDS[options.kind]))


if __name__ == "__main__":
    main()

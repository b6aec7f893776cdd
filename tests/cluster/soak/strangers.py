"""Users who look for strangers, talk a little, and go on to the next."""

import random
from dataclasses import dataclass

import trio

from chatd.client import Account, Disconnected, Refused
from tests.cluster.soak.people import Person, Recorder
from tests.reply import Reply

# Seconds until a user asks again, and until a patient user leaves a partner.
ASK_AGAIN, PATIENT = 20.0, 12.0
AGAIN = 0.3
SUPERSEDED = "superseded"


@dataclass
class Wait:
    """A user waited from `since` to `until`; `found` is the match."""

    since: float
    until: float = 0.0
    found: str = ""


@dataclass
class Talk:
    """A match as one user saw it, with the aliases of both.

    `left`: when they asked to end it. `over`: when they learned that it ended, and `how`.
    """

    match: str
    conversation: str
    alias: str
    partner: str
    found: float
    left: float = 0.0
    over: float = 0.0
    how: str = ""


class Stranger(Person):
    """A user who looks for strangers; see `live`."""

    def __init__(self, account: Account, client: Recorder) -> None:
        super().__init__(account, client)
        self.waits: list[Wait] = []
        self.talks: list[Talk] = []
        self.double: list[str] = []
        self.unannounced = self.expired = 0
        self.ticket = ""
        self._news = trio.Event()

    @property
    def talk(self) -> Talk | None:
        """The match that is still running."""
        return self.talks[-1] if self.talks and not self.talks[-1].over else None

    @property
    def is_waiting(self) -> bool:
        return bool(self.waits) and not self.waits[-1].until

    def notice(self, event: Reply) -> None:
        if event["t"] == "match.found":
            self._note_found(event)
        elif event["t"] in ("match.ended", "match.kept"):
            self.end(event["match"], event["t"])
        elif event["t"] == "match.expired" and self.is_waiting and event["ticket"] == self.ticket:
            self.expired += 1
            self.waits[-1].until = trio.current_time()
        self._news.set()

    def _note_found(self, event: Reply) -> None:
        if any(talk.match == event["match"] for talk in self.talks):
            self.double.append(event["match"])
            return
        if self.talk is not None:
            # The event of its end is late or lost.
            self.end(self.talk.match, SUPERSEDED)
        if self.is_waiting:
            self.waits[-1].until, self.waits[-1].found = trio.current_time(), event["match"]
        aliases = (event["alias"], event["partner"]["id"])
        self.talks.append(Talk(event["match"], event["conversation"], *aliases, trio.current_time()))

    def end(self, match: str, how: str) -> None:
        for talk in self.talks:
            if talk.match == match and not talk.over:
                talk.over, talk.how = trio.current_time(), how

    # --- the loop -------------------------------------------------------------------------------------------------

    async def live(self, rng: random.Random) -> None:
        while True:
            await self.find(ASK_AGAIN)
            if self.talk is not None:
                await self._talk(self.talk, rng)

    async def find(self, patience: float) -> None:
        """Ask for a partner, unless already waiting, and wait for one."""
        if not self.is_waiting and not await self._ask():
            return
        with trio.move_on_after(patience):
            while self.talk is None and self.is_waiting:
                await self._wait_news()
        if self.is_waiting:
            self.waits[-1].until = trio.current_time()

    async def _ask(self) -> bool:
        """Send `match.find`; return whether the user waits now. Leave a match that was not announced."""
        if self.talk is not None:
            return False
        outcome = await self.command("match.find")
        if outcome == "conflict" and self.talk is None:
            self.unannounced += 1
            await self.command("match.leave")
        if outcome != "ok":
            await trio.sleep(AGAIN)
        elif self.talk is None:
            self.waits.append(Wait(trio.current_time()))
        return outcome == "ok"

    async def _wait_news(self) -> None:
        self._news = trio.Event()
        await self._news.wait()

    async def command(self, name: str) -> str:
        """`ok`, the code of the refusal, or "" if the outcome is unknown."""
        try:
            self.ticket = getattr(await self.client.request(name, {}), "ticket", None) or ""
            return "ok"
        except Refused as refused:
            return refused.code
        except Disconnected:
            return ""

    async def _talk(self, talk: Talk, rng: random.Random) -> None:
        for number in range(rng.randrange(3)):
            if talk.over or (await self.say(talk.conversation, f"{talk.match}-{number}")).refused:
                break
            await trio.sleep(rng.random() * 0.3)
        with trio.move_on_after(PATIENT if rng.random() < 0.3 else rng.random() * 0.5):
            while not talk.over:
                await self._wait_news()
        ending = rng.choice(("match.leave", "match.leave", "match.skip", "match.keep"))
        while not talk.over:
            await self._end(talk, ending)
            ending = "match.leave"

    async def _end(self, talk: Talk, ending: str) -> None:
        """Try once to end the match."""
        talk.left = talk.left or trio.current_time()
        if ending == "match.skip":
            self.waits.append(Wait(talk.left))
        waiting = self.waits[-1] if self.waits else None
        outcome = await self.command(ending)
        if ending == "match.skip" and outcome != "ok" and waiting is not None and not waiting.until:
            self.waits.remove(waiting)
        if ending == "match.keep":
            with trio.move_on_after(1):
                while not talk.over:
                    await self._wait_news()
        elif outcome in ("ok", "not_found"):
            self.end(talk.match, "own" if outcome == "ok" else "asked")
        else:
            await trio.sleep(AGAIN)

    async def settle_down(self) -> None:
        """End up without a ticket and without a match."""
        for command in ("match.cancel", "match.leave"):
            while await self.command(command) not in ("ok", "not_found"):
                await trio.sleep(AGAIN)
        if self.talk is not None:
            self.end(self.talk.match, "own")
        if self.is_waiting:
            self.waits[-1].until = trio.current_time()

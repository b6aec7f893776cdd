"""The sessions of this process, by id, user and conversation.

Two rules keep it fast and fair. A frame is built once per codec and the same bytes go to everybody. And nobody waits for
a slow reader: events that its outbox does not take are dropped, and the conversations they belong to get `behind` instead.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf
from weakref import WeakSet

import trio

from chatd.core.clock import now_ms
from chatd.core.signals import Signals
from chatd.core.turns import each_in_turns
from chatd.realtime.message_trace import Traces
from chatd.realtime.pending_session import Arrival
from chatd.realtime.revocations import Revocation, Revocations
from chatd.realtime.signals import SessionRemoved, UserConnected, UserDisconnected
from chatd.realtime.subscriptions import Audience, Fan, News, Session, SharedFrame, behind
from chatd.realtime.typing_sessions import Typists
from chatd.realtime.unheard_revs import Passed
from chatd.wire.base import Event

# Tenant and conversation.
Key = tuple[str, str]
# Tenant, user, and whether the user is here.
# Milliseconds after which clients are asked to come back when the database was restored.
COME_BACK_MS = 1000
# Conversations that a session enters or leaves in one turn of the event loop: about a millisecond.
PLACES_PER_TURN = 500


class Hub:
    """Who is connected here. Only sessions of members are entered under a conversation."""

    def __init__(self, clock: Callable[[], int] = now_ms, signals: Signals | None = None) -> None:
        self.signals = signals or Signals()
        self.revocations = Revocations(clock)
        self.typing = Typists()
        self._fan = Fan()
        self.sessions: dict[str, Session] = {}
        self.traces = Traces()
        # Where something is missing, how far the conversation was told when that was noticed, and when.
        self.waiting: dict[Key, tuple[int, float]] = {}
        # See `Journal.began`.
        self.commit_began: Callable[[str, str], float] = lambda tenant, conversation: inf
        # Revs up to which something may have been missed, and since when that is known; see `tell_behind`.
        self._put_off: dict[Key, tuple[int, float]] = {}
        self._users: dict[tuple[str, str], dict[Session, None]] = {}
        self._audiences: dict[tuple[str, str], Audience] = {}
        self._joined: dict[Session, list[str]] = {}
        self._arrivals: WeakSet[Arrival] = WeakSet()
        self._passed = Passed(self._oldest_arrival)

    # --- who is here ----------------------------------------------------------------------------------------------------

    def expect(self, tenant: str, user: str) -> Arrival:
        """Call it before the conversations are looked up; `attach` with what it has gathered after that."""
        arrival = Arrival(tenant, user)
        self._arrivals.add(arrival)
        return arrival

    def attach(self, session: Session, arrival: Arrival) -> None:
        """From here on the session hears its conversations. What was told before that, it learns by session.sync."""
        self._arrivals.discard(arrival)
        self.sessions[session.id] = session
        self._users.setdefault((session.tenant, session.user), {})[session] = None
        self.signals.send_sync(UserConnected(session.tenant, session.user))
        self._enter_places(session, arrival, len(arrival.places))
        for conversation in arrival.parted:
            self._part_session(session, conversation)
        for conversation, on in arrival.hushed.items():
            self.hush(session.tenant, conversation, on)
        for close, credential, revocation in arrival.closes:
            if credential in (None, credential_of(session)):
                self._close(session, close, revocation)

    def _oldest_arrival(self) -> float:
        """Since when conversations are being looked up for a session that is not here yet; infinity when for none."""
        return min((arrival.began for arrival in self._arrivals), default=inf) if self._arrivals else inf

    async def enter_most(self, session: Session, arrival: Arrival) -> None:
        """Enter the session into its conversations before `attach`, some in each turn of the loop; `attach` enters the rest.

        The session must not send before it is attached: what it hears until then it learns by session.sync.
        """
        try:
            while len(arrival.places) - arrival.entered > PLACES_PER_TURN:
                self._enter_places(session, arrival, PLACES_PER_TURN)
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.detach(session)
            raise

    def _enter_places(self, session: Session, arrival: Arrival, most: int) -> None:
        """Into the next conversations of the arrival, at most so many."""
        self._joined.setdefault(session, [])
        places = arrival.places[arrival.entered : arrival.entered + most]
        arrival.entered += len(places)
        for conversation, rev in places:
            if conversation not in arrival.parted:
                begins = max(rev, self._passed.rev((session.tenant, conversation)))
                self._enter(session, conversation, begins, anew=conversation in arrival.anew)

    async def leave_most(self, session: Session) -> None:
        """Take the session out of its conversations before `detach`, some in each turn of the event loop."""
        while len(joined := self._joined.get(session, [])) > PLACES_PER_TURN:
            for _ in range(PLACES_PER_TURN):
                self._leave(session, joined.pop())
            await trio.lowlevel.cancel_shielded_checkpoint()

    def detach(self, session: Session) -> None:
        known = self.sessions.pop(session.id, None) is not None
        of_user = self._users.get((session.tenant, session.user), {})
        of_user.pop(session, None)
        if not of_user and self._users.pop((session.tenant, session.user), None) is not None:
            self.signals.send_sync(UserDisconnected(session.tenant, session.user))
        for conversation in self._joined.pop(session, ()):
            self._leave(session, conversation)
        self.revocations.gone(session)
        if known:
            self.signals.send_sync(SessionRemoved(session))

    def join(self, tenant: str, conversation: str, users: Collection[str], rev: int, *, anew: bool = False) -> None:
        """They hear it, from `rev` on. `anew`: because their membership begins, so that nothing before it is for them.

        A session that enters after later revs were delivered gets `behind` up to these. One that is in it already misses nothing.
        """
        audience = self._audiences.get((tenant, conversation))
        passed = told = self._passed.rev((tenant, conversation))
        if audience is not None:
            audience.joined(users, rev)
            told = max(passed, audience.rev)
        for user in users:
            for session in self._users.get((tenant, user), ()):
                is_new = audience is None or session not in audience.sessions
                self._enter(session, conversation, max(rev, passed), anew=anew)
                if is_new and told > rev:
                    news = behind(conversation, told)
                    session.send_nowait(news.frames[session.codec], news)
            for arrival in self._arrivals:
                if arrival.key == (tenant, user):
                    arrival.places.append((conversation, rev))
                    arrival.parted.discard(conversation)
                    if anew:
                        arrival.anew.add(conversation)

    def part_after(self, tenant: str, conversation: str, users: Sequence[str], rev: int) -> Callable[[], None]:
        """What to call after the last event that these users hear, the one of this `rev`; it may have to wait for others.

        They are no members any more: until then they hear nothing volatile. Who has joined again after it stays.
        """
        audience = self._audiences.get((tenant, conversation))
        if audience is None:
            return lambda: self.part(tenant, conversation, users)
        audience.parting = {**audience.parting, **dict.fromkeys(users, rev)}
        return lambda: self.part(tenant, conversation, [user for user in users if audience.parting.get(user) == rev])

    def part(self, tenant: str, conversation: str, users: Collection[str]) -> None:
        audience = self._audiences.get((tenant, conversation))
        if audience is not None:
            audience.parted(users)
        for user in users:
            for session in tuple(self._users.get((tenant, user), ())):
                self._part_session(session, conversation)
            for arrival in self._arrivals:
                if arrival.key == (tenant, user):
                    arrival.parted.add(conversation)

    def _part_session(self, session: Session, conversation: str) -> None:
        self._leave(session, conversation)
        if conversation in self._joined.get(session, ()):
            self._joined[session].remove(conversation)

    def part_behind(self, tenant: str, conversation: str, users: Collection[str], rev: int) -> None:
        """As `part`, for users who were not told that their membership ended: `behind` is the last thing they get."""
        audience = self._audiences.get((tenant, conversation))
        for session in tuple(audience.sessions) if audience is not None and users else ():
            if session.user in users:
                news = behind(conversation, rev)
                session.send_nowait(news.frames[session.codec], news)
        self.part(tenant, conversation, users)

    def hush(self, tenant: str, conversation: str, on: bool) -> None:
        """Nothing volatile is told there, or it is again."""
        audience = self._audiences.get((tenant, conversation))
        if audience is not None:
            audience.hushed = on
        for arrival in self._arrivals:
            arrival.hushed[conversation] = on

    def _enter(self, session: Session, conversation: str, rev: int, *, anew: bool = False) -> None:
        key = (session.tenant, conversation)
        audience = self._audiences.get(key)
        if audience is None:
            audience = self._audiences[key] = Audience(conversation, rev, self._fan, self.traces)
        if session not in audience.sessions:
            self._joined[session].append(conversation)
        audience.enter(session, rev, anew=anew)

    def _leave(self, session: Session, conversation: str) -> None:
        key = (session.tenant, conversation)
        audience = self._audiences.get(key)
        if audience is not None:
            audience.leave(session)
            if not audience.sessions:
                # Who enters next must not be told again what the others were told, and learns of what was held.
                self._passed.note(key, audience.latest)
                del self._audiences[key]
                self.waiting.pop(key, None)

    def is_member(self, session: str, conversation: str) -> bool:
        """Whether a session that is connected here hears the conversation."""
        found = self.sessions.get(session)
        if found is None:
            return False
        audience = self._audiences.get((found.tenant, conversation))
        return audience is not None and found in audience.sessions and found.user not in audience.parting

    def members_of(self, tenant: str, conversation: str) -> int:
        """How many members it has, as noted here; 0 when nobody knows."""
        audience = self._audiences.get((tenant, conversation))
        return audience.members if audience is not None else 0

    def note_members(self, tenant: str, conversation: str, members: int) -> None:
        """It counts until somebody joins or parts."""
        audience = self._audiences.get((tenant, conversation))
        if audience is not None:
            audience.members = members

    def audience_of(self, tenant: str, conversation: str) -> set[str]:
        """The users who are connected here and hear the conversation."""
        audience = self._audiences.get((tenant, conversation))
        return {session.user for session in audience.sessions} if audience is not None else set()

    def sessions_of(self, tenant: str, user: str) -> int:
        return len(self._users.get((tenant, user), ()))

    def is_arriving(self, tenant: str, user: str) -> bool:
        """Whether a connection of the user is being looked up."""
        return any(arrival.key == (tenant, user) for arrival in self._arrivals)

    def has_other(self, tenant: str, user: str, but: str | None) -> bool:
        """Whether the user has a session here other than this one."""
        return any(session.id != but for session in self._users.get((tenant, user), ()))

    def find(self, tenant: str, user: str | None, session: str | None) -> list[Session]:
        """The sessions of a tenant: all, those of a user, or the one of this id."""
        some: Iterable[Session] = self.sessions.values() if user is None else self._users.get((tenant, user), ())
        if session is not None:
            some = filter(None, [self.sessions.get(session)])
        return [one for one in some if one.tenant == tenant and user in (None, one.user)]

    def users(self) -> list[tuple[str, str]]:
        """Tenants and ids of those who are connected here."""
        return list(self._users)

    def rev_of(self, tenant: str, conversation: str) -> int | None:
        """How far the conversation was told here; None when nobody here hears it."""
        audience = self._audiences.get((tenant, conversation))
        return audience.rev if audience else None

    # --- telling them ---------------------------------------------------------------------------------------------------

    async def tell_conversation(self, tenant: str, conversation: str, news: News) -> None:
        key = (tenant, conversation)
        audience = self._audiences.get(key)
        if audience is None:
            if news.rev:
                self._passed.note(key, news.rev)
            news.told()
            return
        await audience.tell(news)
        self._note(key, audience)

    async def tell_behind(self, tenant: str, conversation: str, rev: int) -> None:
        """Something up to `rev` may have been missed: whoever hears the conversation has to sync.

        Put off while this node is committing there: that may be numbered below `rev`, and its ack must not come after `behind`.
        """
        key = (tenant, conversation)
        if self.commit_began(tenant, conversation) < inf:
            self._put_off[key] = (max(rev, self._put_off.get(key, (0, 0.0))[0]), trio.current_time())
        else:
            await self.skip_to(tenant, conversation, rev)

    async def skip_to(self, tenant: str, conversation: str, rev: int) -> None:
        """Tell it at once: nothing below `rev` is being committed here."""
        key = (tenant, conversation)
        audience = self._audiences.get(key)
        if audience is None:
            self._passed.note(key, rev)
        else:
            await audience.skip_to(rev)
            self._note(key, audience)

    async def tell_put_off(self) -> None:
        """Tell `behind` where it was put off, once nothing is being committed that began before. Call it again and again."""
        for key, (rev, since) in tuple(self._put_off.items()):
            if self.commit_began(*key) > since:
                del self._put_off[key]
                await self.skip_to(*key, rev)

    def late(self, patience: float) -> list[Key]:
        """Where something is missing for so many seconds that no commit of this node can be."""
        now = trio.current_time()
        return [key for key, (_, since) in self.waiting.items() if since <= now - patience and self.commit_began(*key) > since]

    def _note(self, key: Key, audience: Audience) -> None:
        """Remember since when something is missing after what was told."""
        if not audience.waiting:
            if self.waiting:
                self.waiting.pop(key, None)
        elif key in self._audiences and self.waiting.get(key, (-1, 0.0))[0] != audience.rev:
            self.waiting[key] = (audience.rev, trio.current_time())

    async def tell_user(self, tenant: str, user: str, news: News) -> None:
        sessions = self._users.get((tenant, user))
        if sessions:
            await self._fan.out(sessions, news)

    async def tell_everybody(self, event: Event) -> None:
        await self._fan.out(self.sessions.values(), News(SharedFrame(event)))

    def note_dropped(self, frames: int) -> None:
        """Events were dropped out of a send queue, because its reader is too slow."""
        self._fan.dropped += frames

    def close_sessions(self, tenant: str, user: str, close: str, *, credential: str | None = None, at: int = 0) -> None:
        """All, or those of one credential. `at`: when the reason was committed, in milliseconds; 0 where nobody knows."""
        revocation = Revocation(at)
        for arrival in self._arrivals:
            if arrival.key == (tenant, user):
                arrival.closes.append((close, credential, revocation))
        for session in tuple(self._users.get((tenant, user), ())):
            if credential in (None, credential_of(session)):
                self._close(session, close, revocation)

    async def start_over(self) -> None:
        """Close all sessions, some in each turn of the event loop: they come back with their cursors.

        Nothing is told by the numbers that were known.
        """
        self._audiences.clear()
        self.waiting.clear()
        self._passed = Passed(self._oldest_arrival)
        self._joined = {session: [] for session in self._joined}
        for arrival in self._arrivals:
            arrival.places.clear()
            arrival.entered = 0
            arrival.closes.append(("going_away", None, Revocation(0)))
        async for session in each_in_turns(tuple(self.sessions.values())):
            session.request_close("going_away", f"retry_in_ms={COME_BACK_MS}")

    def close_these(self, sessions: Iterable[Session], close: str, *, at: int) -> None:
        """`at` as above. Those that have gone meanwhile are no matter."""
        revocation = Revocation(at)
        for session in sessions:
            if session.id in self.sessions:
                self._close(session, close, revocation)

    def _close(self, session: Session, close: str, revocation: Revocation) -> None:
        self.revocations.expect(session, revocation)
        session.request_close(close)

    def statistics(self) -> dict[str, int]:
        return {
            "sessions": len(self.sessions),
            "users": len(self._users),
            "conversations": len(self._audiences),
            "delivered": self._fan.delivered,
            "dropped": self._fan.dropped,
        }


def credential_of(session: Session) -> str:
    """What a logout of the session ends, see `Principal.credential`."""
    return session.login or session.token_id

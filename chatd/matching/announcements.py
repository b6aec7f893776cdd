"""What the sessions of this node know of matches, so that each connected user hears once that a match began, and that it ended.

Whoever commits a change of a match announces it with one order to all nodes. A node may die between the two, and an order may be
lost. So each node remembers which match its users were told of and drops what they know already; then an announcement may be
repeated by anybody, at any time. `unsure` are users for whom the database has to be asked. That a user has heard of a match is
written down as well, for the node to which they come back.
"""

from collections import OrderedDict
from contextlib import suppress
from itertools import islice

import trio
from msgspec import Raw, msgpack

from chatd.cluster.cluster import Cluster
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.db.unnest import columns_of
from chatd.matching.match_messages import MatchNews
from chatd.realtime.hub import Hub
from chatd.realtime.subscriptions import News, RawFrame
from chatd.wire.base import Event

SQL = queries.load("matching/match_news")
User = tuple[str, str]
# Matches of which it is remembered that they are over.
MOST_OVER = 20_000
# Seconds between two writes of who has heard, and rows in one of them.
MARK_EVERY, MOST_MARKS = 0.5, 1000
# Seconds that somebody stays connected after being told of a match, until that counts: what was written to a connection that
# breaks may never have arrived, and who comes back before is told again.
HEARD_AFTER = 2.0
# Seconds to wait for the word that the match before is over, until the database is asked.
EARLY = 0.5
# Seconds after which somebody who must have met a stranger, and was told of no match, is looked up.
UNSURE_AFTER = 1.0
ENCODE = msgpack.Encoder().encode


class Announcements:
    """`announce` may be called on any node, and repeated. Run `mark` beside it."""

    def __init__(self, db: Postgres, hub: Hub, cluster: Cluster) -> None:
        # The match that users connected here were told of, and that is not over as far as they know.
        self.known: dict[User, str] = {}
        # Of those the users who may not have heard that it began: they are told again, and in any case of its end.
        self.untold: set[User] = set()
        # Users connected here who may not know what is true, and from which moment on that is to be looked up.
        self.unsure: dict[User, float] = {}
        self._over: OrderedDict[str, None] = OrderedDict()
        # Who has heard of which match and when, and it is not written down yet: tenant, match, user.
        self._heard: dict[tuple[str, str, str], float] = {}
        # Matches that have begun for users who do not know yet that the one before is over.
        self._early: dict[User, MatchNews] = {}
        self._db = db
        self._hub = hub
        self._cluster = cluster
        cluster.on(MatchNews, self._deliver)

    async def announce(self, order: MatchNews) -> None:
        """To all sessions of the user, wherever they are, unless they know."""
        await self._cluster.order(order)

    async def _deliver(self, order: MatchNews) -> None:
        user = (order.tenant, order.user)
        if self._begin(user, order) if order.began else self._end(user, order.match):
            await self._hub.tell_user(*user, News(RawFrame(order.event), but=order.but))
        early = self._early.pop(user, None) if user not in self.known else None
        if early is not None:
            await self._deliver(early)

    def _begin(self, user: User, order: MatchNews) -> bool:
        """Whether the sessions here do not know that it has begun; they do from now on."""
        match, known = order.match, self.known.get(user)
        if match in self._over:
            return False
        self.unsure.pop(user, None)
        if not self._hub.sessions_of(*user):
            if self._hub.is_arriving(*user):
                self.unsure[user] = trio.current_time()
            return False
        if known is not None and not (known == match and self._told_again(user)):
            if known != match:
                # Nobody is in two matches: the word that the one before is over comes later, or was lost.
                self._early[user] = order
                self.unsure[user] = trio.current_time() + EARLY
            return False
        self.known[user] = match
        self._heard[user[0], match, user[1]] = trio.current_time()
        return True

    def _end(self, user: User, match: str) -> bool:
        """Whether the sessions here do not know that it is over; they do from now on."""
        self._over[match] = None
        if len(self._over) > MOST_OVER:
            self._over.popitem(last=False)
        if self.known.get(user) != match:
            return False
        del self.known[user]
        self.untold.discard(user)
        return True

    def _told_again(self, user: User) -> bool:
        """Whether nobody knows that the user has heard of the match; from now on it is known."""
        untold = user in self.untold
        self.untold.discard(user)
        return untold

    def came(self, user: User, match: str | None, heard: bool) -> None:
        """Somebody has connected who is in this match, and was told of it or was not."""
        if match is None:
            return
        self.known.setdefault(user, match)
        if not heard:
            self.untold.add(user)
        if not heard or self.known[user] != match or match in self._over:
            self.unsure[user] = trio.current_time()

    def went(self, user: User) -> bool:
        """The last session here has gone. Whether the user knew of a match."""
        self._early.pop(user, None)
        self.untold.discard(user)
        unsure = self.unsure.pop(user, None) is not None
        return self.known.pop(user, None) is not None or unsure

    def expect(self, user: User) -> None:
        """A user who is connected here has met somebody, and should be told of it in a moment."""
        self.unsure.setdefault(user, trio.current_time() + UNSURE_AFTER)

    def take_unsure(self) -> list[User]:
        """Those whose time has come, and who are still here."""
        now = trio.current_time()
        due = [user for user, at in self.unsure.items() if at <= now]
        for user in due:
            del self.unsure[user]
        return [user for user in due if self._hub.sessions_of(*user)]

    async def mark(self) -> None:
        """For ever: write down who has heard, and has stayed connected since."""
        while True:
            await trio.sleep(MARK_EVERY)
            until = trio.current_time() - HEARD_AFTER
            due = [key for key, at in islice(self._heard.items(), MOST_MARKS) if at <= until]
            here = [key for key in due if self._hub.sessions_of(key[0], key[2])]
            with suppress(Refused):
                if here:
                    await self._db.run(SQL.mark, *columns_of(here, 3))
                for key in due:
                    if self._heard[key] <= until:
                        del self._heard[key]


def news(
    tenant: str,
    user: str,
    match: str,
    event: Event,
    *,
    began: bool = False,
    but: str | None = None,
) -> MatchNews:
    """An order to announce an event: that a match `began`, or that it is over."""
    return MatchNews(tenant, user, match, began, but, Raw(ENCODE(event)))

"""Conversations of a share that cannot be committed with the others now. Each is tried alone while the others go on.

A conversation is set aside when its row stays locked, when one of its entries fails in a way that is a bug, and when nobody
can say whether something of it was committed. Its later entries follow it, so that nothing overtakes; it returns when all of
them are settled and nothing is in doubt.
"""

from collections.abc import Iterable
from math import inf

import trio
from msgspec import Struct
from msgspec.structs import replace

from chatd.conversations.log.entries import Advanced, Entry, Key
from chatd.conversations.log.publisher import Telling
from chatd.conversations.log.statements import Result, Statement, by_statement
from chatd.core import log
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Connection
from chatd.db.postgres_faults import Locked

LOG = log.get(__name__)
SQL = queries.load("conversations/journal")
RETRY_S = 0.2


class Conversation(Struct, eq=False):
    """One that is set aside. `began`: when an entry was first sent that may have been committed; infinity where none may.

    `doubtful`: something may have been committed whose sender was told `unavailable`. `alone`: one entry at a time.
    """

    entries: list[Entry] = []
    began: float = inf
    doubtful: bool = False
    alone: bool = False


class Aside:
    """See the module. `run` it."""

    def __init__(self, connection: Connection, telling: Telling) -> None:
        self._connection = connection
        self._telling = telling
        self._work = trio.Event()
        self.keys: dict[Key, Conversation] = {}

    def put(self, entries: Iterable[Entry], began: float | None = None, *, alone: bool = False) -> None:
        """Try these later, each conversation by itself. `began`: since when they may have been committed."""
        for entry in entries:
            conversation = self.keys.setdefault(entry.key, Conversation())
            conversation.entries.append(entry)
            conversation.began = min(conversation.began, inf if began is None else began)
            conversation.alone |= alone
            self._work.set()

    def without_doubtful(self, entries: list[Entry], began: float) -> list[Entry]:
        """Those whose conversations are not in doubt; the rest is set aside. Too late is what was sent, and has no answer."""
        doubtful = {entry.key for entry in entries if entry.decided}
        self.put((entry for entry in entries if entry.key in doubtful), began)
        return [entry for entry in entries if entry.key not in doubtful]

    def with_doubt(self, results: list[Result]) -> list[Result]:
        """Sent once more: a receipt that moves nothing now may have moved something the first time, which nobody was told."""
        for entry, result in results:
            if isinstance(result, Advanced) and result.rev is None:
                self.keys.setdefault(entry.key, Conversation()).doubtful = True
                self._work.set()
        return [(entry, replace(one, doubtful=True) if isinstance(one, Advanced) else one) for entry, one in results]

    def began(self, key: Key) -> float:
        """As `Share.began`."""
        conversation = self.keys.get(key)
        return conversation.began if conversation is not None else inf

    def entries(self) -> list[Entry]:
        return [entry for conversation in self.keys.values() for entry in conversation.entries]

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._work.wait()
            for key in tuple(self.keys):
                await self._retry(key, self.keys[key])
            if self.keys:
                await trio.sleep(RETRY_S)
            else:
                self._work = trio.Event()

    async def _retry(self, key: Key, conversation: Conversation) -> None:
        """Its entries first, and then what is in doubt: what comes back now may have been committed before that."""
        try:
            while entries := self._next(conversation):
                for statement, part in by_statement(entries):
                    await self._commit(conversation, statement, part)
            if conversation.doubtful:
                for row in await self._connection.call(SQL.revs, *to_unnest_arrays([key], 2)):
                    await self._telling.put_gap(row["tenant"], row["id"], row["rev"])
                conversation.doubtful = False
        except Refused:
            return
        if not conversation.entries:
            del self.keys[key]

    def _next(self, conversation: Conversation) -> list[Entry]:
        """What is to be committed; without those that are too late, which are in doubt when they may have been sent."""
        late = [entry for entry in conversation.entries if entry.decided]
        conversation.doubtful |= bool(late) and conversation.began < inf
        entries = [entry for entry in conversation.entries if not entry.decided]
        size = 1 if conversation.alone else len(entries)
        conversation.entries = entries[size:]
        return entries[:size]

    async def _commit(self, conversation: Conversation, statement: Statement, entries: list[Entry]) -> None:
        """Raises Refused: then they are where they were."""
        with self._telling.flight(entries) as flight:
            results = await self._results(conversation, statement, entries)
            await self._telling.put(flight, results)

    async def _results(self, conversation: Conversation, statement: Statement, entries: list[Entry]) -> list[Result]:
        began = trio.current_time()
        try:
            results = await statement(self._connection, entries)
        except Refused as refused:
            if not isinstance(refused, Locked):
                conversation.began = min(conversation.began, began)
            conversation.entries[:0] = entries
            raise
        except Exception:
            return self._failed(conversation, entries)
        return self.with_doubt(results) if conversation.began < inf else results

    def _failed(self, conversation: Conversation, entries: list[Entry]) -> list[Result]:
        """One bad row fails alone."""
        if len(entries) == 1:
            LOG.exception("an entry of the journal could not be committed")
            return [(entries[0], Refused("internal"))]
        conversation.alone = True
        conversation.entries[:0] = entries
        return []

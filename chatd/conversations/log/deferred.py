"""Conversations of a shard that cannot be committed together with the others. Each is tried alone while the others go
on.

A conversation is deferred when its row stays locked, when one of its entries fails because of a bug, and when it is
unknown whether an entry was committed. Its later entries follow it, so that nothing overtakes; it returns when all of
them are settled and nothing is uncertain.
"""

from collections.abc import Iterable
from math import inf

import trio
from msgspec import Struct
from msgspec.structs import replace

from chatd.conversations.log.entries import Advanced, Appended, Entry, Key, NewMessage
from chatd.conversations.log.publisher import Publisher
from chatd.conversations.log.statements import Result, Statement, by_statement
from chatd.core import log
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Connection
from chatd.db.postgres_faults import Locked

LOG = log.get(__name__)
SQL = queries.load("conversations/log")
RETRY_S = 0.2


class DeferredConversation(Struct, eq=False):
    """A deferred conversation.

    `began`: when an entry was first sent that may have been committed; infinity if none may.

    `uncertain`: an entry may have been committed whose sender got `unavailable`. `one_by_one`: commit one entry at a
    time.
    """

    entries: list[Entry] = []
    began: float = inf
    uncertain: bool = False
    one_by_one: bool = False


class DeferredConversations:
    """Retries the deferred conversations of a shard, see the module. `run` it in the background."""

    def __init__(self, connection: Connection, publisher: Publisher) -> None:
        self._connection = connection
        self._publisher = publisher
        self._work = trio.Event()
        self.keys: dict[Key, DeferredConversation] = {}

    def put(self, entries: Iterable[Entry], began: float | None = None, *, one_by_one: bool = False) -> None:
        """Commit these entries later, each conversation by itself. `began`: since when they may have been committed."""
        for entry in entries:
            conversation = self.keys.setdefault(entry.key, DeferredConversation())
            conversation.entries.append(entry)
            conversation.began = min(conversation.began, inf if began is None else began)
            conversation.one_by_one |= one_by_one
            self._work.set()

    def defer_uncertain(self, entries: list[Entry], began: float) -> list[Entry]:
        """Defer the conversations of expired entries, which may have been committed. Returns the remaining entries."""
        uncertain = {entry.key for entry in entries if entry.decided}
        self.put((entry for entry in entries if entry.key in uncertain), began)
        return [entry for entry in entries if entry.key not in uncertain]

    def mark_uncertain(self, results: list[Result]) -> list[Result]:
        """In a second attempt, a receipt that advances no position may have advanced one in the first attempt, which
        was not published; so may a reply have changed the root of its thread.
        """
        for entry, result in results:
            is_advanced = isinstance(result, Advanced) and result.rev is None
            is_reply = isinstance(result, Appended) and isinstance(entry.item, NewMessage) and entry.item.is_reply
            if is_advanced or is_reply:
                self.keys.setdefault(entry.key, DeferredConversation()).uncertain = True
                self._work.set()
        return [(entry, replace(one, uncertain=True) if isinstance(one, Advanced) else one) for entry, one in results]

    def began(self, key: Key) -> float:
        """See `MessageLog.began`."""
        conversation = self.keys.get(key)
        return conversation.began if conversation is not None else inf

    def entries(self) -> list[Entry]:
        return [entry for conversation in self.keys.values() for entry in conversation.entries]

    async def run(self) -> None:
        while True:
            await self._work.wait()
            await self._retry_until_refused()
            if self.keys:
                await trio.sleep(RETRY_S)
            else:
                self._work = trio.Event()

    async def _retry_until_refused(self) -> None:
        """Retry the conversations one after another, those whose rows are not locked first.

        The first one that waits for a lock in vain ends the round, so that the others wait for one lock only and not
        for all of them. It is the last of the next round. It must wait, and not only look: a row that many
        transactions lock in turn is never free.
        """
        locked = await self._locked()
        for key in sorted(self.keys, key=lambda key: key in locked):
            if not await self._retry(key, self.keys[key]):
                self.keys[key] = self.keys.pop(key)
                return

    async def _locked(self) -> set[Key]:
        """Those whose rows another transaction has locked; of a single one, it does not matter."""
        if len(self.keys) < 2:
            return set()
        try:
            rows = await self._connection.all(SQL.lock_states, *to_unnest_arrays(list(self.keys), 2))
        except Refused:
            return set()
        free = {(row["tenant"], row["id"]) for row in rows if row["is_free"]}
        return {(row["tenant"], row["id"]) for row in rows} - free

    async def _retry(self, key: Key, conversation: DeferredConversation) -> bool:
        """Try the entries first, then announce the gap: an entry that succeeds may have been committed before it.

        Returns False if Postgres refuses, for now.
        """
        try:
            while following := self._next(conversation):
                await self._commit(conversation, *following)
            if conversation.uncertain:
                for row in await self._connection.all(SQL.revs, *to_unnest_arrays([key], 2)):
                    await self._publisher.put_gap(row["tenant"], row["id"], row["rev"])
                conversation.uncertain = False
        except Refused:
            return False
        if not conversation.entries:
            del self.keys[key]
        return True

    def _next(self, conversation: DeferredConversation) -> tuple[Statement, list[Entry]] | None:
        """The next statement and its entries; all others stay deferred.

        Expired entries are dropped; they are uncertain if they may have been sent.
        """
        late = [entry for entry in conversation.entries if entry.decided]
        conversation.uncertain |= bool(late) and conversation.began < inf
        conversation.entries = [entry for entry in conversation.entries if not entry.decided]
        if not conversation.entries:
            return None
        statement, entries = by_statement(conversation.entries[: 1 if conversation.one_by_one else None])[0]
        taken = set(entries)
        conversation.entries = [entry for entry in conversation.entries if entry not in taken]
        return statement, entries

    async def _commit(self, conversation: DeferredConversation, statement: Statement, entries: list[Entry]) -> None:
        """Commit entries. If it raises Refused, they stay deferred."""
        with self._publisher.flight(entries) as flight:
            results = await self._results(conversation, statement, entries)
            await self._publisher.put(flight, results)

    async def _results(
        self, conversation: DeferredConversation, statement: Statement, entries: list[Entry]
    ) -> list[Result]:
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
        return self.mark_uncertain(results) if conversation.began < inf else results

    def _failed(self, conversation: DeferredConversation, entries: list[Entry]) -> list[Result]:
        """Handle a failed commit: an entry that fails alone is refused; of several, each is tried alone."""
        if len(entries) == 1:
            LOG.exception("an entry of the log could not be committed")
            return [(entries[0], Refused("internal"))]
        conversation.one_by_one = True
        conversation.entries[:0] = entries
        return []

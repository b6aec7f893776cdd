"""Delivers events to endpoints.

The pending events of one endpoint and one key (a conversation, a user or a report) are a stream. A node claims streams
that are due, with `for update skip locked`, and sends the events of each in their order, a slice at a time; then it
stores the results, and ends the claim. A claim ends by itself after some time: if the node has failed, another one
sends the slice again, under the same ids.

A node claims at most `webhooks.endpoint_concurrency` streams of an endpoint at the same time, and only one while the
endpoint fails, or while half of `webhooks.concurrency` is in use; so slow endpoints delay their own streams only. A
failed event is retried with a growing wait, and its stream waits with it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from random import sample

import trio
from msgspec import Struct
from msgspec.structs import astuple

from chatd.app.audit_log import AuditActor
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.db import queries
from chatd.db.http_client import Outbound
from chatd.db.postgres import Postgres, Row, Tx
from chatd.webhooks import endpoints, payloads
from chatd.webhooks.attempts import Attempt, attempt, wait_ms
from chatd.webhooks.directory import Directory, Endpoint
from chatd.webhooks.event_types import ALL_TYPES, TEST
from chatd.webhooks.settings import WebhookSettings
from chatd.webhooks.tunables import WebhookTunables

LOG = log.get(__name__)
SQL = queries.load("webhooks/queue")
PENDING, DELIVERED, PARKED, DROPPED = "pending", "delivered", "parked", "dropped"
# The actor of acts of the server in the audit log.
SERVER = "chatd"
MAX_ERROR_CHARS = 200


class Stream(Struct, frozen=True):
    """A stream that this node has claimed."""

    tenant: str
    endpoint: str
    key: str
    version: int
    claim: str

    @property
    def place(self) -> tuple[str, str, str]:
        return self.tenant, self.endpoint, self.key


class Result(Struct, frozen=True):
    """The new state of an event, why the attempt failed, and for how long it is kept if it is settled."""

    id: int
    state: str
    error: str | None = None
    kept_ms: int = 0


class Slice(Struct):
    """What became of a slice. `has_more`: the stream has events beyond the slice. `wait_ms`: the time until the next
    attempt.
    """

    results: list[Result] = []
    has_more: bool = True
    wait_ms: int = 0


class Deliverer:
    """See the module. `counts`: the attempts of this node by result, and the endpoints that it has disabled."""

    def __init__(
        self,
        db: Postgres,
        directory: Directory,
        outbound: Outbound,
        settings: WebhookSettings,
        clock: Callable[[], int],
        tunables: WebhookTunables,
    ) -> None:
        self.counts = Counter[str]()
        self.disabled = 0
        self._db = db
        self._directory = directory
        self._outbound = outbound
        self._settings = settings
        self._clock = clock
        self._tunables = tunables
        # Claimed streams by endpoint.
        self._running = Counter[str]()
        self._news = trio.Event()
        self._last_due = NIL
        lease_s = tunables.slice_s + settings.timeout + tunables.claim_margin_s
        self._lease_ms = round(lease_s * 1000)

    def wake(self) -> None:
        """There may be streams that are due."""
        self._news.set()

    async def run(self) -> None:
        """Run forever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            while True:
                self._news = trio.Event()
                try:
                    for stream in await self._claim():
                        self._running[stream.endpoint] += 1
                        nursery.start_soon(self._serve, stream)
                except Refused:
                    await trio.sleep(self._tunables.poll_s)
                    continue
                with trio.move_on_after(self._tunables.poll_s):
                    await self._news.wait()
                await trio.sleep(self._tunables.gather_s)

    async def _follow(self) -> None:
        """Look for due streams when endpoints have changed."""
        while True:
            await self._directory.was_read.wait()
            self.wake()

    async def _claim(self) -> list[Stream]:
        """Claim due streams, as many as there are free places. Raises Refused."""
        free = self._settings.concurrency - self._running.total()
        if free <= 0 or not self._directory.by_id:
            return []
        due = await self._due_endpoints(free)
        wanted = {id_: count for id_ in due if (count := self._free_places(id_, free))}
        if not wanted:
            return []
        claim = uuid7(self._clock())
        # In another order each time: with too few places for all, none is always the last one.
        order = sample(list(wanted), len(wanted))
        places = [wanted[endpoint] for endpoint in order]
        rows = await self._db.all(SQL.claim, order, places, free, claim, self._lease_ms)
        return [Stream(row["tenant"], row["endpoint"], row["key"], row["version"], claim) for row in rows]

    async def _due_endpoints(self, free: int) -> set[str]:
        """Endpoints with due streams. If there are too many for one claim, the next one begins after the last one.

        Raises Refused.
        """
        most, start = self._tunables.claim_endpoints, self._last_due
        full = [id_ for id_ in self._running if not self._free_places(id_, free)]
        rows = await self._db.all(SQL.due_endpoints, start, full, most)
        if len(rows) < most and start != NIL:
            rows += await self._db.all(SQL.due_endpoints, NIL, full, most - len(rows))
        self._last_due = rows[-1]["endpoint"] if len(rows) == most else NIL
        return {row["endpoint"] for row in rows}

    def _free_places(self, id_: str, free: int) -> int:
        """How many more streams of an endpoint may be claimed. `free`: places for all endpoints."""
        endpoint = self._directory.by_id.get(id_)
        if endpoint is None:
            return 0
        is_limited = endpoint.failing_since is not None or free * 2 < self._settings.concurrency
        most = 1 if is_limited else self._settings.endpoint_concurrency
        return max(0, most - self._running[id_])

    async def _serve(self, stream: Stream) -> None:
        """Send a slice of a stream, and end its claim."""
        done = Slice()
        try:
            endpoint = self._directory.by_id.get(stream.endpoint)
            if endpoint is not None:
                await self._send(endpoint, stream, done)
        except Refused:
            done.wait_ms = max(done.wait_ms, round(self._tunables.first_retry_s * 1000))
        except Exception:
            LOG.exception("events of a webhook endpoint could not be sent", extra=of(stream))
            done.wait_ms = round(self._tunables.max_retry_s * 1000)
        finally:
            try:
                with trio.CancelScope(shield=True), trio.move_on_after(self._tunables.end_s):
                    await self._end(stream, done)
            finally:
                self._running -= Counter((stream.endpoint,))
                self.wake()

    async def _send(self, endpoint: Endpoint, stream: Stream, done: Slice) -> None:
        """Send events until one fails or the slice ends. Raises Refused."""
        ends_at = trio.current_time() + self._tunables.slice_s
        events = await self._db.all(SQL.pending, *stream.place, self._tunables.slice_events)
        known = known_events(events)
        source = payloads.Source(self._db, stream.tenant, stream.key, endpoint.bot)
        contents = await payloads.bodies(source, known)
        done.has_more = len(events) == self._tunables.slice_events or len(known) < len(events)
        if len(known) < len(events) and not known:
            done.wait_ms = round(self._tunables.max_retry_s * 1000)
        for event, body in zip(known, contents, strict=True):
            if trio.current_time() >= ends_at:
                done.has_more = True
                return
            if body is None:
                self._note(done, event, DROPPED, "what it was about was deleted")
                continue
            result = await attempt(self._outbound, endpoint, event["event"], body, self._settings.timeout, self._clock)
            if result.error:
                done.has_more = True
                await self._failed(endpoint, event, result, done)
                return
            self._note(done, event, DELIVERED)
            await self._succeeded(endpoint)

    def _note(self, done: Slice, event: Row, state: str, error: str | None = None) -> None:
        kept_s = self._settings.keep_parked if state == PARKED else self._settings.keep_delivered
        done.results.append(Result(event["id"], state, error, round(kept_s * 1000)))
        self.counts["failed" if state == PENDING else state] += 1

    async def _succeeded(self, endpoint: Endpoint) -> None:
        if endpoint.failing_since is not None:
            endpoint.failing_since = None
            await endpoints.note_success(self._db, endpoint.tenant, endpoint.id)

    async def _failed(self, endpoint: Endpoint, event: Row, result: Attempt, done: Slice) -> None:
        """Note a failure: of the event, and of the endpoint. Raises Refused."""
        now, error = self._clock(), result.error[:MAX_ERROR_CHARS]
        left_ms = event["retried_from"] + round(self._settings.retry_for * 1000) - now
        if left_ms <= 0:
            self._note(done, event, PARKED, error)
        else:
            self._note(done, event, PENDING, error)
            done.wait_ms = wait_ms(event["attempts"], result.retry_after_s, left_ms, self._tunables)
        since = await endpoints.note_failure(self._db, endpoint.tenant, endpoint.id, now, error)
        endpoint.failing_since = since
        if result.is_gone:
            await self._disable(endpoint, error)
        elif since is not None and now - since >= self._settings.disable_after * 1000:
            await self._disable(endpoint, f"no success for {(now - since) // 1000} s; last: {error}"[:MAX_ERROR_CHARS])

    async def _disable(self, endpoint: Endpoint, reason: str) -> None:
        """Disable an endpoint that fails, and log it once. Raises Refused."""
        actor = AuditActor(endpoint.tenant, SERVER, self._clock())
        try:
            disabled = await self._db.in_transaction(endpoints.disable, actor, endpoint.id, reason)
        except Refused as refused:
            if refused.code != "not_found":
                raise
            disabled = False
        self._directory.by_id.pop(endpoint.id, None)
        self._directory.mark_changed()
        if disabled:
            self.disabled += 1
            LOG.warning(
                "a webhook endpoint was disabled; see `chatd webhooks list`",
                extra={"tenant": endpoint.tenant, "endpoint": endpoint.id, "cause": reason},
            )

    async def _end(self, stream: Stream, done: Slice) -> None:
        """Store the results, and end the claim. If that fails, the slice is sent again after the claim."""
        try:
            await self._db.in_transaction(end, stream, done)
        except Refused as refused:
            LOG.info("results of a webhook endpoint were not stored", extra={**of(stream), "cause": refused.message})


def of(stream: Stream) -> dict[str, str]:
    return {"tenant": stream.tenant, "endpoint": stream.endpoint, "key": stream.key}


def known_events(events: Sequence[Row]) -> list[Row]:
    """The events before the first one of an unknown type, which a newer node can send."""
    known = []
    for event in events:
        if event["type"] not in ALL_TYPES and event["type"] != TEST:
            break
        known.append(event)
    return known


async def end(tx: Tx, stream: Stream, done: Slice) -> None:
    """Store the results of a slice, unless another node has claimed the stream since, and end the claim."""
    if done.results:
        columns = [list(column) for column in zip(*map(astuple, done.results), strict=True)]
        await tx.run(SQL.settle, *stream.place, stream.claim, *columns)
    is_last = not done.has_more and not done.wait_ms
    if not is_last or await tx.value(SQL.end_stream, *stream.place, stream.claim, stream.version) is None:
        await tx.run(SQL.release, *stream.place, stream.claim, done.wait_ms)

"""The client: one object that stays connected, misses no event, and sends each message once.

`connect` opens it. The client opens one connection after the other (`Link`), with backoff. The `Timeline` decides which
events the app gets; the `Outbox` keeps the messages that have no ack yet. Commands wait while there is no connection.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    connect_websocket_url,
)

from chatd.client.account import Account, refused
from chatd.client.backoff import Backoff
from chatd.client.catch_up import CatchUp
from chatd.client.commands import Commands
from chatd.client.events import EventQueue
from chatd.client.link import Disconnected, Link, alone, unwrapped
from chatd.client.outbox import Outbox
from chatd.client.resumable import Progress
from chatd.client.timeline import Timeline
from chatd.client.types import Connected, Upload
from chatd.client.upload import File, upload
from chatd.client.wire_base import typed
from chatd.core.errors import Refused, may_return

CONNECT_TIMEOUT = 15.0
DOWN = (OSError, HandshakeError, Disconnected, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError)
TOKEN_EXPIRED = 4001
# Commands that end the match of the user. The connection that sent one gets no `match.ended`.
ENDS_MATCH = ("match.leave", "match.skip")
Dial = Callable[..., Awaitable[WebSocketConnection]]


class Ended(Exception):
    """The server rejected this account permanently; the text names the reason."""


class Client(Commands):
    """The client, opened by `connect`. `state` is connecting, connected, waiting or closed."""

    def __init__(self, url: str, who: Account | str, codec: str, position: dict[str, Any] | None, dial: Dial) -> None:
        super().__init__(Outbox())
        self._dial = dial
        self._url = url
        self._who = who
        self._codec = codec
        self._timeline = Timeline(position)
        self._backoff = Backoff(random.random)
        self._nursery: trio.Nursery | None = None
        self._fresh = ""
        self.events = EventQueue(self._timeline.lost)
        self._missed = CatchUp(self._timeline, self.events, self._emit)
        self.state = "connecting"
        # The first frame of the latest connection; None before there was one.
        self.hello: Connected | None = None

    @property
    def user(self) -> str:
        """The user of this client; known after the first connection."""
        return self.hello.user if self.hello else ""

    def known_as(self, conversation: str) -> str:
        """The id of this user in a conversation, as in `sender` of own messages: the alias in a match, else the user
        id.
        """
        return self._timeline.known_as(conversation)

    @property
    def position(self) -> dict[str, Any]:
        """The state to store and pass to a later `connect`, which then emits everything that was not taken from
        `events`.

        Read it after you have processed the last event.
        """
        return self._timeline.position(self.events.untaken())

    async def upload(
        self,
        file: File,
        mime: str = "application/octet-stream",
        name: str | None = None,
        progress: Progress | None = None,
    ) -> Upload:
        """Store a file; see `chatd.client.upload`. Requires an account: a token does not contain the HTTP address."""
        if not isinstance(self._who, Account):
            raise TypeError("an upload needs an Account or a ProvidedAccount, which contains the HTTP address")
        return await upload(self._who, file, mime, name, progress)

    # --- staying connected ----------------------------------------------------------------------------------------

    async def run(self, nursery: trio.Nursery) -> None:
        """Connect and reconnect. Raises Ended, or Refused if the account cannot sign in."""
        self._nursery = nursery
        nursery.start_soon(self._send_outbox)
        while True:
            requested_s = None
            try:
                await self._one_connection()
            except ConnectionClosed as closed:
                requested_s = await self._after_close(closed)
            except ConnectionRejected as rejected:
                requested_s = await self._after_rejection(rejected)
            except DOWN:
                requested_s = None
            self.link_down()
            self._become("waiting")
            await trio.sleep(self._backoff.next_wait(trio.current_time(), requested_s))
            self._become("connecting")

    def _become(self, state: str) -> None:
        self.state = state
        self.events.put({"t": "client.state", "state": state})

    async def _one_connection(self) -> None:
        with unwrapped():
            async with trio.open_nursery() as nursery:
                try:
                    await self._use_connection(nursery)
                finally:
                    nursery.cancel_scope.cancel()

    async def _use_connection(self, nursery: trio.Nursery) -> None:
        if not self._token():
            await self._refresh()
        if not self._token():
            raise OSError("no access token could be fetched")
        headers = [(b"Authorization", f"Bearer {self._token()}".encode())]
        with trio.fail_after(CONNECT_TIMEOUT):
            connection = await self._dial(
                nursery,
                self._url,
                subprotocols=[f"chatd.v1.{self._codec}"],
                extra_headers=headers,
                max_message_size=2**24,
            )
            link = Link(connection)
            _, hello = await link.receive()
        link.apply_limits(hello)
        self.hello = typed(hello, {"connected": Connected})
        self._fresh = ""
        self._timeline.user = self.user
        self._timeline.connected()
        self._backoff.connected(trio.current_time())
        nursery.start_soon(self._catch_up, link)
        try:
            await link.run(self._on_event, self._on_answer)
        finally:
            with trio.move_on_after(1):
                await connection.aclose()

    def _token(self) -> str:
        return self._who.access_token if isinstance(self._who, Account) else self._who

    async def _after_close(self, closed: ConnectionClosed) -> float | None:
        """The delay that the server requested, if any. Raises Ended if it rejected the account."""
        code, reason = (closed.reason.code, closed.reason.reason or "") if closed.reason else (1006, "")
        if not may_return(code):
            raise Ended(f"the server closed the connection: {code} {reason}")
        if code == TOKEN_EXPIRED:
            await self._refresh()
        name, _, value = reason.partition("=")
        return int(value) / 1000 if name == "retry_in_ms" and value.isdigit() else None

    async def _after_rejection(self, rejected: ConnectionRejected) -> float | None:
        error = refused(rejected.body or b"")
        if error.code == "unauthenticated":
            await self._replace_token(error)
            return None
        if not error.row.retryable:
            raise error
        waits = [value.decode() for name, value in rejected.headers or () if name.lower() == b"retry-after"]
        return float(waits[0]) if waits and waits[0].isdigit() else None

    async def _replace_token(self, error: Refused) -> None:
        """Fetch another token after the server rejected this one. Raises Refused if it was fetched just before."""
        if self._token() == self._fresh:
            raise error
        old = self._token()
        await self._refresh()
        self._fresh = self._token() if self._token() != old else self._fresh

    async def _refresh(self) -> None:
        """Fetch a fresh access token; nothing happens if the server is unreachable. Raises Refused if the server issues
        none.
        """
        if not isinstance(self._who, Account):
            raise Refused("unauthenticated", "the access token is invalid or has expired")
        try:
            await self._who.refresh(self._who.access_token)
        except OSError:
            return
        except Refused as refused:
            if not refused.row.retryable:
                raise

    # --- what comes in --------------------------------------------------------------------------------------------

    async def _catch_up(self, link: Link) -> None:
        """Sync, then allow commands. If the connection ends before that, both are repeated."""
        try:
            await self._missed.states(link)
            self.link_up(link)
            self._become("connected")
            await self._missed.close_gaps(link)
        except Disconnected:
            return
        except Refused:
            await link.close()

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["t"] == "token.expiring" and self._nursery is not None:
            self._nursery.start_soon(self._renew)
        self._emit(self._timeline.take(event))

    def _on_answer(self, command: dict[str, Any], reply: dict[str, Any]) -> None:
        if reply["t"] == "conversation":
            self._timeline.note_conversation(reply["conversation"])
        if reply["t"] == "ok" and command["t"] in ENDS_MATCH:
            self._timeline.own_behind = True
        if reply["t"] in ("message.ack", "message.forwarded"):
            self._timeline.acked(command["conversation"], reply["seq"], reply["rev"])
        self._missed.check()

    def _emit(self, events: list[Any]) -> None:
        for event in events:
            if not self._belongs_to_client(event):
                self.events.put(event)
        self._missed.check()

    def _belongs_to_client(self, event: dict[str, Any]) -> bool:
        """Whether this client sent the message: its ack contains everything that the event contains."""
        message = event["message"] if event["t"] == "message.new" else {}
        return (
            bool(message)
            and self._timeline.is_own(event["conversation"], message["sender"])
            and self.outbox.has_sent(message["client_id"])
        )

    async def _renew(self) -> None:
        """Send the server a fresh token before the old one expires."""
        try:
            await self._refresh()
            await self.call("auth.refresh", token=self._token())
        except (Disconnected, Refused):
            return


@asynccontextmanager
async def connect(
    url: str,
    who: Account | str,
    *,
    codec: str = "msgpack",
    position: dict[str, Any] | None = None,
    dial: Dial = connect_websocket_url,
) -> AsyncIterator[Client]:
    """A client that stays connected while the block runs. `who`: an account, or an access token.

    `codec` is msgpack or json; `position` is the `position` of an earlier client; `dial` opens a connection. Raises
    Ended or Refused out of the block if the server rejects the account; all other failures are retried.
    """
    client = Client(url, who, codec, position, dial)
    try:
        with alone():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.run, nursery)
                await client.wait_connected()
                yield client
                nursery.cancel_scope.cancel()
    finally:
        client.state = "closed"

"""The client: one object that stays connected, misses nothing, and sends everything once.

`connect` opens it. Underneath, one connection after the other (`Link`) is opened with backoff; the `Timeline` says what of each
is to be told; the `Outbox` keeps what has not been acked. Commands wait for a connection when there is none.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, connect_websocket_url

from chatd.client.account import Account, refused
from chatd.client.backoff import Backoff
from chatd.client.commands import Commands
from chatd.client.events import EventQueue
from chatd.client.link import Disconnected, Link, unwrapped
from chatd.client.outbox import Outbox
from chatd.client.reply import Reply
from chatd.client.timeline import Timeline
from chatd.errors import Refused

CONNECT_TIMEOUT = 15.0
DOWN = (OSError, HandshakeError, Disconnected, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError)
TOKEN_EXPIRED = 4001
NO_RETURN = range(4400, 5000)


class Ended(Exception):
    """The server said not to come back; the text says why."""


class Client(Commands):
    """See `connect`. `state` is connecting, connected, waiting or closed."""

    def __init__(self, url: str, who: Account | str, codec: str, position: dict[str, Any] | None) -> None:
        super().__init__(Outbox())
        self._url = url
        self._who = who
        self._codec = codec
        self._timeline = Timeline(position)
        self._backoff = Backoff(random.random)
        self._nursery: trio.Nursery | None = None
        self.events = EventQueue(self._timeline.lost, self._sync_all)
        self.state = "connecting"
        self.hello = Reply()

    @property
    def user(self) -> str:
        """Who this is; known once it has been connected."""
        return str(self.hello.get("user", ""))

    @property
    def position(self) -> dict[str, Any]:
        """What to keep, and give to a later `connect`, so that it tells everything that was not told here."""
        return self._timeline.position

    # --- staying connected ----------------------------------------------------------------------------------------------

    async def run(self, nursery: trio.Nursery) -> None:
        """Connection after connection. Raises Ended, or Refused when nobody could sign in as this."""
        self._nursery = nursery
        nursery.start_soon(self._send_outbox)
        while True:
            asked = None
            try:
                await self._one_connection()
            except ConnectionClosed as closed:
                asked = await self._after_close(closed)
            except ConnectionRejected as rejected:
                asked = await self._after_rejection(rejected)
            except DOWN:
                asked = None
            self.link_down()
            self.state = "waiting"
            await trio.sleep(self._backoff.next_wait(trio.current_time(), asked))
            self.state = "connecting"

    async def _one_connection(self) -> None:
        with unwrapped():
            async with trio.open_nursery() as nursery:
                try:
                    await self._use_connection(nursery)
                finally:
                    nursery.cancel_scope.cancel()

    async def _use_connection(self, nursery: trio.Nursery) -> None:
        headers = [(b"Authorization", f"Bearer {self._token()}".encode())]
        with trio.fail_after(CONNECT_TIMEOUT):
            connection = await connect_websocket_url(
                nursery,
                self._url,
                subprotocols=[f"chatd.v1.{self._codec}"],
                extra_headers=headers,
                max_message_size=2**24,
            )
            link = Link(connection)
            _, self.hello = await link.receive()
        link.heartbeat = self.hello["heartbeat"]
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
        """Seconds to wait, when the server said so. Raises Ended when it said not to come back."""
        code, reason = (closed.reason.code, closed.reason.reason or "") if closed.reason else (1006, "")
        if code in NO_RETURN:
            raise Ended(f"the server closed the connection: {code} {reason}")
        if code == TOKEN_EXPIRED:
            await self._refresh()
        name, _, value = reason.partition("=")
        return int(value) / 1000 if name == "retry_in_ms" and value.isdigit() else None

    async def _after_rejection(self, rejected: ConnectionRejected) -> float | None:
        error = refused(rejected.body or b"")
        if error.code == "unauthenticated":
            await self._refresh()
            return None
        if not error.row.retryable:
            raise error
        waits = [value.decode() for name, value in rejected.headers or () if name.lower() == b"retry-after"]
        return float(waits[0]) if waits and waits[0].isdigit() else None

    async def _refresh(self) -> None:
        """A fresh access token. Raises Refused when there cannot be one."""
        if not isinstance(self._who, Account):
            raise Refused("unauthenticated", "the token is not valid (any more)")
        try:
            await self._who.refresh(self._who.access_token)
        except OSError:
            return

    # --- catching up ----------------------------------------------------------------------------------------------------

    async def _catch_up(self, link: Link) -> None:
        """Learn what changed, then let commands through. A connection that ends meanwhile is tried again as a whole."""
        try:
            await self._take_states(link)
            self.link_up(link)
            self.state = "connected"
            await self._sync_all(link)
        except Disconnected:
            return
        except Refused:
            await link.close()

    async def _take_states(self, link: Link) -> None:
        cursor, more = self._timeline.cursor, True
        while more:
            page = await link.call({"t": "session.sync", **({"cursor": cursor} if cursor else {})})
            self._timeline.take_states(page["conversations"])
            cursor, more = page["cursor"], page["more"]
        assert cursor is not None
        self._tell(self._timeline.states_end(cursor))

    async def _sync_all(self, link: Link | None = None) -> None:
        """Close the gaps there are now."""
        link = link or self.link
        if link is None:
            return
        for id_ in self._timeline.behind():
            more = id_ in self._timeline.behind()
            while more:
                rev = self._timeline.places[id_].rev
                changes = await link.call({"t": "conversation.sync", "conversation": id_, "rev": rev})
                self._tell(self._timeline.take_changes(id_, changes))
                more = changes["more"]

    def _on_event(self, event: Reply) -> None:
        if event["t"] == "token.expiring":
            self._start(self._renew)
        gaps = len(self._timeline.behind())
        self._tell(self._timeline.take(event))
        if len(self._timeline.behind()) > gaps:
            self._start(self._sync_quietly)

    def _on_answer(self, command: dict[str, Any], reply: Reply) -> None:
        if reply["t"] == "conversation":
            self._timeline.learn(reply["conversation"])
        if reply["t"] == "message.ack":
            self._timeline.acked(command["conversation"], reply["seq"], reply["rev"])
            if self._timeline.places[command["conversation"]].behind:
                self._start(self._sync_quietly)

    def _tell(self, events: list[Any]) -> None:
        for event in events:
            if event["t"] != "message.new" or not self.outbox.has_sent(event["message"]["client_id"]):
                self.events.put(Reply(event))

    def _start(self, work: Any) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(work)

    async def _sync_quietly(self) -> None:
        try:
            await self._sync_all()
        except (Disconnected, Refused):
            return

    async def _renew(self) -> None:
        """Show the server a fresh token before the old one ends."""
        try:
            await self._refresh()
            await self.call("auth.refresh", token=self._token())
        except (Disconnected, Refused):
            return


@asynccontextmanager
async def connect(
    url: str, who: Account | str, *, codec: str = "msgpack", position: dict[str, Any] | None = None
) -> AsyncIterator[Client]:
    """A client that stays connected as long as the block lasts. `who`: an account, or just an access token.

    `codec` is msgpack or json; `position` is what an earlier client said where it stood. Raises Ended or Refused out of the block
    when the server will not have us; whatever else breaks is mended.
    """
    client = Client(url, who, codec, position)
    try:
        with unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.run, nursery)
                await client.wait_connected()
                yield client
                nursery.cancel_scope.cancel()
    finally:
        client.state = "closed"

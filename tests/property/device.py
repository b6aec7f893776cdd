"""A device of a user: a connection to one node, and its local state (`Mirror`)."""

from collections import Counter
from typing import Any

import trio
import trio.lowlevel
from trio_websocket import ConnectionClosed, connect_websocket_url

from chatd.client import Account, Refused
from chatd.client.link import Disconnected, unwrapped
from tests.property.mirror import Mirror
from tests.property.room import Json
from tests.property.wire import Wire
from tests.reply import Link, Reply
from tests.support import PATIENCE, Daemon

# The close code of a connection whose login has ended.
LOGGED_OUT = 4404


class Device:
    """`go_online`, `call`, `catch_up`, `go_offline`; one of them at a time. The mirror outlives connections."""

    def __init__(self, name: str, account: Account, node: Daemon, codec: str) -> None:
        self.name = name
        self.account = account
        self.node = node
        self.codec = codec
        self.mirror = Mirror(account.user)
        self.wire = Wire(account.user)
        self.wrong: list[str] = []
        self.blocks: list[Any] = []
        self.settings: Json = {}
        self.contacts: list[str] = []
        # The conversations of requests to the user, those that wait and those that were declined.
        self.requests: tuple[list[str], list[str]] = ([], [])
        self.scheduled: list[Any] = []
        # The names of the logins of the user, by id; None until they are read.
        self.logins: dict[str, str | None] | None = None
        # Events about logins since the list was requested.
        self._login_events: list[Reply] = []
        # With a login of its own, which may end: the server closes the connection, and the device has to sign in again.
        self.may_be_logged_out = False
        self.logged_out = False
        # Aliases of partners, and matches to confirm, the latest last.
        self.partners: list[str] = []
        self.proposals: list[str] = []
        # The number of events about matches and threads.
        self.received: Counter[str] = Counter()
        # The number of refusals under id 0, by command and code.
        self.refused: Counter[str] = Counter()
        self._link: Link | None = None
        self._scope = trio.CancelScope()
        self._held: list[Reply] | None = None

    @property
    def user(self) -> str:
        return self.account.user

    @property
    def online(self) -> bool:
        return self._link is not None

    async def go_online(self, nursery: trio.Nursery) -> None:
        """Events before the first session.sync wait for it. Raises ConnectionRejected."""
        self._held = []
        self.logins = None
        self.mirror.connected()
        self.wire = Wire(self.user)
        with unwrapped():
            await nursery.start(self._serve)

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        token = [(b"Authorization", b"Bearer " + self.account.access_token.encode())]
        with trio.CancelScope() as self._scope:
            async with trio.open_nursery() as nursery:
                connection = await connect_websocket_url(
                    nursery, self.node.addresses.socket, subprotocols=[f"chatd.v1.{self.codec}"], extra_headers=token
                )
                self._link = Link(connection)
                await self._link.receive()
                task_status.started()
                try:
                    await self._link.run(self._on_event, self._answered)
                except ConnectionClosed as closed:
                    self._note_close(closed)
                finally:
                    self._link = None
                    with trio.CancelScope(shield=True):
                        await trio.aclose_forcefully(connection)
        self.wrong += self.wire.wrong
        self.wire.wrong = []

    def _note_close(self, closed: ConnectionClosed) -> None:
        self.logged_out = closed.reason is not None and closed.reason.code == LOGGED_OUT
        if not (self.logged_out and self.may_be_logged_out):
            self.wrong.append(f"disconnected by the server: {closed.reason}")

    async def go_offline(self) -> None:
        """Disconnect without a close frame; data in flight is lost."""
        self._scope.cancel()
        while self.online:
            await trio.lowlevel.checkpoint()
        self._held = None

    def _on_event(self, event: Reply) -> None:
        self.wire.check_event(event)
        self._note_match(event)
        if event["t"].startswith("login."):
            self._take_login(event)
        if event["t"] == "error":
            self.refused[f"{event['command']} {event['code']}"] += 1
        if self._held is not None:
            self._held.append(event)
        else:
            self.mirror.take(event)

    def _take_login(self, event: Reply) -> None:
        self._login_events.append(event)
        if self.logins is not None:
            change_logins(self.logins, event)

    async def sync_logins(self) -> None:
        """Read the list; events that came meanwhile are applied to it again."""
        self._login_events = []
        self.logins = logins_of(await self.call("login.list"))
        for event in self._login_events:
            change_logins(self.logins, event)

    def _note_match(self, event: Reply) -> None:
        kind = event["t"]
        if kind.startswith(("match.", "thread.")):
            self.received[f"{kind} {event['reason']}" if kind == "match.ended" else kind] += 1
        if kind == "match.found":
            self.partners += [partner["id"] for partner in event["partners"]]
        elif kind == "match.proposed":
            self.proposals.append(event["match"])

    def _answered(self, command: Json, result: Reply) -> None:
        if result["t"] != "error":
            self.wire.answered(command, result)
            self.mirror.answered(command, result)

    async def call(self, command: str, **fields: Any) -> Reply:
        """Raises Refused, Disconnected."""
        if self._link is None:
            raise Disconnected
        with trio.fail_after(3 * PATIENCE):
            return await self._link.call({"t": command, **fields})

    async def notify(self, command: str, **fields: Any) -> None:
        """Send a command under id 0. Raises Disconnected."""
        if self._link is None:
            raise Disconnected
        await self._link.notify({"t": command, **fields})
        self.mirror.sent_unanswered(command)

    async def catch_up(self, limit: int = 100, pages: int = 10**6) -> None:
        """Sync as the mirror needs, in pages of this size, and stop after a number of pages. Events wait until then."""
        mirror = self.mirror
        self._held = self._held or []
        while (mirror.stale or mirror.behind) and pages:
            pages -= 1
            await (self._sync_session(limit) if mirror.stale else self._sync_conversation(limit))
        if mirror.stale:
            return
        held, self._held = self._held, None
        for event in held:
            mirror.take(event)
        if mirror.own:
            await self._sync_own()
        if self.logins is None:
            await self.sync_logins()
        if mirror.stale_profiles:
            await self._sync_profiles()

    async def _sync_profiles(self) -> None:
        if users := self.mirror.shown_users():
            cursor = self.mirror.profile_cursor
            since = {} if cursor is None else {"changed_since": cursor}
            self.mirror.take_profiles(await self.call("user.query", users=users, **since))

    async def _sync_session(self, limit: int) -> None:
        self.mirror.take_states(await self.call("session.sync", limit=limit, **self.mirror.session_request()))

    async def _sync_conversation(self, limit: int) -> None:
        id_ = min(self.mirror.behind)
        rev = self.mirror.rooms[id_].rev
        try:
            page = await self.call("conversation.sync", conversation=id_, rev=rev, limit=limit)
        except Refused as refused:
            assert refused.code == "not_found", refused
            self.mirror.forget(id_)
        else:
            self.mirror.take_changes(id_, page)

    async def _sync_own(self) -> None:
        blocks = await self.call("block.list")
        self.settings = plain(await self.call("user.settings"))
        self.blocks = [plain(one) for one in blocks["items"]]
        self.scheduled = [plain(one) for one in (await self.call("schedule.list", limit=200))["items"]]
        self.contacts, self.requests = await self.contacts_now(), await self.requests_now()
        self.logins = None
        self.mirror.own = False

    async def contacts_now(self) -> list[str]:
        return [one["user"] for one in (await self.call("contact.list"))["items"]]

    async def requests_now(self) -> tuple[list[str], list[str]]:
        waiting, declined = [
            [one["conversation"] for one in (await self.call("request.list", limit=200, declined=declined))["items"]]
            for declined in (False, True)
        ]
        return waiting, declined


def logins_of(listed: Reply) -> dict[str, str | None]:
    return {one["id"]: one["name"] for one in listed["items"]}


def change_logins(logins: dict[str, str | None], event: Reply) -> None:
    """Apply `login.added`, `login.updated` or `login.ended`. All of them may be repeated."""
    if event["t"] == "login.ended":
        for id_ in event["logins"]:
            logins.pop(id_, None)
    else:
        logins[event["login"]["id"]] = event["login"]["name"]


def plain(reply: Any) -> Json:
    return {name: value for name, value in dict(reply).items() if name != "t"}

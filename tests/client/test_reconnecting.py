"""When the client reconnects, when it does not, and with which credentials.

Against a scripted server, with a mock clock.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import CloseReason, ConnectionClosed, ConnectionRejected

from chatd.client import Account, Client, Ended, Refused, connect
from chatd.client.link import Disconnected
from chatd.client.own_events import ConversationReset
from chatd.client.types import ConversationGone
from tests.client.scripted import SETTINGS, Server, ack, changes, error, news, state
from tests.reply import Reply


@asynccontextmanager
async def client_of(server: Server, who: Account | str = "token", **options: Any) -> AsyncIterator[Client]:
    async with connect("ws://nowhere", who, codec="json", dial=server.dial, **options) as client:
        yield client


async def next_event(client: Client) -> Reply:
    """The next event of the server."""
    while True:
        event = await anext(client.events)
        if event.t != "client.state":
            return event


class Tokens(Account):
    """An account whose refreshes come from a list; an item that is not a string is raised."""

    def __init__(self, *tokens: str | Exception) -> None:
        super().__init__("http://nowhere", "me", "first", "refresh")
        self._tokens = list(tokens)

    async def refresh(self, stale: str) -> str:
        await trio.lowlevel.checkpoint()
        token = self._tokens.pop(0)
        if isinstance(token, Exception):
            raise token
        self.access_token = token
        return token


def rejected(status: int, code: str, *headers: tuple[bytes, bytes]) -> ConnectionRejected:
    return ConnectionRejected(status, headers, f'{{"code": "{code}", "message": "no"}}'.encode())


UNAUTHENTICATED = rejected(401, "unauthenticated")


async def test_unreachable_server_is_retried_with_backoff(autojump_clock: MockClock) -> None:
    server = Server(*[OSError()] * 12)
    async with client_of(server):
        assert len(server.dialled) == 13
        assert all(wait <= min(30, 0.5 * 2**turn) for turn, wait in enumerate(server.waits))
        assert max(server.waits) > 5


async def test_drained_client_reconnects_after_retry_in_ms(autojump_clock: MockClock) -> None:
    server = Server()
    async with client_of(server) as client:
        server.wires[0].end(1001, "retry_in_ms=7000")
        await trio.sleep(0.1)
        assert client.state == "waiting"
        await trio.sleep(8)
        states = [(await anext(client.events)).state for _ in range(4)]
        assert states == ["connected", "waiting", "connecting", "connected"]
        assert 7 <= server.waits[0] <= 7.5


async def test_retry_after_of_an_overloaded_server_is_respected(autojump_clock: MockClock) -> None:
    server = Server(rejected(503, "maintenance", (b"Retry-After", b"12")))
    async with client_of(server):
        assert 12 <= server.waits[0] <= 12.5


@pytest.mark.parametrize("code", [1009, 4002, 4400, 4403, 4404, 4999])
async def test_client_does_not_reconnect_after_a_permanent_close(code: int, autojump_clock: MockClock) -> None:
    server = Server()
    with pytest.raises(Ended, match=str(code)):  # noqa: PT012
        async with client_of(server):
            server.wires[0].end(code)
            await trio.sleep(100)
    assert len(server.dialled) == 1


@pytest.mark.parametrize("code", [1001, 1006, 1011, 4000, 4029, 4100])
async def test_client_reconnects_after_any_other_close(code: int, autojump_clock: MockClock) -> None:
    server = Server()
    async with client_of(server) as client:
        server.wires[0].end(code)
        await trio.sleep(3)
        assert (client.state, len(server.dialled)) == ("connected", 2)


async def test_an_expired_token_is_replaced(autojump_clock: MockClock) -> None:
    server = Server()
    async with client_of(server, Tokens("second")):
        server.wires[0].end(4001)
        await trio.sleep(3)
        assert server.tokens == ["first", "second"]


async def test_rejected_fresh_token_ends_the_client(autojump_clock: MockClock) -> None:
    server = Server(UNAUTHENTICATED, UNAUTHENTICATED, UNAUTHENTICATED)
    with pytest.raises(Refused, match="unauthenticated"):
        async with client_of(server, Tokens("second", "third")):
            pass
    assert server.tokens == ["first", "second"]


@pytest.mark.parametrize("trouble", [OSError(), Refused("unavailable"), Refused("rate_limited")])
async def test_failed_refresh_is_retried(trouble: Exception, autojump_clock: MockClock) -> None:
    server = Server(UNAUTHENTICATED, UNAUTHENTICATED)
    async with client_of(server, Tokens(trouble, "second")):
        assert server.tokens == ["first", "first", "second"]


async def test_expiring_token_is_renewed_on_the_open_connection(autojump_clock: MockClock) -> None:
    server = Server()
    server.handlers["auth.refresh"] = lambda body: {"t": "auth.refreshed", "expires_at": 1}
    async with client_of(server, Tokens("second")):
        server.wires[0].push({"t": "token.expiring", "expires_at": 0})
        await trio.sleep(1)
        assert [body["token"] for body in server.asked_for("auth.refresh")] == ["second"]
        assert len(server.dialled) == 1


async def test_dead_connection_is_detected_and_closed(autojump_clock: MockClock) -> None:
    server = Server()
    async with client_of(server) as client:
        await trio.sleep(60)
        assert server.asked_for("ping")
        assert (client.state, len(server.dialled)) == ("connected", 2)


async def test_message_keeps_its_client_id_across_connections(autojump_clock: MockClock) -> None:
    server = Server()
    async with client_of(server) as client:
        first, second = client.send_nowait("c", "one"), client.send_nowait("c", "two")
        await trio.sleep(0.1)
        server.wires[0].end(1006)
        server.handlers["message.send"] = lambda body: ack(body, len(server.asked_for("message.send")) - 1)
        assert (await first.ack()).client_id == first.client_id
        assert (await second.ack()).client_id == second.client_id
        assert [body["text"] for body in server.asked_for("message.send")] == ["one", "one", "two"]


async def test_unanswered_command_waits_for_a_connection_only(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    async with client_of(server) as client:
        await client.typing("c")
        assert server.asked_for("typing.start") == [{"t": "typing.start", "conversation": "c"}]
        broken = client.link
        server.wires[0].end(1006)
        while client.link is broken:
            await trio.sleep(0.1)
        await client.notify("receipt.read", conversation="c", seq=1)
        assert len(server.wires) == 2
        assert server.asked_for("receipt.read") == [{"t": "receipt.read", "conversation": "c", "seq": 1}]
        with pytest.raises(Refused, match="too_large"):
            await client.notify("presence.watch", users=["x" * 1001])

        async def send_message(data: str) -> None:
            raise ConnectionClosed(CloseReason(1006, ""))

        monkeypatch.setattr(server.wires[1], "send_message", send_message)
        with pytest.raises(Disconnected):
            await client.typing("c", on=False)


async def test_too_long_message_fails_without_affecting_others(autojump_clock: MockClock) -> None:
    server = Server()
    server.handlers["message.send"] = lambda body: ack(body, 1)
    async with client_of(server) as client:
        too_long, good = client.send_nowait("c", "x" * 1001), client.send_nowait("c", "y")
        with pytest.raises(Refused, match="too_large"):
            await too_long.ack()
        assert (await good.ack()).seq == 1
        assert len(server.dialled) == 1


async def test_refused_sync_does_not_delay_other_conversations(autojump_clock: MockClock) -> None:
    server = Server()
    server.states = [state(id_, 5) for id_ in ("gone", "busy", "fine")]
    tries: list[str] = []

    def sync(body: dict[str, Any]) -> dict[str, Any]:
        tries.append(body["conversation"])
        if body["conversation"] == "gone":
            return error("not_found")
        return error("rate_limited", retry_after=3) if tries.count("busy") == 1 else changes(body["rev"], 5)

    server.handlers["conversation.sync"] = sync
    position = {"cursor": "old", "conversations": {id_: [4, 4, False] for id_ in ("gone", "busy", "fine")}}
    async with client_of(server, position=position) as client:
        seen = {event.conversation: event.t for event in [await next_event(client) for _ in range(3)]}
        assert seen == {"busy": "message.new", "fine": "message.new", "gone": "conversation.gone"}
        assert "gone" not in client.position["conversations"]


async def test_position_contains_only_taken_events(autojump_clock: MockClock) -> None:
    server = Server()
    server.states = [state("c", 0)]
    async with client_of(server) as client:
        for number in (1, 2, 3):
            server.wires[0].push(news("c", number))
        await trio.sleep(0.1)
        await next_event(client)
        assert client.position["conversations"]["c"] == [1, 1, True]
        await next_event(client)
        assert client.position["conversations"]["c"] == [2, 2, True]
        await next_event(client)
        assert client.position["conversations"]["c"] == [3, 3, False]


async def test_events_beyond_the_queue_are_emitted_later_in_order(autojump_clock: MockClock) -> None:
    server = Server()
    server.states = [state("c", 0)]
    server.handlers["conversation.sync"] = lambda body: changes(body["rev"], 50)
    async with client_of(server) as client:
        client.events._most = 10
        for number in range(1, 51):
            server.wires[0].push(news("c", number))
        await trio.sleep(1)
        client.events._most = 100
        assert [(await next_event(client)).rev for _ in range(50)] == list(range(1, 51))


async def test_restored_server_resets_conversations(autojump_clock: MockClock) -> None:
    server = Server()
    server.states = [state("c", 3)]
    async with client_of(server, position={"cursor": "old", "conversations": {"c": [9, 9, False]}}) as client:
        assert (await next_event(client)) == ConversationReset(conversation="c", seq=3)
        server.wires[0].push(news("c", 4))
        assert (await next_event(client)).rev == 4


async def test_accepted_token_is_replaced_again_after_expiry(autojump_clock: MockClock) -> None:
    server = Server(UNAUTHENTICATED, None, UNAUTHENTICATED)
    async with client_of(server, Tokens("second", "third")):
        server.wires[0].end(1006)
        await trio.sleep(10)
        assert server.tokens == ["first", "second", "second", "third"]


async def test_client_id_of_another_user_is_not_own(autojump_clock: MockClock) -> None:
    server = Server()
    server.states = [state("c", 0)]
    server.handlers["message.send"] = lambda body: ack(body, 1)
    async with client_of(server) as client:
        await client.send("c", "mine", client_id="theirs-2")
        server.wires[0].push(news("c", 2))
        assert (await next_event(client)).message.seq == 2


async def test_unencodable_message_fails_without_affecting_others(autojump_clock: MockClock) -> None:
    server = Server()
    server.handlers["message.send"] = lambda body: ack(body, 1)
    async with client_of(server) as client:
        odd = [client.send_nowait("c", "half \ud83d"), client.send_nowait("c", meta={"x": object()})]
        for sending in odd:
            with pytest.raises((TypeError, ValueError)):
                await sending.ack()
        assert (await client.send("c", "good")).seq == 1


async def test_internal_error_does_not_turn_history_into_new_messages(autojump_clock: MockClock) -> None:
    server = Server()
    server.states = [state("c", 12)]
    answers = [error("internal"), changes(10, 12)]
    server.handlers["conversation.sync"] = lambda body: answers.pop(0)
    async with client_of(server, position={"cursor": "old", "conversations": {"c": [10, 10, False]}}) as client:
        assert [(await next_event(client)).rev for _ in range(2)] == [11, 12]


class AppError(Exception): ...


async def test_exception_of_the_app_propagates_unchanged(autojump_clock: MockClock) -> None:
    with pytest.raises(AppError):
        async with client_of(Server()):
            raise AppError
    with pytest.raises(ExceptionGroup, match="of the app"):
        async with client_of(Server()):
            raise ExceptionGroup("of the app", [AppError(), ValueError()])


def session_state(**fields: Any) -> dict[str, Any]:
    return {
        "t": "session.state",
        "conversations": [],
        "gone": [],
        "marks": [],
        "own": False,
        "cursor": "c",
        "more": False,
        **fields,
    }


async def test_own_changes_are_fetched_after_session_behind(autojump_clock: MockClock) -> None:
    server = Server()
    answers = [
        session_state(cursor="one"),
        error("rate_limited", retry_after=2),
        session_state(cursor="two", own=True, more=True),
        session_state(cursor="three", gone=[], more=False),
    ]
    server.handlers["session.sync"] = lambda body: answers.pop(0)
    async with client_of(server) as client:
        server.wires[0].push({"t": "session.behind"})
        event = await next_event(client)
        assert (event.t, event.own, event.since) == ("session.changed", True, "one")
        assert [body.get("cursor") for body in server.asked_for("session.sync")] == [None, "one", "one", "two"]
        assert client.position["cursor"] == "three"


async def test_conversation_ended_while_offline_is_emitted_once(autojump_clock: MockClock) -> None:
    server = Server()
    server.handlers["session.sync"] = lambda body: session_state(gone=["c", "never-known"])
    async with client_of(server, position={"cursor": "old", "conversations": {"c": [4, 4, False]}}) as client:
        assert await next_event(client) == ConversationGone(conversation="c", reason="unknown")
        server.wires[0].end(1006)
        await trio.sleep(5)
        server.wires[1].push({"t": "maintenance.mode", "enabled": True, "message": ""})
        assert (await next_event(client)).t == "maintenance.mode"


async def test_own_counters_beyond_the_queue_come_with_the_next_states(autojump_clock: MockClock) -> None:
    server = Server()
    server.states = [state("c", 0)]
    async with client_of(server) as client:
        client.events._most = 2
        server.handlers["session.sync"] = lambda body: session_state(
            conversations=[state("c", 0) | {"settings": SETTINGS, "unread": 1}]
        )
        for unread in (3, 2, 1):
            server.wires[0].push({"t": "conversation.update", "conversation": state("c", 0) | {"unread": unread}})
        await trio.sleep(1)
        client.events._most = 10
        while (event := await next_event(client)).t != "session.changed":
            pass
        assert event.conversations[0].unread == 1

"""A scripted server on a simulated network, with a mock clock."""

import json
from collections.abc import Callable
from typing import Any

import trio
from trio_websocket import CloseReason, ConnectionClosed

HELLO = {
    "t": "connected",
    "session": "s",
    "user": "me",
    "tenant": "default",
    "server_time": 0,
    "expires_at": 2**50,
    "heartbeat": 25,
    "limits": {
        "max_message": 1000,
        "max_frames": 64,
        "max_text": 1000,
        "commands_per_second": 10.0,
        "commands_burst": 10,
    },
    "maintenance": False,
}
Answer = dict[str, Any] | None


class Wire:
    """The client's end of one connection."""

    subprotocol = "chatd.v1.json"

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._send, self._receive = trio.open_memory_channel[Any](1000)
        self._end = CloseReason(1006, "")

    def push(self, body: dict[str, Any], frame_id: int = 0) -> None:
        self._send.send_nowait(json.dumps([frame_id, body]))

    def end(self, code: int, reason: str = "") -> None:
        """Close the connection from the server."""
        self._end = CloseReason(code, reason)
        self._send.close()

    async def get_message(self) -> str:
        try:
            return str(await self._receive.receive())
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise ConnectionClosed(self._end) from None

    async def send_message(self, data: str) -> None:
        await trio.lowlevel.checkpoint()
        frame_id, body = json.loads(data)
        self._server.asked.append(body)
        answer = self._server.answer(body)
        if answer is not None:
            self.push(answer, frame_id)

    async def aclose(self) -> None:
        self._receive.close()
        await trio.lowlevel.checkpoint()


class Server:
    """`outcomes`: the result of each connection attempt, an exception or None; after the last one all attempts succeed."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self._outcomes = list(outcomes)
        self.dialled: list[float] = []
        self.tokens: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.wires: list[Wire] = []
        self.states: list[dict[str, Any]] = []
        self.handlers: dict[str, Callable[[dict[str, Any]], Answer]] = {"session.sync": self._session_sync}

    async def dial(self, _: trio.Nursery, __: str, *, extra_headers: Any, **___: Any) -> Wire:
        self.dialled.append(trio.current_time())
        self.tokens.append(extra_headers[0][1].decode().removeprefix("Bearer "))
        await trio.lowlevel.checkpoint()
        outcome = self._outcomes.pop(0) if self._outcomes else None
        if outcome is not None:
            raise outcome
        self.wires.append(Wire(self))
        self.wires[-1].push(HELLO)
        return self.wires[-1]

    @property
    def waits(self) -> list[float]:
        """Seconds between the connection attempts."""
        return [later - earlier for earlier, later in zip(self.dialled, self.dialled[1:], strict=False)]

    def answer(self, body: dict[str, Any]) -> Answer:
        handler = self.handlers.get(body["t"])
        return handler(body) if handler else None

    def asked_for(self, tag: str) -> list[dict[str, Any]]:
        return [body for body in self.asked if body["t"] == tag]

    def _session_sync(self, _: dict[str, Any]) -> Answer:
        return {"t": "session.state", "conversations": self.states, "cursor": "c", "more": False}


def state(id_: str, rev: int) -> dict[str, Any]:
    info = {"title": None, "description": None, "picture": None, "announce": False, "disappear": 0, "keep_days": None}
    rules = {"slow_seconds": 0, "joining": "closed", "history": "all", "member_count": 2, "requested": None}
    return {"id": id_, "kind": "group", "seq": rev, "rev": rev, **info, **rules}


SETTINGS = {
    "muted_until": None,
    "archived": False,
    "pinned_at": None,
    "hidden": False,
    "draft": None,
    "draft_at": None,
    "notify": None,
}


def message(number: int) -> dict[str, Any]:
    known = {"seq": number, "rev": number, "sender": "somebody", "client_id": f"theirs-{number}", "text": str(number)}
    return {"id": f"m-{number}", "attachments": [], "reply_to": None, "created_at": 0, "meta": None, **known}


def news(id_: str, number: int) -> dict[str, Any]:
    return {"t": "message.new", "conversation": id_, "rev": number, "message": message(number)}


def changes(after: int, top: int) -> dict[str, Any]:
    return {
        "t": "changes",
        "messages": [message(n) for n in range(after + 1, top + 1)],
        "members": [],
        "rev": top,
        "more": False,
    }


def error(code: str, **fields: Any) -> dict[str, Any]:
    return {"t": "error", "code": code, "message": code, "retryable": False, **fields}


def ack(body: dict[str, Any], number: int) -> dict[str, Any]:
    known = {"client_id": body["client_id"], "message": "id", "seq": number, "rev": number}
    return {"t": "message.ack", "created_at": 0, "status": "sent", "duplicate": False, **known}

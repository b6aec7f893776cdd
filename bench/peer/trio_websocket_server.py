"""A chat server as people write it with trio-websocket, without more than its own API; asyncpg through trio-asyncio.

A JWT at the upgrade, sets of connections as rooms, one INSERT per message. A message is sent to one member after the
other.
python trio_websocket_server.py PORT SECRET POSTGRES
"""

import json
import sys
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import jwt
import trio
import trio_asyncio
from trio_asyncio import aio_as_trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

INSERT = "insert into peer_messages (room, sender, client_id, text) values ($1, $2, $3, $4) returning id, created_at"
HEARTBEAT_S = 25

port, secret, dsn = int(sys.argv[1]), sys.argv[2], sys.argv[3]


@dataclass(eq=False)
class Member:
    user: str
    connection: WebSocketConnection
    rooms: set[str] = field(default_factory=set)


rooms: defaultdict[str, set[Member]] = defaultdict(set)


def leave_all(member: Member) -> None:
    for room in member.rooms:
        rooms[room].discard(member)
        if not rooms[room]:
            del rooms[room]


async def send_to_others(member: Member, room: str, event: dict[str, Any]) -> None:
    text = json.dumps(event)
    for other in rooms[room] - {member}:
        with suppress(ConnectionClosed):
            await other.connection.send_message(text)


async def handle(member: Member, pool: asyncpg.Pool, body: dict[str, Any]) -> None:
    user, connection = member.user, member.connection
    kind, number, room = body.pop("type"), body.pop("id", None), body["room"]
    if kind == "join":
        rooms[room].add(member)
        member.rooms.add(room)
        await connection.send_message(json.dumps({"type": "ok", "id": number}))
    elif kind == "typing":
        await send_to_others(member, room, {"type": "typing", "room": room, "user": user})
    elif kind == "broadcast":
        await send_to_others(member, room, {"type": "message:new", **body, "sender": user})
        await connection.send_message(json.dumps({"type": "ack", "id": number, "client_id": body["client_id"]}))
    elif kind == "message":
        row = await aio_as_trio(pool.fetchrow)(INSERT, room, user, body["client_id"], body["text"])
        stored = {"message": row["id"], "created_at": row["created_at"].isoformat()}
        await send_to_others(member, room, {"type": "message:new", **body, **stored, "sender": user})
        await connection.send_message(
            json.dumps({"type": "ack", "id": number, "client_id": body["client_id"], **stored})
        )


async def ping(connection: WebSocketConnection) -> None:
    """The documentation's heartbeat: a ping every so often, and an error if no pong comes."""
    with suppress(ConnectionClosed):
        while True:
            await trio.sleep(HEARTBEAT_S)
            with trio.fail_after(HEARTBEAT_S):
                await connection.ping()


async def serve(request: WebSocketRequest, pool: asyncpg.Pool) -> None:
    token = dict(request.headers).get(b"authorization", b"").removeprefix(b"Bearer ")
    try:
        user = jwt.decode(token, secret, algorithms=["HS256"])["sub"]
    except jwt.InvalidTokenError:
        await request.reject(401, body=b"invalid token\n")
        return
    connection = await request.accept()
    member = Member(user, connection)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping, connection)
            while True:
                await handle(member, pool, json.loads(await connection.get_message()))
    except* (ConnectionClosed, trio.TooSlowError):
        pass
    finally:
        leave_all(member)


async def main() -> None:
    async with trio_asyncio.open_loop():
        pool = await aio_as_trio(asyncpg.create_pool)(dsn, min_size=8, max_size=8)
        await serve_websocket(lambda request: serve(request, pool), "127.0.0.1", port, ssl_context=None)


if __name__ == "__main__":
    trio.run(main)

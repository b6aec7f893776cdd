"""A chat server as people write it with `websockets` on asyncio and uvloop, with its own `broadcast`.

A JWT at the upgrade, sets of connections as rooms, one INSERT per message.
python websockets_server.py PORT SECRET POSTGRES
"""

import http
import json
import sys
from collections import defaultdict
from typing import Any

import asyncpg
import jwt
import uvloop
from websockets.asyncio.server import Request, Response, ServerConnection, broadcast, serve

INSERT = "insert into peer_messages (room, sender, client_id, text) values ($1, $2, $3, $4) returning id, created_at"

port, secret, dsn = int(sys.argv[1]), sys.argv[2], sys.argv[3]
rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)


def authenticate(connection: ServerConnection, request: Request) -> Response | None:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        connection.username = jwt.decode(token, secret, algorithms=["HS256"])["sub"]
        connection.rooms = set()
    except jwt.InvalidTokenError:
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "invalid token\n")
    return None


def leave_all(connection: ServerConnection) -> None:
    for room in connection.rooms:
        rooms[room].discard(connection)
        if not rooms[room]:
            del rooms[room]


def send_to_others(connection: ServerConnection, room: str, event: dict[str, Any]) -> None:
    broadcast(rooms[room] - {connection}, json.dumps(event))


async def handle(connection: ServerConnection, pool: asyncpg.Pool, body: dict[str, Any]) -> None:
    user, kind, number, room = connection.username, body.pop("type"), body.pop("id", None), body["room"]
    if kind == "join":
        rooms[room].add(connection)
        connection.rooms.add(room)
        await connection.send(json.dumps({"type": "ok", "id": number}))
    elif kind == "typing":
        send_to_others(connection, room, {"type": "typing", "room": room, "user": user})
    elif kind == "broadcast":
        send_to_others(connection, room, {"type": "message:new", **body, "sender": user})
        await connection.send(json.dumps({"type": "ack", "id": number, "client_id": body["client_id"]}))
    elif kind == "message":
        row = await pool.fetchrow(INSERT, room, user, body["client_id"], body["text"])
        stored = {"message": row["id"], "created_at": row["created_at"].isoformat()}
        send_to_others(connection, room, {"type": "message:new", **body, **stored, "sender": user})
        await connection.send(json.dumps({"type": "ack", "id": number, "client_id": body["client_id"], **stored}))


async def main() -> None:
    async def handler(connection: ServerConnection) -> None:
        try:
            async for data in connection:
                await handle(connection, pool, json.loads(data))
        finally:
            leave_all(connection)

    pool = await asyncpg.create_pool(dsn, min_size=8, max_size=8)
    server = await serve(handler, "127.0.0.1", port, process_request=authenticate, ping_interval=25)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

"""A chat server as people write it with python-socketio, under uvicorn as its documentation advises.

A JWT at the connect, rooms, one INSERT per message.
python python_socketio_server.py PORT SECRET POSTGRES
"""

import sys
from typing import Any

import asyncpg
import jwt
import socketio
import uvicorn

INSERT = "insert into peer_messages (room, sender, client_id, text) values ($1, $2, $3, $4) returning id, created_at"

port, secret, dsn = int(sys.argv[1]), sys.argv[2], sys.argv[3]
sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], ping_interval=25)
pool: Any = None


async def open_pool() -> None:
    global pool
    pool = await asyncpg.create_pool(dsn, min_size=8, max_size=8)


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str] | None) -> None:
    try:
        claims = jwt.decode((auth or {}).get("token", ""), secret, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise socketio.exceptions.ConnectionRefusedError(str(error)) from error
    await sio.save_session(sid, {"user": claims["sub"]})


@sio.event
async def join(sid: str, room: str) -> None:
    await sio.enter_room(sid, room)


@sio.event
async def typing(sid: str, room: str) -> None:
    session = await sio.get_session(sid)
    await sio.emit("typing", {"room": room, "user": session["user"]}, room=room, skip_sid=sid)


@sio.event
async def broadcast(sid: str, message: dict[str, str]) -> dict[str, Any]:
    session = await sio.get_session(sid)
    await sio.emit("message:new", {**message, "sender": session["user"]}, room=message["room"], skip_sid=sid)
    return {"client_id": message["client_id"]}


@sio.event
async def message(sid: str, message: dict[str, str]) -> dict[str, Any]:
    session = await sio.get_session(sid)
    row = await pool.fetchrow(INSERT, message["room"], session["user"], message["client_id"], message["text"])
    stored = {"id": row["id"], "created_at": row["created_at"].isoformat()}
    event = {**message, **stored, "sender": session["user"]}
    await sio.emit("message:new", event, room=message["room"], skip_sid=sid)
    return {"client_id": message["client_id"], **stored}


app = socketio.ASGIApp(sio, on_startup=open_pool)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")

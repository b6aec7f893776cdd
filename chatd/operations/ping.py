"""A sign of life that measures the way there and back."""

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import always, command
from chatd.wire.base import Command, Millis, Result


class Ping(Command, tag="ping"):
    """Get the time of the server. `ts` is returned unchanged."""

    ts: Millis


class Pong(Result, tag="pong"):
    """The answer to `ping`."""

    ts: Millis
    server_time: Millis


@command(Ping, result=Pong, cost=0.1, http="POST /v1/ping", at_once=always)
async def ping(ctx: Ctx, cmd: Ping) -> Effects:
    return [Reply(Pong(ts=cmd.ts, server_time=ctx.now))]

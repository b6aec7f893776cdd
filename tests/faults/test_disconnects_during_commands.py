"""The client disconnects before a command is done: the command completes, and other users get its events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest
import trio
import trio_asyncio

from tests.admins import ANN, acts, daemon, done
from tests.cluster.test_strangers import meet
from tests.support import PATIENCE, Daemon

__all__ = ["daemon"]
# Not from pg_stat_activity, which within a transaction does not show connections opened after its first use.
WAITING = """
    select count(*) from pg_locks l join pg_database d on d.oid = l.database
    where d.datname = current_database() and not l.granted
"""


@asynccontextmanager
async def locked(daemon: Daemon, tables: str, mode: str = "exclusive") -> AsyncIterator[asyncpg.Connection]:
    """Lock these tables as long as the block lasts. With `access exclusive` they cannot be read either."""
    connection = await trio_asyncio.aio_as_trio(asyncpg.connect)(daemon.config.postgres.dsn)
    try:
        await trio_asyncio.aio_as_trio(connection.execute)(f"begin; lock table {tables} in {mode} mode")
        yield connection
    finally:
        await trio_asyncio.aio_as_trio(connection.close)()


async def request_and_disconnect(daemon: Daemon, tables: str, path: str, token: str, body: str = "{}") -> None:
    """Disconnect while the request waits for one of these tables, which are released afterwards."""
    async with locked(daemon, tables) as connection:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(daemon.rest, "POST", path, body.encode(), token))
            with trio.fail_after(PATIENCE):
                while not await trio_asyncio.aio_as_trio(connection.fetchval)(WAITING):
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        await trio.sleep(0.3)


@pytest.mark.parametrize(("command", "reason"), [("leave", "left"), ("skip", "skipped")])
async def test_end_of_a_match_is_sent_although_the_requester_disconnects(
    daemon: Daemon, command: str, reason: str
) -> None:
    """At once, not after the grace period."""
    async with daemon.person() as ann, daemon.person() as ben:
        await meet(ann, ben)
        await request_and_disconnect(daemon, "matches", f"/v1/match/{command}", ann.account.access_token)
        assert (await ben.event("match.ended"))["reason"] == reason


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/admin/ban", '{"user":"%s","reason":"spam"}', 4403),
        ("/admin/revoke", '{"user":"%s"}', 4404),
        ("/admin/kick", '{"user":"%s"}', 1001),
        ("/v1/auth/logout", '{"everywhere":true}', 4404),
        ("/v1/me/erase", '{"confirm":true}', 4404),
    ],
)
async def test_sessions_are_closed_although_the_requester_disconnects(
    daemon: Daemon, path: str, body: str, code: int
) -> None:
    async with daemon.person() as eve:
        token = ANN if path.startswith("/admin") else eve.account.access_token
        await request_and_disconnect(daemon, "users, logins, audit_log", path, token, body.replace("%s", eve.user))
        with trio.fail_after(PATIENCE):
            assert (await eve.ended()).code == code


async def test_maintenance_begins_although_the_requester_disconnects(daemon: Daemon) -> None:
    async with daemon.person() as eve:
        await request_and_disconnect(daemon, "audit_log", "/admin/maintenance", ANN, '{"on":true}')
        assert (await eve.event("maintenance.mode"))["enabled"] is True
        await done(daemon, "maintenance", on=False)
        assert "maintenance.on" in [act for _, act, _ in await acts(daemon)]

"""The checks of one node in Postgres, while changes are committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from chatd.accounts.reconciliation import SQL
from chatd.cluster.reconciler import MAX_SUSPECTS, Reconciler
from chatd.core.ids import uuid7
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub
from tests.app.test_maintenance import SlowOnce
from tests.realtime.test_hub import Session, attach
from tests.reconciling import reconciler_of
from tests.support import PATIENCE

ROOM, ANN, BEN = (uuid7(number) for number in range(3))


@pytest.fixture
async def room(db: Postgres) -> Postgres:
    """A group of two."""
    await db.run(
        "insert into users (tenant, id, created_at) select 'default', u, 0 from unnest($1::uuid[]) u", [ANN, BEN]
    )
    columns = "tenant, id, kind, rev, members, created_at, active_at"
    await db.run(f"insert into conversations ({columns}) values ('default', $1, 'group', 5, 2, 0, 0)", ROOM)
    for user in (ANN, BEN):
        await db.run(
            "insert into members (tenant, conversation, user_id, joined_at, rev) values ('default', $1, $2, 0, 1)",
            ROOM,
            user,
        )
    return db


@asynccontextmanager
async def in_doubt(db: Postgres) -> AsyncIterator[tuple[Hub, Reconciler, SlowOnce]]:
    """Ann is subscribed to the conversation, and its members are being checked."""
    hub, slow = Hub(), SlowOnce(db)
    reconciler = reconciler_of(hub, slow)  # type: ignore[arg-type]
    attach(hub, Session("1", ANN, tenant="default"), (ROOM, 5))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reconciler.repair_gaps)
        reconciler.mark_suspect("default", ROOM)
        with trio.fail_after(PATIENCE):
            await slow.asked.wait()
        yield hub, reconciler, slow
        nursery.cancel_scope.cancel()


async def until(hub: Hub, audience: set[str]) -> None:
    with trio.fail_after(PATIENCE):
        while hub.subscriptions.users_of("default", ROOM) != audience:
            await trio.sleep(0.01)


async def test_a_user_who_connects_during_a_check_stays_subscribed(room: Postgres) -> None:
    async with in_doubt(room) as (hub, _, slow):
        attach(hub, Session("2", BEN, tenant="default"), (ROOM, 5))
        slow.answer.set()
        await trio.sleep(0.3)
        assert hub.subscriptions.users_of("default", ROOM) == {ANN, BEN}


async def test_a_conversation_marked_during_its_check_is_checked_again(room: Postgres) -> None:
    async with in_doubt(room) as (hub, reconciler, slow):
        await room.run("delete from members where user_id = $1", ANN)
        reconciler.mark_suspect("default", ROOM)
        slow.answer.set()
        await until(hub, set())


LOGINS = {name: uuid7(number) for number, name in enumerate(["live", "ended", "swept"], 10)}


async def test_sessions_end_with_their_login_and_with_their_token(room: Postgres) -> None:
    """By Postgres alone, as after a control message was lost on the bus."""
    for name in ("live", "ended"):
        await room.run(
            "insert into logins (tenant, id, user_id, created_at, ended_at) values ('default', $1, $2, 0, $3)",
            LOGINS[name], ANN, 5 if name == "ended" else None,
        )  # fmt: skip
    revoked = [("default", "revoked"), ("other", "elsewhere")]
    await room.run(
        "insert into revoked_tokens (tenant, token_id, expires_at) select *, 2^50 from unnest($1::text[], $2::text[])",
        *to_unnest_arrays(revoked, 2),
    )
    cases = {
        "live login": (LOGINS["live"], "good", False),
        "ended login": (LOGINS["ended"], "good", True),
        "login that was swept": (LOGINS["swept"], "good", True),
        "live login, revoked token": (LOGINS["live"], "revoked", True),
        "another issuer": ("", "good", False),
        "another issuer, revoked token": ("", "revoked", True),
        "token revoked in another tenant": ("", "elsewhere", False),
    }
    hub, sessions = Hub(), {}
    for name, (login, token, _) in cases.items():
        sessions[name] = Session(name, ANN, tenant="default", login=login, token_id=token)
        attach(hub, sessions[name])
    reconciler = reconciler_of(hub, room)
    await reconciler.begin()
    await reconciler.resync()
    assert {name: bool(session.closed) for name, session in sessions.items()} == {
        name: case[2] for name, case in cases.items()
    }


async def test_the_check_of_logins_does_not_grow_with_ended_ones(room: Postgres) -> None:
    await room.run(
        "insert into logins (tenant, id, user_id, created_at, ended_at)"
        " select 'default', gen_random_uuid(), $1, 0, 1 from generate_series(1, 3000)",
        ANN,
    )
    touched = "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables where relname = 'logins'"

    async def work(connection: Any) -> int:
        async with connection.transaction():
            await connection.execute("analyze logins")
            before = await connection.fetchval(touched)
            await connection.fetch(SQL.ended_sessions, *to_unnest_arrays([("s", "default", LOGINS["live"], "j")], 4))
            return int(await connection.fetchval(touched) - before)

    assert await room.run_on_connection(work) <= 5


async def test_suspect_conversations_are_bounded_by_a_resync(room: Postgres) -> None:
    """While the database is unavailable each refused change is noted, also of a conversation that does not exist."""
    async with in_doubt(room) as (_, reconciler, _slow):
        for number in range(MAX_SUSPECTS + 10):
            reconciler.mark_suspect("t", f"c{number}")
        assert len(reconciler._suspects) == 10
        assert reconciler.owes_resync

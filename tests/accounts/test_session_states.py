"""Sign-ins of connections in batches: each user gets the outcome that they would get alone."""

import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import trio
import trio.testing
from trio_asyncio import aio_as_trio

from chatd.accounts.session_states import LookUp, SessionStates
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from tests.support import poll_until

SQL = queries.load("accounts/sign_in")
BANS = queries.load("accounts/bans")
NOW = 1_800_000_000_000
TENANTS = ("default", "other")
IPV4 = [os.urandom(32) for _ in range(4)]
IPV6 = [os.urandom(32) for _ in range(5)]


def principal(user: str, tenant: str = "default", token_id: str = "t", login: str = "") -> Principal:
    return Principal(tenant, user, token_id, login, "user", NOW + 60_000)


async def make_user(db: Postgres, tenant: str = "default", *, erased_at: int | None = None) -> str:
    user = uuid7(NOW)
    await db.run(
        "insert into users (tenant, id, created_at, erased_at) values ($1, $2, 0, $3)", tenant, user, erased_at
    )
    return user


async def ban(db: Postgres, tenant: str, user: str | None, hash_: bytes | None, until: int | None = None) -> str:
    id_ = uuid7(NOW)
    await db.run(BANS.add, tenant, id_, user, None, hash_, "a reason", "admin", 0, until)
    return id_


async def join(db: Postgres, tenant: str, user: str, conversations: int, *, blocked: bool = False) -> None:
    for _ in range(conversations):
        id_ = uuid7(NOW)
        await db.run(queries.load("conversations/conversations").create_group, tenant, id_, "us", user, [user], 0)
        await db.run("update conversations set blocked = $2, rev = 7 where id = $1", id_, blocked)


async def make_login(db: Postgres, tenant: str, user: str, ended_at: int | None) -> str:
    login = uuid7(NOW)
    insert = "insert into logins (tenant, id, user_id, created_at, ended_at) values ($1, $2, $3, 0, $4)"
    await db.run(insert, tenant, login, user, ended_at)
    return login


async def people(db: Postgres, tenant: str) -> AsyncIterator[tuple[Principal, list[bytes]]]:
    """Users of each kind, with the hashes of their addresses."""
    user = await make_user(db, tenant)
    yield principal(user, tenant), IPV4
    yield principal(user, tenant), []
    yield principal(user, tenant, login=uuid7(NOW)), IPV4
    yield principal(user, tenant, login=await make_login(db, tenant, user, None)), IPV6
    yield principal(user, tenant, login=await make_login(db, tenant, user, NOW)), IPV4
    yield principal(uuid7(NOW), tenant), IPV4
    yield principal(await make_user(db, tenant, erased_at=NOW), tenant), IPV4
    await db.run("insert into revoked_tokens values ($1, 'revoked', $2)", tenant, NOW)
    yield principal(user, tenant, token_id="revoked"), IPV4
    for until in (None, NOW - 1, NOW, NOW + 1):
        banned = await make_user(db, tenant)
        await ban(db, tenant, banned, None, until)
        yield principal(banned, tenant), IPV6
        hashes = [os.urandom(32) for _ in range(5)]
        await ban(db, tenant, None, hashes[random.randrange(5)], until)
        yield principal(user, tenant), hashes
    pardoned = await make_user(db, tenant)
    await db.run(BANS.revoke, tenant, await ban(db, tenant, pardoned, None), NOW, "admin", uuid7(NOW))
    yield principal(pardoned, tenant), IPV4
    twice = await make_user(db, tenant)
    await ban(db, tenant, twice, None, NOW + 5)
    await ban(db, tenant, twice, None, NOW + 50)
    yield principal(twice, tenant), IPV4
    for count in (1, 3, 4, 9):
        member = await make_user(db, tenant)
        await join(db, tenant, member, count)
        await join(db, tenant, member, count // 2, blocked=True)
        yield principal(member, tenant), IPV4


def outcome_of(row: Row) -> dict[str, Any]:
    """The relevant fields of a row, sorted."""
    known = {name: value for name, value in row.items() if name not in ("number", "too_many")}
    known["topics"] = sorted(zip(known.pop("conversations"), known.pop("revs"), strict=True))
    return known | {"blocked": sorted(known["blocked"])}


@asynccontextmanager
async def locked_bans(dsn: str) -> AsyncIterator[None]:
    """Within the block nothing reads the bans. Then a ban of IPV4 is committed."""
    connection = await aio_as_trio(asyncpg.connect)(dsn)
    await aio_as_trio(connection.execute)("begin; lock table bans in access exclusive mode")
    try:
        yield
        await aio_as_trio(connection.execute)(
            BANS.add, "default", uuid7(NOW), None, None, IPV4[2], "x", "admin", 0, None
        )
        await aio_as_trio(connection.execute)("commit")
    finally:
        connection.terminate()


async def blocked(db: Postgres) -> list[int]:
    """Backends that wait for a lock."""
    rows = await db.all(
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    )
    return [row["pid"] for row in rows]


async def look_up_all(
    states: SessionStates, people_: list[tuple[Principal, list[bytes]]], outcomes: dict[int, Any]
) -> None:
    """Look up all at once. The outcomes, also refusals, by place."""

    async def look_up(place: int, one: Principal, hashes: list[bytes]) -> None:
        try:
            outcomes[place] = outcome_of(await states.of(one, hashes, NOW))
        except Refused as refused:
            outcomes[place] = refused.code
        except Exception as error:
            outcomes[place] = type(error).__name__

    async with trio.open_nursery() as nursery:
        for place, (one, hashes) in enumerate(people_):
            nursery.start_soon(look_up, place, one, hashes)


@pytest.mark.parametrize("max_batch", [3, 32])
async def test_users_of_a_batch_get_the_same_outcome_as_alone(db: Postgres, max_batch: int) -> None:
    """Banned and pardoned users and addresses, revoked tokens, ended logins, erased and unknown users, of two tenants."""
    everybody = [one for tenant in TENANTS async for one in people(db, tenant)]
    random.shuffle(everybody)
    outcomes: dict[int, Any] = {}
    states = SessionStates(db, max_statements=1, max_batch=max_batch, max_conversations=4)
    await look_up_all(states, everybody, outcomes)
    kinds: Counter[str] = Counter()
    for place, (one, hashes) in enumerate(everybody):
        alone = LookUp(one, hashes, NOW)
        row = await db.one(SQL.session_state, *alone.key, hashes, NOW)
        assert row is not None
        assert outcomes[place] == outcome_of(row), one
        kinds += Counter(banned=row["banned_until"] is not None, revoked=row["revoked"], unknown=not row["user_exists"])
        kinds += Counter(without_login=bool(one.login) and row["last_seen"] is None)
    assert kinds == {"banned": 10, "revoked": 6, "unknown": 2, "without_login": 2}


async def test_those_who_come_together_share_a_statement(db: Postgres) -> None:
    users = [await make_user(db) for _ in range(60)]
    outcomes: dict[int, Any] = {}
    states = SessionStates(db, max_statements=1, max_batch=20)
    await look_up_all(states, [(principal(user), IPV4) for user in users], outcomes)
    assert all(outcome["user_exists"] for outcome in outcomes.values())
    # The first one, and three batches for the others.
    assert states.batches == 4


async def test_every_statement_slot_is_free_again(db: Postgres) -> None:
    """Also if statements end at the same time, or tasks are cancelled."""
    users = [await make_user(db) for _ in range(60)]
    states, rng = SessionStates(db, max_statements=2, max_batch=4), random.Random(2)

    async def look_up(user: str, timeout_s: float) -> None:
        with trio.move_on_after(timeout_s):
            assert (await states.of(principal(user), IPV4, NOW))["user_exists"]

    for _ in range(10):
        async with trio.open_nursery() as nursery:
            for user in users:
                nursery.start_soon(look_up, user, rng.choice([0.001, 0.005, 60]))
        assert states._free == 2


async def test_ban_that_is_committed_after_the_call_is_seen(db: Postgres, dsn: str) -> None:
    """The first look-up waits for a lock, the others for the first one: no statement reads what was before the call."""
    users = [await make_user(db) for _ in range(20)]
    outcomes: dict[int, Any] = {}
    states = SessionStates(db, max_statements=1)
    async with trio.open_nursery() as nursery, locked_bans(dsn):
        nursery.start_soon(look_up_all, states, [(principal(user), IPV4) for user in users], outcomes)
        await poll_until(lambda: blocked(db))
        assert not outcomes
    assert len(outcomes) == 20
    assert all(outcomes[place]["banned_until"] for place in range(1, 20))


async def test_users_of_a_batch_that_fails_are_looked_up_alone(db: Postgres) -> None:
    """Postgres refuses the token id of one of them."""
    users = [await make_user(db) for _ in range(8)]
    everybody = [(principal(user, token_id="\0" if place == 4 else "t"), IPV4) for place, user in enumerate(users)]
    outcomes: dict[int, Any] = {}
    await look_up_all(SessionStates(db, max_statements=1), everybody, outcomes)
    assert outcomes.pop(4) == "CharacterNotInRepertoireError"
    assert len(outcomes) == 7
    assert all(outcome["user_exists"] for outcome in outcomes.values())


async def test_a_broken_statement_fails_for_its_own_user_only(db: Postgres, dsn: str) -> None:
    """The connection of the first statement breaks while the others wait for it; then that of their batch."""
    users = [await make_user(db) for _ in range(8)]
    outcomes: dict[int, Any] = {}
    states = SessionStates(db, max_statements=1)
    async with trio.open_nursery() as nursery, locked_bans(dsn):
        nursery.start_soon(look_up_all, states, [(principal(user), []) for user in users], outcomes)
        for waiting in (1, 1):
            backends = await poll_until(lambda: blocked(db))
            assert len(backends) == waiting
            await db.run("select pg_terminate_backend($1)", backends[0])
            await poll_until(lambda: blocked(db), lambda found, cut=backends[0]: found and cut not in found)
            assert list(outcomes.values()) == ["unavailable"]
    assert states.batches == 2
    assert sorted(outcomes) == list(range(8))
    assert Counter(outcome == "unavailable" for outcome in outcomes.values()) == {True: 1, False: 7}


async def test_many_conversations_of_one_user_do_not_delay_others(db: Postgres) -> None:
    """Their own statement does not take the turn of a batch."""
    large, small = await make_user(db), await make_user(db)
    await join(db, "default", large, 12)
    outcomes: dict[int, Any] = {}
    states = SessionStates(db, max_statements=1, max_conversations=5)
    await look_up_all(states, [(principal(user), []) for user in (small, large, small, large)], outcomes)
    assert [len(outcomes[place]["topics"]) for place in range(4)] == [0, 12, 0, 12]


@pytest.mark.parametrize("cancelled", [0, 1, 3])
async def test_a_cancelled_task_does_not_block_others(db: Postgres, dsn: str, cancelled: int) -> None:
    """The first one, whose statement runs; the one that leads the next batch; one that waits."""
    users = [await make_user(db) for _ in range(6)]
    outcomes: dict[int, Any] = {}
    states, scopes = SessionStates(db, max_statements=1), [trio.CancelScope() for _ in users]

    async def look_up(place: int) -> None:
        with scopes[place]:
            outcomes[place] = await states.of(principal(users[place]), IPV4, NOW)

    async with trio.open_nursery() as nursery:
        async with locked_bans(dsn):
            for place in range(6):
                nursery.start_soon(look_up, place)
                await trio.testing.wait_all_tasks_blocked(0.02)
            await poll_until(lambda: blocked(db))
            scopes[cancelled].cancel()
            await trio.sleep(0.1)
        nursery.cancel_scope.deadline = trio.current_time() + 20
    assert sorted(outcomes) == [place for place in range(6) if place != cancelled]
    outcomes.clear()
    await look_up_all(states, [(principal(user), IPV4) for user in users], outcomes)
    assert len(outcomes) == 6

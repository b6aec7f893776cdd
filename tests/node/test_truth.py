"""What one node looks up in Postgres, while things happen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from chatd.ids import uuid7
from chatd.node.hub import Hub
from chatd.node.truth import Truth
from chatd.store.postgres import Postgres
from tests.node.test_hub import Session, attach
from tests.node.test_maintenance import SlowOnce
from tests.support import PATIENCE

ROOM, ANN, BEN = (uuid7(number) for number in range(3))


@pytest.fixture
async def room(db: Postgres) -> Postgres:
    """A group of two."""
    await db.run("insert into users (tenant, id, created_at) select 'default', u, 0 from unnest($1::uuid[]) u", [ANN, BEN])
    columns = "tenant, id, kind, rev, members, created_at, active_at"
    await db.run(f"insert into conversations ({columns}) values ('default', $1, 'group', 5, 2, 0, 0)", ROOM)
    for user in (ANN, BEN):
        await db.run(
            "insert into members (tenant, conversation, user_id, joined_at, rev) values ('default', $1, $2, 0, 1)", ROOM, user
        )
    return db


@asynccontextmanager
async def in_doubt(db: Postgres) -> AsyncIterator[tuple[Hub, Truth, SlowOnce]]:
    """Ann hears the conversation, and it is being looked up who does."""
    hub, slow = Hub(), SlowOnce(db)
    truth = Truth(hub, slow, int, lambda *_: None)  # type: ignore[arg-type]
    attach(hub, Session("1", ANN, tenant="default"), (ROOM, 5))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(truth.mend)
        truth.doubt("default", ROOM)
        with trio.fail_after(PATIENCE):
            await slow.asked.wait()
        yield hub, truth, slow
        nursery.cancel_scope.cancel()


async def until(hub: Hub, audience: set[str]) -> None:
    with trio.fail_after(PATIENCE):
        while hub.audience_of("default", ROOM) != audience:
            await trio.sleep(0.01)


async def test_who_comes_while_the_members_are_looked_up_hears_what_is_said(room: Postgres) -> None:
    async with in_doubt(room) as (hub, _, slow):
        attach(hub, Session("2", BEN, tenant="default"), (ROOM, 5))
        slow.answer.set()
        await trio.sleep(0.3)
        assert hub.audience_of("default", ROOM) == {ANN, BEN}


async def test_what_is_doubted_once_more_meanwhile_is_looked_up_once_more(room: Postgres) -> None:
    async with in_doubt(room) as (hub, truth, slow):
        await room.run("delete from members where user_id = $1", ANN)
        truth.doubt("default", ROOM)
        slow.answer.set()
        await until(hub, set())

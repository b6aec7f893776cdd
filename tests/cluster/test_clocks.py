"""Nodes with wrong and jumping clocks: order, deduplication, sync and matching do not depend on them."""

import os
import random
from pathlib import Path
from time import time
from uuid import uuid4

import jwt
import pytest
import trio
import trio_asyncio

from chatd.client import Account
from chatd.core.config import PostgresSection
from chatd.db.postgres import open_postgres
from tests.cluster.soak.faults import Weather
from tests.cluster.soak.fleet import Fleet, open_fleet
from tests.cluster.soak.people import Group, Person, come, make_group
from tests.cluster.soak.run import judge_matches, judge_messages, meet_again
from tests.cluster.soak.strangers import Stranger
from tests.faults.process import SECRET
from tests.support import PATIENCE

PAUSE = 0.1
FIRST, THEN = ("+0", "+1h", "-1h"), ("+400d", "-1h", "-400d")
FAR = 3_000_000
HOW_FAR = "select count(*) from messages where abs(created_at - $1) > $2"


def library() -> str:
    """The library of libfaketime. In CI, a missing library fails the test."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing = "libfaketime is not installed: apt-get install faketime"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return str(found[0])


def wrong_clock(folder: Path) -> dict[str, str]:
    """A file sets the clock of this node, which reads it every second; time still advances at its usual rate."""
    set_clock(folder, FIRST[int(folder.name.removeprefix("node"))])
    return {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_clock(folder: Path, offset: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "clock").write_text(offset)


def somebody(fleet: Fleet) -> Account:
    """A user with a token that never expires: expiry is not tested here."""
    user = str(uuid4())
    token = jwt.encode({"sub": user, "exp": 2**31, "jti": str(uuid4())}, SECRET, algorithm="HS256")
    return Account(fleet.http, user, token, "")


async def test_wrong_and_jumping_clocks_break_no_guarantee(tmp_path: Path) -> None:
    library()
    async with open_fleet(tmp_path, 3, random.Random(1), wrong_clock) as fleet, trio.open_nursery() as nursery:
        people = [await nursery.start(come, fleet, Person, somebody(fleet)) for _ in range(6)]
        groups = [await make_group(people[:4]), await make_group(people[2:])]
        strangers = [await nursery.start(come, fleet, Stranger, somebody(fleet)) for _ in range(4)]
        async with trio.open_nursery() as lives:
            for stranger in strangers:
                lives.start_soon(stranger.live, random.Random(stranger.user))
            await write_meanwhile(groups, fleet, tmp_path)
            lives.cancel_scope.cancel()
        assert await meet_again(strangers) == []
        assert sum(stranger.expired for stranger in strangers) == 0
        assert await far_off(fleet) > 10
        assert await judge_messages(fleet.servers, [*people, *strangers], groups) == []
        assert await judge_matches(fleet.servers, strangers, Weather(random.Random(1))) == []
        assert fleet.problems() == []
        nursery.cancel_scope.cancel()


async def write_meanwhile(groups: list[Group], fleet: Fleet, folder: Path) -> None:
    over = trio.Event()
    async with trio.open_nursery() as writers:
        for group in groups:
            for number in range(len(group.members)):
                writers.start_soon(group.write, number, random.Random(number), PAUSE, over)
        await trio.sleep(3)
        for number, offset in enumerate(THEN):
            set_clock(folder / f"node{number}", offset)
        await trio.sleep(2)
        # Its users reconnect to the others, and sync what they missed.
        await fleet.nodes[1].kill()
        await fleet.nodes[1].start()
        await trio.sleep(2)
        over.set()


async def far_off(fleet: Fleet) -> int:
    """The number of messages with a time far from the real one."""
    async with (
        trio_asyncio.open_loop(),
        open_postgres(fleet.servers.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        return int(await db.value(HOW_FAR, int(time() * 1000), FAR))

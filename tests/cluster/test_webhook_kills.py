"""Nodes are killed while they deliver webhooks: each event arrives, those of a conversation in their order."""

import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import trio

from chatd.client import sign_up
from chatd.core.config import PostgresSection
from chatd.db.postgres import open_postgres
from chatd.webhooks import endpoints
from chatd.webhooks.endpoints import NewEndpoint
from chatd.webhooks.settings import WebhookSettings
from tests.cluster.conftest import QUICK
from tests.conftest import Servers
from tests.faults.process import SECRET, Process, linked
from tests.outside import Asked, answer, outside
from tests.support import PATIENCE, eventually, operator

PREFIX = f"webhooks-{os.getpid()}"
# Kills of a node, and messages of each conversation before each.
KILLS, MESSAGES, GROUPS = int(os.environ.get("CHATD_TEST_KILLS", "2")), 20, 5
SETTINGS = WebhookSettings(allow_private=True)


@pytest.fixture
async def fleet(dsn: str, servers: Servers, tmp_path: Path) -> AsyncIterator[list[Process]]:
    """Two nodes that share their databases. A claim of a killed node ends eleven seconds after it began."""
    settings = {
        "CHATD_POSTGRES__DSN": dsn,
        "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
        "CHATD_REDIS__URL": servers.redis,
        "CHATD_REDIS__PREFIX": PREFIX,
        "CHATD_CLUSTER__HEARTBEAT": str(QUICK.heartbeat),
        "CHATD_WEBHOOKS__ALLOW_PRIVATE": "true",
        "CHATD_WEBHOOKS__TIMEOUT": "1",
        "CHATD_DATA__SECRET": SECRET,
    }
    nodes = [Process(tmp_path / f"node{number}", **settings) for number in range(2)]
    async with AsyncExitStack() as stack:
        for node in nodes:
            stack.push_async_callback(finish, node)
            await node.start()
        yield nodes


async def finish(node: Process) -> None:
    with trio.CancelScope(shield=True), suppress(ProcessLookupError, AssertionError):
        await node.kill()


async def test_killed_nodes_lose_no_event(fleet: list[Process], dsn: str, loop: None) -> None:
    """The nodes are killed in turn, while requests of theirs are on the way and results are not stored."""
    seen: dict[str, list[int]] = defaultdict(list)
    ids: dict[tuple[str, int], set[str]] = defaultdict(set)

    async def answers(asked: Asked) -> bytes:
        data = asked.json["data"]
        seen[data["conversation"]].append(data["seq"])
        ids[data["conversation"], data["seq"]].add(asked.headers["webhook-id"])
        await trio.sleep(0.01)
        return answer(b"")

    async with outside(answers) as server, open_postgres(dsn, PostgresSection(timeout=PATIENCE)) as db:
        new = NewEndpoint(server.url, ["message.created"])
        await db.in_transaction(endpoints.add, SECRET, SETTINGS, operator(), new)
        sender = await sign_up(fleet[1].http, name="sender")
        async with linked(fleet[1], sender) as link:
            created = [
                await link.call({"t": "conversation.create", "members": [], "title": "x"}) for _ in range(GROUPS)
            ]
            groups = [one["conversation"]["id"] for one in created]
            for kill in range(KILLS):
                for number in range(MESSAGES):
                    for group in groups:
                        fields = {"client_id": f"{group[-12:]}-{kill}-{number}", "text": "hello"}
                        await link.call({"t": "message.send", "conversation": group, **fields})
                arrived = sum(map(len, seen.values()))
                await eventually(lambda arrived=arrived: sum(map(len, seen.values())) > arrived)
                await fleet[0].kill()
                await fleet[0].start()
            expected = list(range(1, KILLS * MESSAGES + 1))
            await eventually(lambda: all(sorted(set(seen[group])) == expected for group in groups), 60)
    assert all(in_order(seen[group]) == expected for group in groups)
    assert all(len(found) == 1 for found in ids.values())


def in_order(seqs: list[int]) -> list[int]:
    """The numbers at their first arrival. A repeated slice begins again at an earlier number, and goes on in order."""
    first: list[int] = []
    for seq in seqs:
        if seq not in first:
            first.append(seq)
    return first

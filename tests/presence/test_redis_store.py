"""The board of who is connected to which node."""

from collections.abc import AsyncIterator
from itertools import count

import pytest
import trio

from chatd.core.config import RedisSection
from chatd.db.redis import Redis, open_redis
from chatd.presence.redis_store import AT_ONCE, Board, Word
from tests.conftest import Servers

NUMBERS = count()
ID = "0190a3c4-5b00-7000-8000-{:012x}".format
ANN, BEN = ("default", ID(1)), ("a/b:c", ID(1))


@pytest.fixture
async def redis(servers: Servers, loop: None) -> AsyncIterator[Redis]:
    async with open_redis(RedisSection(prefix=f"board{next(NUMBERS)}"), servers.redis) as opened:
        yield opened


async def everybody(board: Board, node: str) -> set[tuple[str, str]]:
    return {user async for users in board.users_of(node) for user in users}


async def test_what_one_node_writes_another_reads(redis: Redis) -> None:
    one, two = Board(redis, "one", 10), Board(redis, "two", 10)
    assert await one.beat() is None
    await one.appear([(ANN, 2)])
    await two.appear([])
    assert await two.look([ANN, BEN]) == {"one": {ANN: 2, BEN: 0}, "two": {ANN: 0, BEN: 0}}
    await one.write([(ANN, 0), (BEN, 1)])
    assert (await two.look([ANN, BEN]))["one"] == {ANN: 0, BEN: 1}
    await one.appear([(ANN, 1)])
    assert (await two.look([ANN, BEN]))["one"] == {ANN: 1, BEN: 0}
    word = await two.beat()
    assert word is not None
    assert (word.nodes, word.dead) == ({"one", "two"}, None)


async def test_many_at_once(redis: Redis) -> None:
    board = Board(redis, "one", 10)
    users = [("default", ID(number)) for number in range(2 * AT_ONCE + 1)]
    await board.appear((user, 2) for user in users)
    assert (await board.look(users))["one"] == dict.fromkeys(users, 2)
    assert await everybody(board, "one") == set(users)
    await board.write([(user, 0) for user in users])
    assert await everybody(board, "one") == set()
    assert await board.beat() is not None


async def test_one_node_buries_another_once(redis: Redis) -> None:
    dead, one, two = Board(redis, "dead", 0.05), Board(redis, "one", 10), Board(redis, "two", 10)
    for board in (dead, one, two):
        await board.appear([(BEN, 2)])
    await trio.sleep(0.1)
    unready = await one.beat(bury=False)
    assert unready is not None
    assert unready.dead is None
    word, other = await one.beat(), await two.beat()
    assert word is not None
    assert other is not None
    assert word.dead is not None
    assert (word.dead.node, other.dead, "dead" in other.nodes) == ("dead", None, True)
    assert await everybody(one, "dead") == {BEN}
    assert await one.bury(word.dead)
    assert not await one.bury(word.dead)
    assert sorted(await two.look([BEN])) == ["one", "two"]
    assert await dead.beat() is None


async def test_who_has_come_to_life_is_not_buried(redis: Redis) -> None:
    slow, one = Board(redis, "slow", 0.05), Board(redis, "one", 10)
    for board in (slow, one):
        await board.appear([(ANN, 2)])
    await trio.sleep(0.1)
    word = await one.beat()
    assert word is not None
    assert word.dead is not None
    assert await slow.beat() is not None
    assert not await one.bury(word.dead)
    assert (await one.look([ANN]))["slow"] == {ANN: 2}


async def test_what_somebody_else_has_written_there_does_no_harm(redis: Redis) -> None:
    board = Board(redis, "one", 10)
    await board.appear([(ANN, 2)])
    await redis.call("HSET", redis.key("presence", "one"), "not/one of ours", 2, f"{ID(2)}/default", "x", b"\xff\xfe", 2)
    assert await board.look([ANN, ("default", ID(2)), ("one of ours", "not")]) == {
        "one": {ANN: 2, ("default", ID(2)): 0, ("one of ours", "not"): 2}
    }
    assert await everybody(board, "one") == {ANN, ("default", ID(2))}


async def test_a_board_that_was_lost_in_part_is_written_anew(redis: Redis) -> None:
    board = Board(redis, "one", 10)
    for key in (redis.key("presence"), redis.key("presence", "one")):
        await board.appear([(ANN, 2)])
        assert await board.beat() is not None
        await redis.call("DEL", key)
        assert await board.beat() is None


async def test_of_many_nodes_one_may_remove_an_expired_one(redis: Redis) -> None:
    boards = [Board(redis, f"node {number}", 10) for number in range(6)]
    for board in boards:
        await board.appear([])
    for number in range(5):
        await Board(redis, f"expired {number}", 0.001).appear([(BEN, 2)])
        await trio.sleep(0.01)
        words = []

        async def beat(board: Board, words: list[Word | None] = words) -> None:
            words.append(await board.beat())

        async with trio.open_nursery() as nursery:
            for board in boards:
                nursery.start_soon(beat, board)
        (dead,) = [word.dead for word in words if word is not None and word.dead is not None]
        assert dead.node == f"expired {number}"
        assert await boards[0].bury(dead)

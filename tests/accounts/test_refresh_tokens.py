"""Refresh tokens: concurrent refreshes and retries within the grace, reuse after it."""

from collections.abc import Sequence
from itertools import permutations
from random import Random

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.refresh_tokens import (
    MAX_SUCCESSORS,
    REFRESH_TOKEN,
    Rotation,
    RotationRules,
    RotationState,
    first_token,
    rotate,
    successor,
)
from chatd.accounts.settings import AuthSettings
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.core.secrets import digest
from chatd.db.postgres import Postgres
from tests.support import Daemon, covers, running

NOW, GRACE, TTL = 1_800_000_000_000, 30_000, 1_000_000
RULES = RotationRules(key=b"k" * 32, ttl_ms=TTL, grace_ms=GRACE, per_hour=1000, tenants=["default"])


async def make_login(db: Postgres) -> tuple[str, str]:
    """A new login, and its first refresh token."""
    user, login, token = uuid7(NOW), uuid7(NOW), first_token()
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", user)
    await db.run("insert into logins (tenant, id, user_id, created_at) values ('default', $1, $2, 0)", login, user)
    await db.run(
        "insert into refresh_tokens (hash, tenant, login, expires_at) values ($1, 'default', $2, $3)",
        digest(token), login, NOW + TTL,
    )  # fmt: skip
    return login, token


class Model:
    """What one refresh after the other does. Tokens are numbers: each is the successor of the one before."""

    def __init__(self, other: "Model | None" = None) -> None:
        self.used: list[int] = [*other.used] if other else []
        self.expires: list[int] = [*other.expires] if other else [NOW + TTL]
        self.ended: bool = other.ended if other else False

    def rotate(self, number: int, now: int) -> tuple[str, int | None]:
        unused = len(self.used)
        if number > unused:
            return "unknown", None
        if self.ended:
            return "ended", None
        if number < unused and self.used[number] > now - GRACE:
            return ("repeated", unused) if unused - number <= MAX_SUCCESSORS else ("ended", None)
        if number < unused:
            self.ended = True
            return "reused", None
        if self.expires[number] <= now:
            return "expired", None
        self.used.append(now)
        self.expires.append(now + TTL)
        return "rotated", number + 1


HISTORIES, TOKENS = 60, 60


@pytest.mark.parametrize("seed", range(2))
async def test_simultaneous_refreshes_are_as_one_after_the_other(db: Postgres, seed: int) -> None:
    """Random histories of groups of simultaneous refreshes. Each outcome is explained by some order of its group."""
    random = Random(seed)
    for _ in range(HISTORIES):
        _, first = await make_login(db)
        tokens = [first]
        for _ in range(TOKENS):
            tokens.append(successor(RULES.key, tokens[-1]))
        models, now = [Model()], NOW
        for _ in range(random.randrange(1, 7)):
            now += random.choice([0, 0, 1, 5_000, GRACE - 1, GRACE, GRACE + 1, *[TTL] * (random.random() < 0.1)])
            unused = len(models[0].used)
            numbers = [max(0, unused - random.choice([-1, 0, 0, 0, 1, 1, 2, 3])) for _ in range(random.randrange(1, 5))]
            outcomes = await simultaneous(db, [tokens[number] for number in numbers], now)
            found = [(one.state.value, tokens.index(one.token) if one.token in tokens else None) for one in outcomes]
            models = [state for model in models for state in explained(model, numbers, found, now)]
            assert models, (numbers, found)
        live = await db.all(
            "select hash from refresh_tokens where used_at is null and hash = any($1)", [*map(digest, tokens)]
        )
        assert len(live) == 1


def explained(model: Model, numbers: list[int], found: list[tuple[str, int | None]], now: int) -> list[Model]:
    """The states after the orders of these refreshes that have these outcomes, each once."""
    states = {}
    for order in permutations(range(len(numbers))):
        after = Model(model)
        results = {index: after.rotate(numbers[index], now) for index in order}
        if all(fits(results[index], found[index], after) for index in order):
            states[after.ended, *after.used] = after
    return list(states.values())


def fits(expected: tuple[str, int | None], found: tuple[str, int | None], after: Model) -> bool:
    """A retry returns the unused token of the moment in which it looks, which may be a later one of the group."""
    if expected[0] == found[0] == "repeated":
        return found[1] is not None and expected[1] is not None and expected[1] <= found[1] <= len(after.used)
    if found[0] not in ("rotated", "repeated"):
        return expected[0] == found[0]
    return expected == found


async def simultaneous(db: Postgres, tokens: Sequence[str], now: int) -> list[Rotation]:
    outcomes: dict[int, Rotation] = {}

    async def one(number: int, token: str) -> None:
        outcomes[number] = await rotate(db, token, now, RULES)

    async with trio.open_nursery() as nursery:
        for number, token in enumerate(tokens):
            nursery.start_soon(one, number, token)
    return [outcomes[number] for number in range(len(tokens))]


async def rotate_at(db: Postgres, token: str, now: int, **rules: int) -> tuple[str, str]:
    done = await rotate(db, token, now, replace(RULES, **rules))
    return done.state.value, done.token


async def test_a_retry_within_the_grace_returns_the_same_token(db: Postgres) -> None:
    login, first = await make_login(db)
    state, second = await rotate_at(db, first, NOW)
    assert (state, REFRESH_TOKEN.fullmatch(second) is not None) == ("rotated", True)
    assert await rotate_at(db, first, NOW + GRACE - 1) == ("repeated", second)
    _, third = await rotate_at(db, second, NOW + 1)
    # The client that still has the first token catches up.
    assert await rotate_at(db, first, NOW + GRACE - 1) == ("repeated", third)
    assert await rotate_at(db, first, NOW + GRACE) == ("reused", successor(RULES.key, first))
    assert await rotate_at(db, third, NOW + GRACE) == ("ended", successor(RULES.key, third))
    assert await db.value("select ended_at from logins where id = $1", login) == NOW + GRACE


async def test_no_grace(db: Postgres) -> None:
    _, first = await make_login(db)
    await rotate_at(db, first, NOW, grace_ms=0)
    assert (await rotate_at(db, first, NOW, grace_ms=0))[0] == "reused"


async def test_another_key_gives_no_token_and_ends_nothing(db: Postgres) -> None:
    """Such as after a change of the secret of the installation."""
    login, first = await make_login(db)
    _, second = await rotate_at(db, first, NOW)
    done = await rotate(db, first, NOW, replace(RULES, key=b"x" * 32))
    assert (done.state, done.token) == (RotationState.ENDED, "")
    assert await db.value("select ended_at from logins where id = $1", login) is None
    assert (await rotate(db, second, NOW, replace(RULES, key=b"x" * 32))).state is RotationState.ROTATED


async def test_a_used_token_does_not_tell_its_successor(config: Config, db: Postgres) -> None:
    """Only the server can compute it, and tokens of two installations have nothing in common."""
    token = first_token()
    assert len({successor(bytes([n]) * 32, token) for n in range(3)} | {token}) == 4


@covers("auth.rotate")
async def test_simultaneous_refreshes_of_a_client_get_the_same_token(daemon: Daemon) -> None:
    signed_up = (await daemon.rest("POST", "/v1/auth/anonymous", {})).body
    answers: list[tuple[int, str]] = []

    async def refresh() -> None:
        answer = await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": signed_up["refresh_token"]})
        status = (await daemon.rest("GET", "/v1/conversations", token=answer.body["access_token"])).status
        answers.append((status, answer.body["refresh_token"]))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(refresh)
    assert len(answers) == 5
    assert len(set(answers)) == 1
    (status, token), *_ = answers
    assert status == 200
    assert (await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": token})).status == 200


@covers("auth.rotate", "unauthenticated")
async def test_reuse_after_the_grace_ends_the_login(config: Config, store: Postgres) -> None:
    """With a grace of zero at once."""
    async with running(config.using(replace(config.get(AuthSettings), refresh_grace=0.0))) as daemon:
        tokens = (await daemon.rest("POST", "/v1/auth/anonymous", {})).body
        statuses = [
            (await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})).status
            for _ in range(3)
        ]
        assert statuses == [200, 401, 401]
        assert await store.value("select count(*) from logins where ended_at is null") == 0

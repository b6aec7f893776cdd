"""Sessions at an identity provider as logins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts import external_logins
from chatd.accounts.external_ids import user_id_of
from chatd.accounts.external_logins import KEEP_ENDED_MS, KEEP_UNUSED_MS, SEEN_EVERY_MS
from chatd.accounts.settings import AccountLimits, AuthSettings
from chatd.client import Account
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from tests.support import Daemon, running

ANN = user_id_of("default", "ann")


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    async with with_sessions(config) as opened:
        yield opened


@asynccontextmanager
async def with_sessions(config: Config, **limits: int) -> AsyncIterator[Daemon]:
    auth = replace(config.get(AuthSettings), session_claim="sid")
    async with running(config.using(auth).using(replace(config.get(AccountLimits), **limits))) as opened:
        yield opened


def account(daemon: Daemon, session: Any, sub: str = "ann") -> Account:
    return Account("", user_id_of("default", sub), daemon.token(sub, sid=session), "")


async def status(daemon: Daemon, session: Any, sub: str = "ann") -> int:
    answer = await daemon.rest("GET", "/v1/logins", token=daemon.token(sub, sid=session))
    return answer.status


async def test_each_session_of_a_user_is_a_login(daemon: Daemon) -> None:
    async with daemon.connected(account(daemon, "one")) as phone, daemon.connected(account(daemon, "two")) as tablet:
        added = (await phone.event("login.added")).login
        listed, other = await phone.call("login.list"), await tablet.call("login.list")
        assert {row["id"] for row in listed["items"]} == {listed.current, other.current}
        assert (added.id, added.address, added.platform) == (other.current, "127.0.0.0/24", None)
        await tablet.call("login.rename", login=other.current, name="tablet")
        assert (await phone.event("login.updated")).login.name == "tablet"
        # The same session id of another user is another login.
        async with daemon.connected(account(daemon, "one", "ben")) as ben:
            assert (await ben.call("login.list")).current != listed.current
            assert (await ben.refused("login.end", login=listed.current)).code == "not_found"


async def test_a_known_session_writes_once_an_hour(daemon: Daemon, store: Postgres) -> None:
    async def version() -> Any:
        return await store.value("select xmin::text from logins")

    assert await status(daemon, "one") == 200
    before = await version()
    async with daemon.connected(account(daemon, "one")) as person:
        await person.call("auth.refresh", token=daemon.token("ann", sid="one"))
    assert (await status(daemon, "one"), await version()) == (200, before)
    await store.run("update logins set last_seen = last_seen - $1", SEEN_EVERY_MS)
    old = await store.value("select last_seen from logins")
    assert await status(daemon, "one") == 200
    assert await store.value("select last_seen from logins") > old


async def test_an_ended_session_stays_ended(daemon: Daemon) -> None:
    """Also for tokens that the provider issues later. A new session at the provider is a new login."""
    async with daemon.connected(account(daemon, "one")) as phone, daemon.connected(account(daemon, "two")) as tablet:
        await phone.call("login.end", login=(await tablet.call("login.list")).current)
        assert (await tablet.ended()).code == 4404
        assert [await status(daemon, session) for session in ("one", "two", "two", "three")] == [200, 401, 401, 200]
        refused = await phone.refused("auth.refresh", token=daemon.token("ann", sid="two"))
        assert refused.code == "unauthenticated"
        await phone.call("auth.logout")
        assert await status(daemon, "one") == 401


async def test_a_ticket_opens_a_connection_of_the_session(daemon: Daemon, store: Postgres) -> None:
    made = await daemon.rest("POST", "/v1/auth/ticket", {}, daemon.token("ann", sid="one"))
    login = await store.value("select id::text from logins")
    assert await store.value("select login from connection_tickets") == login
    assert made.status == 200


async def test_simultaneous_first_sign_ins_are_one_login(daemon: Daemon, store: Postgres) -> None:
    async def connect() -> None:
        async with daemon.connected(account(daemon, "one")):
            pass

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(connect)
    assert await store.value("select count(*) from logins") == 1
    assert await store.value("select count(*) from users") == 1


async def test_sessions_of_a_user_are_bounded(config: Config) -> None:
    async with with_sessions(config, logins_per_user=2) as daemon:
        async with daemon.connected(account(daemon, "one")) as first:
            assert [await status(daemon, session) for session in ("two", "three")] == [200, 200]
            assert (await first.ended()).code == 4404
        assert [await status(daemon, session) for session in ("one", "two", "three")] == [401, 200, 200]


@pytest.mark.parametrize(("session", "expected"), [
    (None, 200), ("", 200), ("x" * 255, 200), ("é ✓", 200), ("x" * 256, 401), (5, 401), (["one"], 401), ("a\0", 401),
])  # fmt: skip
async def test_the_claim_of_the_session(daemon: Daemon, store: Postgres, session: Any, expected: int) -> None:
    assert await status(daemon, session) == expected
    assert await store.value("select count(*) from logins") == int(expected == 200 and bool(session))


async def test_a_login_that_chatd_did_not_make_is_refused(daemon: Daemon) -> None:
    """In the claim `login` of a token, which has no session of a provider."""
    token = daemon.token("ann", login=uuid7(now_ms()), sid="one")
    assert (await daemon.rest("GET", "/v1/logins", token=token)).status == 401


async def test_unused_and_ended_logins_are_deleted_in_time(db: Postgres) -> None:
    now, user = now_ms(), uuid7(0)
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", user)
    for last_seen, ended_at, is_external in (
        (now - KEEP_UNUSED_MS, None, True), (now - KEEP_UNUSED_MS - 1, None, True), (0, None, False),
        (0, now - KEEP_ENDED_MS, True), (0, now - KEEP_ENDED_MS - 1, True),
    ):  # fmt: skip
        await db.run(
            "insert into logins (tenant, id, user_id, created_at, last_seen, ended_at, is_external)"
            " values ('default', gen_random_uuid(), $1, 0, $2, $3, $4)",
            user, last_seen, ended_at, is_external,
        )  # fmt: skip
    await external_logins.sweep(db, now, batch_size=1)
    left = await db.all("select last_seen, ended_at from logins order by last_seen, ended_at")
    assert [tuple(row) for row in left] == [(0, now - KEEP_ENDED_MS), (0, None), (now - KEEP_UNUSED_MS, None)]

"""A ban: on every node, sign-in is refused and open connections are closed."""

from collections.abc import AsyncIterator

import pytest
import trio
from msgspec.structs import replace
from trio_websocket import ConnectionRejected

from chatd.accounts import bans
from chatd.accounts.range_ban_sweep import CloseRange
from chatd.app import audit_log
from chatd.client import Refused, sign_up
from chatd.cluster import control_messages
from chatd.cluster.stream_entries import announce
from chatd.core.clock import now_ms
from chatd.core.config import Config, PostgresSection
from chatd.db.embedded import redis as embedded_redis
from chatd.db.postgres import Postgres, open_postgres
from chatd.db.redis import open_redis
from tests.cluster.test_two_nodes import nodes, own_redis
from tests.support import PATIENCE, Daemon, Person, operator, running

__all__ = ["own_redis"]
HOUR = 3_600_000


@pytest.fixture
async def moderator(config: Config) -> AsyncIterator[Postgres]:
    async with open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
        yield db


async def ban(db: Postgres, config: Config, person: Person, until: int | None = None) -> str:
    """Ban as `chatd bans add` does."""
    id_ = await bans.ban_user(db, operator(), person.user, "spam", until)
    async with open_redis(config.redis) as redis:
        await announce(
            redis,
            id_,
            control_messages.encode(control_messages.CloseUserSessions("default", person.user, "banned", None)),
        )
    return id_


async def handshake(daemon: Daemon, person: Person) -> tuple[int, str]:
    """Status and code of a new connection with the old token, and of REST."""
    answer = await daemon.rest("GET", "/v1/conversations", token=person.account.access_token)
    code = "ok" if answer.status == 200 else answer.body["code"]
    try:
        async with daemon.connected(person.account):
            return 101, code
    except BaseException as error:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        assert isinstance(error, ConnectionRejected)
        return error.status_code, code


async def test_a_ban_closes_every_socket_on_every_node_at_once(config: Config, moderator: Postgres) -> None:
    async with (
        nodes(config) as (one, two),
        one.person() as here,
        two.connected(here.account) as there,
        two.person() as other,
    ):
        await ban(moderator, config, here, now_ms() + HOUR)
        with trio.fail_after(PATIENCE):
            assert [(await session.ended()).code for session in (here, there)] == [4403, 4403]
        for node in (one, two):
            assert await handshake(node, here) == (403, "banned")
        assert await other.is_served()


async def test_ban_ends_by_expiry_or_when_lifted(daemon: Daemon, config: Config, moderator: Postgres) -> None:
    token = daemon.token
    async with daemon.person() as person:
        person.account.access_token = token(person.user)
        first = await ban(moderator, config, person)
        await person.ended()
        assert await handshake(daemon, person) == (403, "banned")
        assert await bans.revoke_ban(moderator, operator(), first)
        assert await handshake(daemon, person) == (101, "ok")
        second = await bans.ban_user(moderator, operator(), person.user, "for a while", now_ms() + HOUR)
        assert await handshake(daemon, person) == (403, "banned")
        await moderator.run("update bans set expires_at = $2 where id = $1", second, now_ms())
        assert await handshake(daemon, person) == (101, "ok")
        acts = [row["act"] for row in await audit_log.page(moderator, "default")]
        assert sorted(acts) == ["ban.add", "ban.add", "ban.lift"]


async def test_banned_answer_contains_the_end(daemon: Daemon, config: Config, moderator: Postgres) -> None:
    async with daemon.person() as person:
        until = now_ms() + HOUR
        await bans.ban_user(moderator, operator(), person.user, "spam", until)
        answer = await daemon.rest("GET", "/v1/conversations", token=person.account.access_token)
        assert (answer.status, answer.body["details"]) == (403, {"until": until})


async def test_a_banned_device_or_range_cannot_sign_up(daemon: Daemon, config: Config, moderator: Postgres) -> None:
    http = daemon.addresses.http
    account = await sign_up(http, device="the-device-of-somebody")
    devices = await moderator.in_transaction(
        lambda link: bans.insert_device_bans(link, operator(), account.user, "again", None)
    )
    assert devices == 1
    for device in ("the-device-of-somebody", None):
        if device is None:
            hash_ = bans.range_hash(config, "127.0.0.0/8")
            await bans.ban_range(moderator, operator(), hash_, "flood", None)
        with pytest.raises(Refused) as caught:
            await sign_up(http, device=device)
        assert caught.value.code == "banned"
    answer = await daemon.rest("GET", "/v1/conversations", token=account.access_token)
    assert (answer.status, answer.body["code"]) == (403, "banned")


@pytest.mark.parametrize("text", ["", "x", "10.0.0.0/7", "10.0.0.1/31", "::/0", "1.2.3.4/33", "10.0.0.0/8; drop"])
async def test_ranges_that_cannot_be_banned(config: Config, text: str) -> None:
    with pytest.raises(bans.BadRange):
        bans.range_hash(config, text)


async def test_addresses_are_stored_as_keyed_hashes(config: Config) -> None:
    other = replace(config, data=replace(config.data, secret="x" * 32))
    assert bans.range_hash(config, "203.0.113.7") in bans.address_hashes(config, "203.0.113.7")
    assert bans.range_hash(config, "203.0.113.0/24") in bans.address_hashes(config, "::ffff:203.0.113.9")
    assert bans.range_hash(config, "2001:db8::/32") in bans.address_hashes(config, "2001:db8:1::9")
    assert bans.range_hash(config, "203.0.113.0/24") not in bans.address_hashes(config, "203.0.114.1")
    assert bans.range_hash(config, "203.0.113.7") != bans.range_hash(other, "203.0.113.7")
    assert bans.address_hashes(config, "") == []


async def test_without_redis_a_ban_is_found_in_postgres(
    config: Config, moderator: Postgres, own_redis: embedded_redis.Server
) -> None:
    """Within ten seconds."""
    async with (
        running(replace(config, redis=replace(config.redis, url=own_redis.url))) as daemon,
        daemon.person() as person,
    ):
        await own_redis.stop()
        await bans.ban_user(moderator, operator(), person.user, "spam", None)
        assert (await person.ended(12.0)).code == 4403


async def test_a_range_ban_closes_the_connections_from_that_range(config: Config, moderator: Postgres) -> None:
    """On both nodes, with a control message or with Postgres alone."""
    async with nodes(config) as (one, two):
        for text, is_told in (("10.0.0.0/8", True), ("127.0.0.0/8", True), ("127.0.0.1", False)):
            hash_ = bans.range_hash(config, text)
            async with one.person() as here, two.person() as there:
                id_ = await bans.ban_range(moderator, operator(), hash_, "flood", None)
                if is_told:
                    async with open_redis(config.redis) as redis:
                        await announce(redis, id_, control_messages.encode(CloseRange("default", hash_, now_ms())))
                if text.startswith("10."):
                    await trio.sleep(0.5)
                    assert await here.is_served()
                    assert await there.is_served()
                else:
                    assert [(await person.ended(12.0)).code for person in (here, there)] == [4403, 4403]
            await bans.revoke_ban(moderator, operator(), id_)

"""Signing up, rotating, logging out."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from msgspec.structs import replace

from chatd.accounts import commands
from chatd.accounts.settings import AccountLimits, AuthSettings, TenantSettings
from chatd.client import Account
from chatd.client import sign_up as sign_up_client
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from tests.support import NOBODY, Daemon, covers, restarted, running
from tests.wire_client import Raw, upgrade


async def sign_up(daemon: Daemon, **fields: str) -> dict[str, str]:
    answer = await daemon.rest("POST", "/v1/auth/anonymous", fields)
    assert answer.status == 200, answer.body
    return dict(answer.body)


async def rotate(daemon: Daemon, token: str) -> int:
    return (await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": token})).status


@covers("auth.anonymous")
async def test_same_device_is_the_same_user(daemon: Daemon) -> None:
    device = "a device that keeps a secret"
    first, second = await sign_up(daemon, device=device, name="Ann"), await sign_up(daemon, device=device)
    other = await sign_up(daemon, device=device + "!")
    assert first["user"] == second["user"] != other["user"]
    assert first["refresh_token"] != second["refresh_token"]
    assert first["expires_in"] == 900


async def test_simultaneous_sign_ups_of_one_device_are_one_user(daemon: Daemon) -> None:
    users: set[str] = set()

    async def once() -> None:
        users.add((await sign_up(daemon, device="the very same device"))["user"])

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(once)
    assert len(users) == 1


@covers("auth.anonymous", "not_found")
@covers("auth.anonymous", "forbidden")
async def test_tenants_are_isolated_and_sign_up_can_be_disabled(config: Config) -> None:
    two = config.using_named(TenantSettings, {"acme": TenantSettings(secret="fedcba9876543210fedcba9876543210")})
    async with running(two) as daemon:
        device = "a device that keeps a secret"
        here, there = await sign_up(daemon, device=device), await sign_up(daemon, device=device, tenant="acme")
        assert here["user"] != there["user"]
        opened = await daemon.rest("POST", "/v1/conversations/direct", {"user": there["user"]}, here["access_token"])
        assert (opened.status, opened.body["code"]) == (404, "not_found")
        nobody = await daemon.rest("POST", "/v1/auth/anonymous", {"tenant": "nobody"})
        assert (nobody.status, nobody.body["code"]) == (404, "not_found")
    async with running(restarted(config).using(replace(config.get(AuthSettings), anonymous=False))) as daemon:
        assert (await daemon.rest("POST", "/v1/auth/anonymous", {})).body["code"] == "forbidden"


async def test_sign_ups_of_one_address_are_limited(config: Config) -> None:
    async with running(config.using(replace(config.get(AccountLimits), signups_per_minute=3.0))) as daemon:
        statuses = [(await daemon.rest("POST", "/v1/auth/anonymous", {})).status for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]


@covers("auth.rotate")
@covers("auth.rotate", "unauthenticated")
async def test_refresh_token_works_once_and_reuse_ends_the_login(daemon: Daemon, store: Postgres) -> None:
    first = await sign_up(daemon)
    answer = await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": first["refresh_token"]})
    second = answer.body
    assert (answer.status, second["user"]) == (200, first["user"])
    account = Account(daemon.addresses.http, second["user"], second["access_token"], second["refresh_token"])
    async with daemon.connected(account) as person:
        assert await rotate(daemon, first["refresh_token"]) == 200
        # After the grace.
        await store.run("update refresh_tokens set used_at = used_at - 30000 where used_at is not null")
        assert await rotate(daemon, first["refresh_token"]) == 401
        assert (await person.ended()).code == 4404
    assert await rotate(daemon, second["refresh_token"]) == 401
    assert (await daemon.rest("GET", "/v1/conversations", token=second["access_token"])).status == 401
    assert await rotate(daemon, "cr_unknown") == 401


@covers("auth.refresh")
@covers("auth.refresh", "forbidden")
@covers("auth.refresh", "unauthenticated")
async def test_session_continues_with_a_fresh_token_of_the_same_user_only(daemon: Daemon) -> None:
    async with daemon.person() as alice, daemon.person() as bob:
        renewed = await alice.call("auth.refresh", token=daemon.token(alice.user))
        assert renewed["expires_at"] == 2**31 * 1000
        assert (await alice.refused("auth.refresh", token=bob.account.access_token)).code == "forbidden"
        assert (await alice.refused("auth.refresh", token="x.y.z")).code == "unauthenticated"
        assert await alice.is_served()


@covers("auth.ticket")
async def test_a_ticket_opens_one_connection(daemon: Daemon) -> None:
    tokens = await sign_up(daemon)
    made = await daemon.rest("POST", "/v1/auth/ticket", {}, tokens["access_token"])
    lines = upgrade(daemon).replace(b"/v1/ws ", f"/v1/ws?ticket={made.body['ticket']} ".encode()).split(b"\r\n")
    head = b"\r\n".join(line for line in lines if not line.startswith(b"Authorization"))
    for status in (b" 101 ", b" 401 "):
        async with Raw.to(daemon) as raw:
            await raw.send(head)
            assert status in await raw.read(b"\r\n")


@covers("auth.logout")
async def test_logout_ends_this_login_or_all(daemon: Daemon) -> None:
    device = "a device that keeps a secret"
    accounts = [Account("", **pick(await sign_up(daemon, device=device))) for _ in range(3)]
    async with (
        daemon.connected(accounts[0]) as phone,
        daemon.connected(accounts[1]) as tablet,
        daemon.connected(accounts[2]) as tv,
    ):
        await phone.call("auth.logout")
        assert (await phone.ended()).code == 4404
        assert await tablet.is_served()
        assert (await daemon.rest("GET", "/v1/conversations", token=accounts[0].access_token)).status == 401
        answer = await daemon.rest("POST", "/v1/auth/logout", {"everywhere": True}, accounts[1].access_token)
        assert answer.status == 200
        assert (await tablet.ended()).code == (await tv.ended()).code == 4404
    for account in accounts:
        assert await rotate(daemon, account.refresh_token) == 401


def pick(tokens: dict[str, str]) -> dict[str, str]:
    return {name: tokens[name] for name in ("user", "access_token", "refresh_token")}


async def test_valid_token_of_an_unknown_user_creates_the_user_if_configured(config: Config) -> None:
    async with running(config) as daemon, daemon.person() as alice:
        token = daemon.token(NOBODY)
        assert (await alice.refused("conversation.open", user=NOBODY)).code == "not_found"
        assert (await daemon.rest("GET", "/v1/conversations", token=token)).status == 200
        assert (await alice.call("conversation.open", user=NOBODY))["created"]
    strict = restarted(config).using(replace(config.get(AuthSettings), create_users=False))
    async with running(strict) as daemon:
        other = daemon.token(NOBODY.replace("8000", "9000"))
        assert (await daemon.rest("GET", "/v1/conversations", token=other)).status == 401


TABLES = ("users", "devices", "logins", "refresh_tokens", "revoked_tokens", "connection_tickets")
REFUSE = "create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$"


def nonsense(prefix: str, count: int) -> str:
    """What has the form of a refresh token or ticket, and was never issued."""
    return prefix + secrets.token_urlsafe(count)


@asynccontextmanager
async def locked(store: Postgres) -> AsyncIterator[None]:
    """Block the look-up of users in the database while the block runs."""
    hold = store.connection("lock")

    async def lock(connection: Any) -> None:
        await connection.execute(f"begin; lock table {', '.join(TABLES)} in access exclusive mode")
        began.set()
        while not release.is_set():
            await connection.execute("select pg_sleep(0.02)")
        await connection.execute("rollback")

    began, release = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold.run_on_connection, lock, 60)
        await began.wait()
        yield
        release.set()
    hold.close()


async def rows(store: Postgres) -> dict[str, int]:
    return {table: await store.value(f"select count(*) from {table}") for table in TABLES}


async def test_address_limits_are_checked_before_the_database(config: Config, store: Postgres) -> None:
    """Neither what cannot be a credential nor an address that failed too often costs a statement."""
    limits = replace(config.get(AccountLimits), auth_failures_per_minute=6.0, signups_per_minute=1.0)
    async with running(config.using(limits)) as daemon:
        await sign_up(daemon)
        async with locked(store):
            for token in ("x", "cr_", "cr_short", nonsense("cr_", 33), nonsense("ct_", 32), "cr_" + "!" * 43):
                assert await rotate(daemon, token) == 401, token
            assert [await rotate(daemon, nonsense("cr_", 32)) for _ in range(3)] == [429, 429, 429]
            assert await with_ticket(daemon, nonsense("ct_", 24)) == 429
            assert (await daemon.rest("POST", "/v1/auth/anonymous", {})).status == 429


async def with_ticket(daemon: Daemon, ticket: str) -> int:
    """The status of a connect with this ticket."""
    lines = upgrade(daemon).replace(b"/v1/ws ", f"/v1/ws?ticket={ticket} ".encode()).split(b"\r\n")
    async with Raw.to(daemon) as raw:
        await raw.send(b"\r\n".join(line for line in lines if not line.startswith(b"Authorization")))
        return int((await raw.read(b"\r\n")).split()[1])


async def test_a_sign_up_that_is_refused_writes_nothing(config: Config, store: Postgres, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [json.loads(ECAlgorithm.to_jwk(key)) | {"kid": "one"}]}))
    idp = TenantSettings(algorithm="ES256", jwks=str(tmp_path / "keys.json"))
    async with running(config.using_named(TenantSettings, {"idp": idp})) as daemon:
        before = await rows(store)
        for fields in ({"tenant": "idp"}, {"tenant": "idp", "device": "a device with a secret"}, {"tenant": "none"}):
            assert (await daemon.rest("POST", "/v1/auth/anonymous", fields)).status in (403, 404)
        assert await rows(store) == before


@pytest.mark.parametrize("table", ["users", "devices", "logins", "refresh_tokens"])
async def test_a_sign_up_that_fails_writes_nothing(daemon: Daemon, store: Postgres, table: str) -> None:
    await store.run(f"{REFUSE}; create trigger refuse before insert on {table} for each row execute function refuse()")
    before = await rows(store)
    assert (await daemon.rest("POST", "/v1/auth/anonymous", {"device": "a device with a secret"})).status == 500
    assert await rows(store) == before


@pytest.mark.parametrize("event", ["update", "delete"])
async def test_a_sign_up_that_cannot_end_older_logins_writes_nothing(
    config: Config, store: Postgres, event: str
) -> None:
    async with running(config.using(replace(config.get(AccountLimits), logins_per_user=1))) as daemon:
        fields = {"device": "a device with a secret"}
        for _ in range(3):
            await sign_up(daemon, **fields)
        await store.run("update logins set ended_at = 1 where ended_at is not null")
        await store.run(
            f"{REFUSE}; create trigger refuse before {event} on logins for each row execute function refuse()"
        )
        before = await rows(store)
        assert (await daemon.rest("POST", "/v1/auth/anonymous", {**fields, "name": "another"})).status == 500
        assert await rows(store) == before
        assert await store.value("select count(*) from users where name = 'another'") == 0


async def test_failed_refresh_can_be_repeated(daemon: Daemon, store: Postgres) -> None:
    token = (await sign_up(daemon))["refresh_token"]
    await store.run(
        f"{REFUSE}; create trigger refuse before insert on refresh_tokens for each row execute function refuse()"
    )
    assert await rotate(daemon, token) == 500
    await store.run("drop trigger refuse on refresh_tokens")
    assert await rotate(daemon, token) == 200


async def test_refreshes_of_a_login_are_limited_and_the_token_stays_valid(config: Config, store: Postgres) -> None:
    async with running(config.using(replace(config.get(AccountLimits), rotations_per_hour=2))) as daemon:
        tokens = await sign_up(daemon)
        for _ in range(2):
            tokens = (await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})).body
        for _ in range(2):
            answer = await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
            assert (answer.status, answer.body["code"]) == (429, "rate_limited")
        await store.run("update refresh_tokens set used_at = used_at - 3600000 where used_at is not null")
        assert await rotate(daemon, tokens["refresh_token"]) == 200
        assert await rotate(daemon, (await sign_up(daemon))["refresh_token"]) == 200


async def test_sweep_continues_until_nothing_is_left(db: Postgres) -> None:
    now, count = now_ms(), 35
    user, login = uuid7(now), uuid7(now)
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", user)
    await db.run(
        "insert into logins (tenant, id, user_id, created_at) values ('default', $1, $2, $3)", login, user, now
    )
    await db.run(
        "insert into refresh_tokens (hash, tenant, login, expires_at)"
        " select int4send(n), 'default', $1, $2 from generate_series(1, $3::int) n",
        login, now - 1, count,
    )  # fmt: skip
    await db.run(
        "insert into revoked_tokens (tenant, token_id, expires_at)"
        " select 'default', n::text, $1 from generate_series(1, $2::int) n",
        now - 6000, count,
    )  # fmt: skip
    await db.run(
        "insert into revoked_tokens (tenant, token_id, expires_at) values ('default', 'accepted', $1)", now - 4000
    )
    await db.run(
        "insert into logins (tenant, id, user_id, created_at, ended_at)"
        " select 'default', gen_random_uuid(), $1, 0, 0 from generate_series(1, $2::int) n",
        user, count,
    )  # fmt: skip
    await commands.sweep(db, now, 5.0, batch_size=10)
    left = await rows(db)
    assert (left["refresh_tokens"], left["revoked_tokens"], left["logins"]) == (0, 1, 1)


async def test_logins_of_a_device_are_bounded(config: Config, store: Postgres) -> None:
    """The oldest end, with their sockets and tokens; ended ones are forgotten beyond as many."""
    async with running(config.using(replace(config.get(AccountLimits), logins_per_user=3))) as daemon:
        first = await sign_up_client(daemon.addresses.http, device="d" * 32)
        async with daemon.connected(first) as person:
            later = [await sign_up_client(daemon.addresses.http, device="d" * 32) for _ in range(3)]
            assert (await person.ended()).code == 4404
        answers = [await daemon.rest("GET", "/v1/conversations", token=one.access_token) for one in (first, *later)]
        assert [answer.status for answer in answers] == [401, 200, 200, 200]
        for _ in range(5):
            await sign_up_client(daemon.addresses.http, device="d" * 32)
        await store.run("update logins set ended_at = 1 where ended_at is not null")
        await sign_up_client(daemon.addresses.http, device="d" * 32)
        counts = await store.one("select count(*) as found, count(ended_at) as ended from logins")
        assert counts is not None
        # Three that count, three that ended long ago, and the one that ended just now.
        assert tuple(counts) == (7, 4)

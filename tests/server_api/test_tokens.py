"""Service tokens: who gets in, with which scope, until when; for all server commands, by the table of commands."""

import logging
from typing import Any
from uuid import uuid4

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from chatd.accounts import service_tokens
from chatd.accounts.service_tokens import FORM
from chatd.accounts.settings import AccountLimits
from chatd.accounts.token_forms import checksum
from chatd.app.registry import Guard, Row, command, server_command
from chatd.core.config import Config, PostgresSection
from chatd.core.secrets import digest
from chatd.db.postgres import open_postgres
from chatd.subsystems import load_registry
from chatd.wire.base import Command, Ok
from chatd.wire.reference.examples import example_body
from chatd.wire.reference.json_schema import FIELD, WITH_QUERY
from chatd.wire.server import SCOPES, ServerCommand
from tests.admins import ANN, administered, daemon, done, order, refused
from tests.guarded import check_dispatch_refuses, check_sockets_refuse
from tests.server_api.backend import ALL, Backend, backend_of, new_token
from tests.support import PATIENCE, Daemon, covers, operator, running

__all__ = ["daemon"]
ROWS = [row for row in load_registry().commands.values() if row.guard is Guard.SERVER]


def request_of(row: Row) -> tuple[str, str, Any]:
    """Method, path below /v1/server, and body: the example of the command."""
    method, path = row.http.split(" ")
    fields: dict[str, Any] = to_builtins(example_body(row.command))
    del fields["t"]
    for name in FIELD.findall(path):
        path = path.replace(f"{{{name}}}", fields.pop(name))
    path = path.removeprefix("/v1/server")
    if method in WITH_QUERY:
        return method, path + "?" * bool(fields) + "&".join(f"{name}={value}" for name, value in fields.items()), None
    return method, path, fields


async def test_other_tokens_do_not_open_the_server_api(config: Config) -> None:
    """None, a user's, an admin's, a random one, one with a wrong checksum; for each command."""
    limits = replace(config.get(AccountLimits), auth_failures_per_minute=1e6)
    async with running(administered(config).using(limits)) as daemon, daemon.person() as person:
        valid = (await new_token(daemon)).secret
        wrong = valid[:-1] + ("0" if valid[-1] != "0" else "1")
        for row in ROWS:
            method, path, body = request_of(row)
            for token in (
                None,
                "",
                person.account.access_token,
                ANN,
                FORM.new_secret(),
                wrong,
                f"{valid}x",
                "é",
                "x" * 9000,
            ):
                answer = await daemon.rest(method, f"/v1/server{path}", body, token)
                if token == "x" * 9000:
                    assert answer.status in (401, 431), row.tag
                    continue
                assert (answer.status, answer.body["code"]) == (401, "unauthenticated"), (row.tag, token)
            cookie = await daemon.rest(method, f"/v1/server{path}", body, Cookie=f"token={valid}")
            assert cookie.status == 401
        assert await person.is_served()


async def test_a_service_token_opens_nothing_else(daemon: Daemon) -> None:
    token = (await new_token(daemon)).secret
    assert (await daemon.rest("GET", "/v1/conversations", token=token)).status == 401
    assert (await daemon.rest("POST", "/v1/auth/ticket", {}, token)).status == 401
    assert (await daemon.rest("POST", "/admin/bans", {}, token)).status == 401
    assert (await daemon.rest("GET", "/v1/me/export", token=token)).status == 401


async def test_each_command_needs_its_scope(daemon: Daemon) -> None:
    with_all = await backend_of(daemon)
    without = {scope: await backend_of(daemon, *(set(ALL) - {scope})) for scope in ALL}
    for row in ROWS:
        method, path, body = request_of(row)
        answer = await without[row.scope].ask(method, path, body)
        assert (answer.status, answer.body["code"]) == (403, "forbidden"), row.tag
        assert row.scope in answer.body["message"]
        answer = await with_all.ask(method, path, body)
        assert answer.status != 403, (row.tag, answer.body)
        assert answer.body.get("code", "not_found") in (*row.refuses, "not_found", "bad_request"), (
            row.tag,
            answer.body,
        )


async def test_ids_of_another_tenant_are_not_found(daemon: Daemon) -> None:
    """For each command, with a user, a conversation and a message that exist in the other tenant."""
    own, other = await backend_of(daemon), await backend_of(daemon, tenant="acme")
    user = await own.user("ann")
    second = await own.user("ben")
    group = await own.group(user, second, external_id="order-1")
    sent = await own.done("POST", f"/conversations/{group}/messages", {"client_id": "1", "text": "hello"})
    ban = (await own.done("POST", f"/users/{second}/bans", {"reason": "spam"}))["ban"]
    known = {"user": user, "users": [user, second], "members": [user], "owner": user, "sender": user}
    known |= {"other": second, "conversation": group, "message": sent["message"], "ban": ban}
    known["bot"] = (await own.done("POST", "/bots", {"handle": "weather"}))["bot"]["id"]
    before = await own.done("GET", f"/conversations/{group}")
    for row in ROWS:
        if row.tag in ("server.user.put", "server.users.put", "server.bot.add"):
            continue
        method, path = row.http.split(" ")
        fields: dict[str, Any] = {**to_builtins(example_body(row.command)), "client_id": str(uuid4())}
        fields = {name: value for name, value in fields.items() if name in row.command.__struct_fields__}
        fields |= {name: value for name, value in known.items() if name in row.command.__struct_fields__}
        for name in FIELD.findall(path):
            path = path.replace(f"{{{name}}}", str(fields.pop(name)))
        fields.pop("external_ids", None)
        path = path.removeprefix("/v1/server")
        body = None if method in WITH_QUERY else fields
        answer = await other.ask(method, path, body)
        if answer.status == 200:
            assert answer.body["items"] == [], row.tag
        else:
            assert answer.body["code"] == "not_found", (row.tag, answer.body)
    assert await own.done("GET", f"/conversations/{group}") == before
    made = await other.done("POST", "/conversations", {"members": [], "external_id": "order-1"})
    assert made["created"] is True, "external ids are those of a tenant"
    assert made["conversation"]["id"] != group


@covers("admin.token.add")
@covers("admin.tokens")
async def test_an_admin_makes_tokens(daemon: Daemon) -> None:
    added = await done(daemon, "token.add", name="shop", scopes=["read", "read"], lasts=3600)
    assert FORM.is_well_formed(added["secret"])
    backend = Backend(daemon, added["secret"])
    assert (await backend.done("POST", "/users/find", {}))["items"] == []
    assert await backend.refused("POST", "/users", {"external_id": "x"}) == "forbidden"
    (listed,) = (await done(daemon, "tokens"))["items"]
    assert (listed["id"], listed["name"], listed["scopes"]) == (added["token"], "shop", ["read"])
    assert listed["expires_at"] - listed["created_at"] == 3_600_000
    assert listed["last_used_at"] is not None
    assert added["secret"] not in str(listed)
    assert (await done(daemon, "tokens", tenant="acme"))["items"] == []


@covers("admin.token.add", "conflict", "too_large")
async def test_tokens_that_are_not_made(daemon: Daemon) -> None:
    first = await done(daemon, "token.add", name="shop", scopes=["read"])
    assert await refused(daemon, "token.add", name="shop", scopes=["read"]) == "conflict"
    for body in ({"name": "Shop"}, {"name": ""}, {"scopes": []}, {"scopes": ["admin"]}, {"lasts": 0}):
        assert await refused(daemon, "token.add", **{"name": "other", "scopes": ["read"], **body}) == "bad_request"
    assert (await daemon.rest("POST", "/admin/token/revoke", {"token": first["token"]}, ANN)).status == 200
    await done(daemon, "token.add", name="shop", scopes=["read"])
    for number in range(service_tokens.MAX_TOKENS - 1):
        await done(daemon, "token.add", name=f"t{number}", scopes=["read"])
    assert await refused(daemon, "token.add", name="more", scopes=["read"]) == "too_large"


@covers("admin.token.revoke")
@covers("admin.token.revoke", "not_found")
async def test_a_revoked_token_is_refused_at_once_on_all_nodes(config: Config) -> None:
    async with running(administered(config)) as one, running(config) as other:
        added = await done(one, "token.add", name="shop", scopes=["read"])
        here, there = Backend(one, added["secret"]), Backend(other, added["secret"])
        for backend in (here, there):
            await backend.done("POST", "/users/find", {})
        assert (await order(one, "token.revoke", token=ANN, tenant="acme")).body["code"] == "bad_request"
        other_tenant = await one.rest("POST", "/admin/token/revoke", {"token": added["token"], "tenant": "acme"}, ANN)
        assert other_tenant.body["code"] == "not_found"
        await one.rest("POST", "/admin/token/revoke", {"token": added["token"]}, ANN)
        for backend in (here, there):
            assert await backend.refused("POST", "/users/find", {}) == "unauthenticated"
        again = await one.rest("POST", "/admin/token/revoke", {"token": added["token"]}, ANN)
        assert again.body["code"] == "not_found"


@covers("admin.token.rotate")
@covers("admin.token.rotate", "not_found")
async def test_a_token_is_rotated_with_an_overlap(daemon: Daemon) -> None:
    added = await done(daemon, "token.add", name="shop", scopes=["read"])

    async def rotate(**fields: Any) -> Any:
        answer = await daemon.rest("POST", "/admin/token/rotate", {"token": added["token"], **fields}, ANN)
        return answer.body

    second = await rotate()
    third = await rotate(overlap=0)
    assert second["token"] == third["token"] == added["token"]
    statuses = [
        (await Backend(daemon, one["secret"]).ask("POST", "/users/find", {})).status for one in (added, second, third)
    ]
    assert statuses == [401, 401, 200]
    fourth = await rotate(overlap=3600)
    for one in (third, fourth):
        await Backend(daemon, one["secret"]).done("POST", "/users/find", {})
    await daemon.rest("POST", "/admin/token/revoke", {"token": added["token"]}, ANN)
    for one in (third, fourth):
        assert await Backend(daemon, one["secret"]).refused("POST", "/users/find", {}) == "unauthenticated"
    assert (await rotate())["code"] == "not_found"


async def test_an_expired_token_is_refused(daemon: Daemon) -> None:
    old = await new_token(daemon, expires_at=1)
    assert await Backend(daemon, old.secret).refused("POST", "/users/find", {}) == "unauthenticated"


async def test_failures_of_an_address_are_limited_before_any_look_up(config: Config) -> None:
    """A token that was valid before is accepted from this address; so is everything from other addresses."""
    limits = replace(config.get(AccountLimits), auth_failures_per_minute=5.0)
    gateway = replace(config.gateway, trusted_proxies=["127.0.0.1"])
    async with running(replace(config, gateway=gateway).using(limits)) as daemon:
        backend = await backend_of(daemon)
        fresh = await new_token(daemon)
        await backend.done("POST", "/users/find", {})
        guesses = [await Backend(daemon, FORM.new_secret()).ask("POST", "/users/find", {}) for _ in range(10)]
        assert [one.status for one in guesses] == [401] * 5 + [429] * 5
        assert int(guesses[-1].headers["retry-after"]) >= 1
        await backend.done("POST", "/users/find", {})
        assert await Backend(daemon, fresh.secret).refused("POST", "/users/find", {}) == "rate_limited"
        elsewhere = await daemon.rest("POST", "/v1/server/users/find", {}, fresh.secret, X_Forwarded_For="203.0.113.9")
        assert elsewhere.status == 200


async def test_commands_of_a_token_are_limited(config: Config) -> None:
    limits = replace(config.limits, service_commands_per_second=0.01, service_commands_burst=20)
    async with running(replace(config, limits=limits)) as daemon:
        one, other = await backend_of(daemon, name="one"), await backend_of(daemon, name="other")
        answers = [await one.ask("POST", "/users/find", {}) for _ in range(15)]
        assert {answer.status for answer in answers} == {200, 429}
        await other.done("POST", "/users/find", {})


async def test_the_last_use_is_written_once_a_minute(daemon: Daemon) -> None:
    token = await new_token(daemon)
    hash_ = digest(token.secret)
    async with open_postgres(daemon.config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
        uses = []
        for now in (1_000_000, 1_059_999, 1_060_000, 1_100_000):
            assert await db.one(service_tokens.SQL.use, hash_, now) is not None
            uses.append(await db.value("select last_used_at from service_tokens where id = $1", token.id))
    assert uses == [1_000_000, 1_000_000, 1_060_000, 1_060_000]


async def test_old_tokens_are_swept(daemon: Daemon) -> None:
    day = 86_400_000
    async with open_postgres(daemon.config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
        actor = operator()
        ids = [(await db.in_transaction(service_tokens.add, actor, f"t{n}", ["read"], None)).id for n in range(2)]
        expired = await db.in_transaction(service_tokens.add, actor, "t2", ["read"], actor.now + 1)
        await db.in_transaction(service_tokens.revoke, actor, ids[0])
        await service_tokens.sweep(db, actor.now + 89 * day)
        assert len(await service_tokens.listed(db, "default")) == 3
        await service_tokens.sweep(db, actor.now + 91 * day)
        assert [row["id"] for row in await service_tokens.listed(db, "default")] == [ids[1]]
        assert expired.id not in ids


async def test_acts_of_a_token_are_in_the_audit_log(daemon: Daemon) -> None:
    backend = await backend_of(daemon, name="shop")
    user = await backend.user("ann")
    for act in ("tokens", "logout", "deactivate", "reactivate"):
        await backend.done("POST", f"/users/{user}/{act}")
    await backend.done("POST", f"/users/{user}/strikes", {"reason": "spam"})
    await backend.done("POST", f"/users/{user}/bans", {"reason": "spam"})
    await backend.done("DELETE", f"/users/{user}")
    items = (await done(daemon, "audit", limit=200))["items"]
    acts = [act["act"] for act in reversed(items) if act["actor"] == "token:shop"]
    assert acts == [
        "user.token",
        "user.revoke",
        "user.deactivate",
        "user.reactivate",
        "strike.add",
        "ban.add",
        "user.erase",
    ]


async def test_pages_of_other_origins_get_no_grant(config: Config) -> None:
    http = replace(config.http, cors_origins=["*"])
    async with running(replace(config, http=http)) as daemon:
        backend = await backend_of(daemon)
        asked = {"Origin": "https://good.test", "Access_Control_Request_Method": "POST"}
        answer = await daemon.rest("OPTIONS", "/v1/server/users/find", **asked)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        answer = await daemon.rest("POST", "/v1/server/users/find", {}, backend.token, Origin="https://good.test")
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_tokens_are_not_in_the_log(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(administered(config)) as daemon:
        added = await done(daemon, "token.add", name="shop", scopes=["read"])
        guess = FORM.new_secret()
        await Backend(daemon, added["secret"]).done("POST", "/users/find", {})
        assert await Backend(daemon, guess).refused("POST", "/users/find", {}) == "unauthenticated"
    for secret in (added["secret"], guess):
        assert secret not in caplog.text


async def test_sockets_refuse_server_commands(daemon: Daemon) -> None:
    await check_sockets_refuse(daemon, ROWS, "server.")


async def test_dispatch_refuses_other_clients() -> None:
    await check_dispatch_refuses(ROWS, ServerCommand())


def test_a_server_command_cannot_be_declared_otherwise() -> None:
    class Order(ServerCommand, tag="server.order"):
        """A server command."""

    class Other(Command, tag="server.other"):
        """A command that is not for backends."""

    class Untagged(ServerCommand, tag="order"):
        """Without the prefix."""

    for kind, wrong in (
        (Order, {}),
        (Other, {"guard": Guard.SERVER}),
        (Other, {"http": "POST /v1/server/other", "socket": False}),
    ):
        with pytest.raises(ValueError, match="@server_command"):
            command(kind, result=Ok, **wrong)  # type: ignore[arg-type]
    for kind in (Other, Untagged):
        with pytest.raises(ValueError, match="ServerCommand"):
            server_command(kind, result=Ok, scope="read", http="GET /v1/server/other")
    with pytest.raises(ValueError, match="scope"):
        server_command(Order, result=Ok, scope="all", http="GET /v1/server/order")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="route"):
        server_command(Order, result=Ok, scope="read", http="GET /v1/order")
    assert {row.scope for row in ROWS} == set(SCOPES)


def test_the_form_of_a_token() -> None:
    token = FORM.new_secret()
    assert token.startswith("chatd_st_")
    assert FORM.is_well_formed(token)
    assert len({FORM.new_secret() for _ in range(100)}) == 100
    assert checksum("") == "000000"
    for wrong in ("", "chatd_st_", token[:-1], token + "0", token.replace("chatd_st_", "chatd_xx_"), token + "\n"):
        assert not FORM.is_well_formed(wrong)

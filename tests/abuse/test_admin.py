"""Abuse of /admin: which tokens, methods and origins are accepted."""

import hmac
import json
import logging
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.keys import WeakKey
from chatd.accounts.settings import AccountLimits, TenantSettings
from chatd.app.rate_limits import AddressLimits
from chatd.app.registry import Guard, admin_command, command
from chatd.core.config import Admin, Config
from chatd.core.errors import Refused
from chatd.core.identity import ROLES, AdminScope, includes
from chatd.daemon import run
from chatd.http.admin_tokens import Admins
from chatd.subsystems import load_registry
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Command, Ok
from chatd.wire.reference.examples import example_body
from tests.admins import ACME, ANN, BEN, NOBODY, acts, administered, daemon, done, order
from tests.guarded import check_dispatch_refuses, check_sockets_refuse
from tests.http.raw import HttpPort
from tests.support import PATIENCE, Daemon, running

__all__ = ["daemon"]
ROWS = [row for row in load_registry().commands.values() if row.guard is Guard.ADMIN]
NAMES = [row.tag.removeprefix("admin.") for row in ROWS]


def path_of(name: str) -> str:
    return f"/admin/{name.replace('.', '/')}"


def example_of(name: str) -> dict[str, Any]:
    row = next(row for row in ROWS if row.tag == f"admin.{name}")
    body = example_body(row.command)
    del body["t"]
    return body


async def test_other_tokens_do_not_open_the_admin_routes(config: Config) -> None:
    """No token, a user's, an expired one, a random one, a cookie, a query parameter; for each command."""
    limits = replace(config.get(AccountLimits), auth_failures_per_minute=1e6)
    async with running(administered(config).using(limits)) as daemon, daemon.person() as person:
        user, old = person.account.access_token, daemon.token(person.user, exp=1)
        for name in NAMES:
            body = {**example_of(name), "user": person.user} if "user" in example_of(name) else example_of(name)
            for token in (
                None,
                user,
                old,
                daemon.token(NOBODY, scope="admin"),
                ANN[:-1],
                ANN + "x",
                ANN.upper(),
                "",
                daemon.secret,
            ):
                answer = await daemon.rest("POST", path_of(name), body, token)
                assert (answer.status, answer.body["code"]) == (401, "unauthenticated"), (name, token)
                assert answer.headers["www-authenticate"] == "Bearer"
            for headers in ({"Cookie": f"token={ANN}"}, {"Authorization": f"Basic {ANN}"}, {"Authorization": ANN}):
                assert (await daemon.rest("POST", path_of(name), body, **headers)).status == 401
            assert (await daemon.rest("POST", f"{path_of(name)}?token={ANN}", body)).status == 401
        assert await person.is_served()
        assert await acts(daemon) == []


async def test_admin_token_does_not_open_other_routes(daemon: Daemon) -> None:
    assert (await daemon.rest("GET", "/v1/conversations", token=ANN)).status == 401
    assert (await daemon.rest("POST", "/v1/auth/ticket", {}, ANN)).status == 401


async def test_admin_routes_do_not_exist_without_admins(config: Config) -> None:
    async with running(config) as daemon:
        for name in NAMES:
            for method in ("POST", "GET", "OPTIONS", "TRACE"):
                answer = await daemon.rest(method, path_of(name), {} if method == "POST" else None, ANN)
                assert (answer.status, answer.body["code"]) == (404, "not_found")
        assert (await daemon.rest("GET", "/admin")).status == 404


async def test_each_command_needs_its_role(config: Config) -> None:
    """The role below is refused, before the command is carried out; its own role is not."""
    tokens = {role: f"{role}-0123456789abcdef0123456789abcdef" for role in ROLES}
    admins = {role: Admin(token=token, role=role) for role, token in tokens.items()}
    async with running(replace(config, admins=admins)) as daemon:
        needed = {row.tag.removeprefix("admin."): row.role for row in ROWS} | {"report.file": "moderator"}
        for name, its_role in needed.items():
            body = {"report": NOBODY, "upload": NOBODY} if name == "report.file" else example_of(name)
            for role in ROLES[:-1]:
                answer = await daemon.rest("POST", path_of(name), body, tokens[role])
                if includes(role, its_role):
                    assert answer.status != 403, (name, role)
                else:
                    assert (answer.status, answer.body["code"]) == (403, "forbidden"), (name, role)
        answer = await daemon.rest("POST", "/admin/audit", {}, tokens["operator"])
        assert {act["actor"] for act in answer.body["items"]} <= {"viewer", "moderator"}
        assert not [act for act in answer.body["items"] if act["actor"] == "viewer"]


def test_an_admin_command_needs_the_highest_role_unless_it_declares_another() -> None:
    assert admin_command.__kwdefaults__["role"] == ROLES[-1]
    assert AdminScope("ann", "default", all_tenants=True).role == ROLES[0]


async def test_admin_routes_accept_only_post(daemon: Daemon) -> None:
    async with daemon.person() as person:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            for name in NAMES:
                answer = await daemon.rest(method, f"{path_of(name)}?user={person.user}&reason=x", token=ANN)
                assert (answer.status, answer.headers["allow"]) == (405, "POST"), (method, name)
        assert await person.is_served()
        assert await acts(daemon) == []


FOREIGN = [
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": ""},
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://chatd.test.evil.test"},
    {"Origin": "https://chatd.test:444"},
    {"Origin": "http://[evil"},
    {"Origin": "https://good.test"},
    {"Origin": "https://chatd.test", "Sec_Fetch_Site": "cross-site"},
]


async def test_pages_of_other_sites_are_refused(config: Config) -> None:
    """Also with the right token, and if CORS allows all origins."""
    http = replace(config.http, cors_origins=["*", "https://good.test"])
    async with running(replace(administered(config), http=http)) as daemon, daemon.person() as person:
        for headers in FOREIGN:
            for token in (ANN, None):
                answer = await daemon.rest("POST", "/admin/kick", {"user": person.user}, token, **headers)
                assert (answer.status, answer.body["code"]) == (403, "forbidden"), headers
                assert not [name for name in answer.headers if name.startswith("access-control")]
        assert await person.is_served()
        assert await acts(daemon) == []


async def test_own_pages_and_other_clients_are_accepted(daemon: Daemon) -> None:
    own: list[dict[str, str]] = [
        {},
        {"Origin": "https://chatd.test", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "http://chatd.test"},
        {"Sec_Fetch_Site": "none"},
    ]
    for headers in own:
        assert (await daemon.rest("POST", "/admin/bans", {}, ANN, **headers)).status == 200


async def test_cors_is_never_for_admins(config: Config) -> None:
    http = replace(config.http, cors_origins=["*"])
    async with running(replace(administered(config), http=http)) as daemon:
        asked = {"Origin": "https://good.test", "Access_Control_Request_Method": "POST"}
        answer = await daemon.rest("OPTIONS", "/admin/bans", **asked)
        assert answer.status == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await daemon.rest("OPTIONS", "/v1/conversations", **asked)).status == 204


async def test_admin_routes_accept_only_json(daemon: Daemon) -> None:
    """The content types that a form can send."""
    async with daemon.person() as person:
        body = json.dumps({"user": person.user}).encode()
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            answer = await daemon.rest("POST", "/admin/kick", body, ANN, Content_Type=kind)
            assert (answer.status, answer.body["code"]) == (415, "bad_request"), kind
        assert await person.is_served()


async def test_malformed_requests_and_foreign_tenants_are_refused(daemon: Daemon) -> None:
    for name in NAMES:
        for body in (
            {"nonsense": 1},
            {"tenant": "A"},
            {"tenant": "acme\n"},
            {"tenant": 5},
            b"null",
            b"[]",
            b'{"tenant":"\xff"}',
        ):
            answer = await daemon.rest("POST", path_of(name), body, ANN)
            assert (answer.status, answer.body["code"]) == (400, "bad_request")
        foreign = {**example_of(name), "tenant": "nobody"}
        assert (await daemon.rest("POST", path_of(name), foreign, ANN)).status == 404
        assert (await daemon.rest("POST", path_of(name), example_of(name), BEN)).status == 404, "another tenant"
    for path in (
        "/admin",
        "/admin/",
        "/admin/bans/",
        "/admin//bans",
        "//admin/bans",
        "/%2fadmin/bans",
        "/admin/%62ans/x",
        "/ADMIN/bans",
    ):
        assert (await daemon.rest("POST", path, {}, ANN)).status == 404, path


async def test_only_the_address_that_guesses_tokens_is_rate_limited(config: Config) -> None:
    """The right token is accepted even from the address of the failed attempts."""
    limits = replace(config.get(AccountLimits), auth_failures_per_minute=5.0)
    gateway = replace(config.gateway, trusted_proxies=["127.0.0.1"])
    async with running(replace(administered(config), gateway=gateway).using(limits)) as daemon:
        guesses = [await order(daemon, "bans", token=f"guess-{number}") for number in range(10)]
        assert [answer.status for answer in guesses] == [401] * 5 + [429] * 5
        assert int(guesses[-1].headers["retry-after"]) >= 1
        for token in (ANN, BEN):
            assert (await order(daemon, "bans", token=token, tenant="acme")).status == 200
        elsewhere = await daemon.rest("POST", "/admin/bans", {}, "guess", X_Forwarded_For="203.0.113.9")
        assert elsewhere.status == 401
        async with daemon.person() as person:
            assert await person.is_served()


OWN_HOSTS = [
    "127.0.0.1",
    "127.0.0.1:8081",
    "localhost",
    "LOCALHOST:8081",
    "localhost.",
    "[::1]",
    "[::1]:8081",
    "10.1.2.3",
    "Chatd.Test:80",
]
FOREIGN_HOSTS = [
    "evil.test",
    "evil.test:8081",
    "localhost.evil.test",
    "127.0.0.1.evil.test",
    "chatd.test.evil.test",
    "xchatd.test",
    "[evil.test]",
    "0x7f000001",
    "evil.test#127.0.0.1",
    "evil@127.0.0.1",
    "127.0.0.1@evil.test",
    "localhost:80@evil.test",
    "127.0.0.1:80@evil.test",
    "localhost:80:90",
    "localhost:evil.test",
    "127.0.0.1%evil.test",
    "[::1",
    "[::1]evil.test",
    "[::1]:evil.test",
    "",
]


async def test_dns_rebinding_page_gets_and_changes_nothing(config: Config) -> None:
    """DNS rebinding: such a page can send anything but another Host than its own; its requests lock no one out."""
    limits = replace(config.get(AccountLimits), auth_failures_per_minute=3.0)
    async with running(administered(config).using(limits)) as daemon, daemon.person() as person:
        for host in FOREIGN_HOSTS:
            own = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
            for token in (ANN, "guess"):
                for method, path in (
                    ("POST", "/admin/kick"),
                    ("GET", "/admin/bans"),
                    ("GET", "/admin"),
                    ("POST", "/admin/nothing"),
                ):
                    answer = await daemon.rest(method, path, {"user": person.user}, token, **own)
                    assert (answer.status, answer.body["code"]) == (403, "forbidden"), (host, path)
        for host in OWN_HOSTS:
            assert (await daemon.rest("POST", "/admin/bans", {}, ANN, Host=host)).status == 200, host
        assert await person.is_served()
        assert await acts(daemon) == []


async def test_a_check_of_the_address_limit_takes_no_token(autojump_clock: trio.testing.MockClock) -> None:
    limits = AddressLimits(2.0)
    for _ in range(10):
        limits.check("203.0.113.7", 0)
    for _ in range(2):
        limits.check("203.0.113.7")
    with pytest.raises(Refused):
        limits.check("203.0.113.7", 0)
    await trio.sleep(31)
    limits.check("203.0.113.7", 0)


async def test_all_admin_tokens_are_compared(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """No timing difference: the first, the last and no token take the same number of comparisons of equal hashes."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    ring = Admins(administered(config))
    monkeypatch.setattr(hmac, "compare_digest", spy)
    for token in (ANN, BEN, "x", "", "é", None):
        compared.clear()
        try:
            ring.name_of(token, "203.0.113.7")
        except Refused as refused:
            assert refused.code == "unauthenticated"
        assert compared == [(32, 32)] * 2


BAD = [
    {"ann": Admin()},
    {"ann": Admin(token="x" * 31)},
    {"ann": Admin(token="x" * 32 + " ")},
    {"ann": Admin(token="é" * 32)},
    {"ann": Admin(token=ANN), "ben": Admin(token=ANN)},
    {"ann": Admin(token=ANN, tenants=["nobody"])},
    {"Ann": Admin(token=ANN)},
    {"": Admin(token=ANN)},
]


@pytest.mark.parametrize("admins", BAD, ids=repr)
async def test_a_weak_token_is_not_served(config: Config, admins: dict[str, Admin]) -> None:
    with trio.fail_after(PATIENCE), pytest.raises(WeakKey):
        await run(replace(config, admins=admins))


async def test_websocket_refuses_admin_commands(daemon: Daemon) -> None:
    await check_sockets_refuse(daemon, ROWS, "admin.")
    assert await acts(daemon) == []


async def test_dispatch_refuses_other_clients() -> None:
    await check_dispatch_refuses(ROWS, AdminCommand())


def test_a_command_of_admins_cannot_be_declared_otherwise() -> None:
    class Order(AdminCommand, tag="admin.order"):
        """An ordinary admin command."""

    class Other(Command, tag="admin.other"):
        """A command that is not for admins."""

    class Untagged(AdminCommand, tag="order"):
        """Without the prefix."""

    for kind, wrong in (
        (Order, {}),
        (Order, {"guard": Guard.ADMIN, "http": "POST /admin/order", "socket": False}),
        (Other, {"guard": Guard.ADMIN}),
        (Other, {"guard": Guard.USER, "http": "POST /admin/other", "socket": False}),
        (Other, {"guard": Guard.NOTHING, "http": "GET /admin/other", "socket": False}),
    ):
        with pytest.raises(ValueError, match="@admin_command"):
            command(kind, result=Ok, **wrong)  # type: ignore[arg-type]
    for kind in (Other, Untagged):
        with pytest.raises(ValueError, match="AdminCommand"):
            admin_command(kind, result=Ok)  # type: ignore[arg-type]
    for row in ROWS:
        assert "tenant" in row.command.__struct_fields__
        assert row.http == f"POST {path_of(row.tag.removeprefix('admin.'))}"


async def test_tokens_are_not_in_the_log(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(
        administered(config).using_named(TenantSettings, {**ACME, "other": TenantSettings(secret="y" * 32)})
    ) as daemon:
        await done(daemon, "bans")
        await order(daemon, "bans", token="some-guess-that-is-wrong-0123456789")
        await HttpPort.of(daemon).ask(f"POST /admin/bans HTTP/1.1\nAuthorization: Bearer {ANN}\nContent-Length: x")
    for secret in (ANN, BEN, "some-guess-that-is-wrong"):
        assert secret not in caplog.text

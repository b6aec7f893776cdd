"""Users of a backend: created and updated, also in bulk, signed in, deactivated and erased."""

import json
import urllib.request
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.external_ids import user_id_of
from chatd.accounts.settings import AccountLimits, TenantSettings
from chatd.app.jobs import Job
from chatd.client import Account
from chatd.core.config import Config
from chatd.filters.settings import FilterSettings
from chatd.privacy.erasure import ErasureTunables, erase_next
from tests.server_api.backend import Backend, backend_of
from tests.support import NOBODY, Daemon, altered, covers, poll_until, running, shared

daemon = shared
SYSTEM = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def backend(daemon: Daemon) -> Backend:
    return await backend_of(daemon)


def new_id() -> str:
    return f"customer|{uuid4()}"


@covers("server.user.put")
async def test_a_user_is_created_and_updated(backend: Backend) -> None:
    name = new_id()
    fields = {"name": "Ann", "picture_url": "https://example.org/ann.png", "locale": "pt-BR", "roles": ["vip", "vip"]}
    made = await backend.done("POST", "/users", {"external_id": name, **fields})
    assert made["created"] is True
    user = made["user"]
    assert (user["id"], user["external_id"], user["anonymous"]) == (user_id_of("default", name), name, False)
    assert (user["name"], user["locale"], user["roles"]) == ("Ann", "pt-BR", ["vip"])
    again = await backend.done("POST", "/users", {"external_id": name, "name": "Ann B.", "locale": "", "roles": []})
    assert again["created"] is False
    assert again["user"] == {**user, "name": "Ann B.", "locale": None, "roles": []}
    by_id = str(uuid4())
    assert (await backend.done("POST", "/users", {"user": by_id}))["user"]["external_id"] is None


async def test_a_changed_name_reaches_others(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, bob, _):
        await backend.done("POST", "/users", {"user": alice.user, "name": "Alice of the shop"})
        assert (await bob.event("user.updated"))["user"]["name"] == "Alice of the shop"
        assert (await alice.event("user.updated"))["user"]["name"] == "Alice of the shop"
        await backend.done("POST", "/users/batch", {"users": [{"user": alice.user, "name": "Alice"}]})
        assert (await bob.event("user.updated"))["user"]["name"] == "Alice"


@covers("server.user.put", "conflict")
async def test_users_that_are_refused(daemon: Daemon, backend: Backend) -> None:
    for body in (
        {},
        {"external_id": new_id(), "user": NOBODY},
        {"external_id": ""},
        {"external_id": "é" * 200},
        {"external_id": "a\0"},
        {"external_id": SYSTEM},
        {"user": SYSTEM},
        {"external_id": new_id(), "picture_url": "javascript:alert(1)"},
        {"external_id": new_id(), "locale": "not a locale"},
        {"external_id": new_id(), "name": "\u200b"},
        {"external_id": new_id(), "name": "x" * 101},
        {"external_id": new_id(), "roles": [""]},
        {"external_id": new_id(), "admin": True},
    ):
        assert await backend.refused("POST", "/users", body) == "bad_request", body
    name = new_id()
    user = await backend.user(name)
    await backend.done("DELETE", f"/users/{user}")
    assert await backend.refused("POST", "/users", {"external_id": name}) == "conflict"


@covers("server.users.put")
async def test_users_are_created_in_bulk_and_again(backend: Backend) -> None:
    users = [{"external_id": new_id(), "name": f"user {number}"} for number in range(1000)]
    made = (await backend.done("POST", "/users/batch", {"users": users}))["items"]
    assert [one["user"] for one in made] == [user_id_of("default", one["external_id"]) for one in users]
    assert {one["outcome"] for one in made} == {"created"}
    users[3]["name"] = "another name"
    again = (await backend.done("POST", "/users/batch", {"users": users}))["items"]
    assert [index for index, one in enumerate(again) if one["outcome"] != "unchanged"] == [3]
    assert again[3]["outcome"] == "updated"


async def test_each_user_of_a_bulk_has_a_result(config: Config) -> None:
    filters = FilterSettings(words=["badword"])
    async with running(config.using(filters)) as daemon:
        backend = await backend_of(daemon)
        gone, known = new_id(), new_id()
        await backend.done("DELETE", f"/users/{await backend.user(gone)}")
        await backend.user(known, name="Known")
        users: list[dict[str, Any]] = [
            {"external_id": new_id(), "name": "New"},
            {"external_id": gone, "name": "Back"},
            {"external_id": new_id(), "name": "badword"},
            {"external_id": known, "name": "Known"},
        ]
        items = (await backend.done("POST", "/users/batch", {"users": users}))["items"]
        assert [one["outcome"] for one in items] == ["created", "refused", "refused", "unchanged"]
        assert [one["error"]["code"] for one in items if "error" in one] == ["conflict", "forbidden"]


async def test_a_bulk_of_the_wrong_form_changes_nothing(backend: Backend) -> None:
    first = new_id()
    for users in (
        [],
        [{"external_id": first}, {"external_id": new_id()}, {"external_id": first}],
        [{"external_id": first}, {"user": user_id_of("default", first)}],
        [{"external_id": first}, {"external_id": new_id(), "name": 5}],
        [{"external_id": first}, {"external_id": new_id(), "picture_url": "ftp://x"}],
        [{"external_id": first}, *({"external_id": new_id()} for _ in range(1000))],
    ):
        assert await backend.refused("POST", "/users/batch", {"users": users}) == "bad_request"
    answer = await backend.ask("POST", "/users/batch", {"users": [{"external_id": first}, {"external_id": first}]})
    assert answer.body["message"] == "$.users[1]: the same user as $.users[0]"
    assert await backend.refused("GET", f"/users/{user_id_of('default', first)}") == "not_found"
    large = {"users": [{"external_id": first, "picture_url": "https://x.test/" + "x" * 600}] * 1000}
    answer = await backend.ask("POST", "/users/batch", large)
    assert (answer.status, answer.body["code"]) == (413, "too_large")


@covers("server.user.get")
@covers("server.user.get", "not_found")
@covers("server.users.find")
async def test_users_are_looked_up(daemon: Daemon, backend: Backend) -> None:
    reader = await backend_of(daemon, "read")
    name, other = new_id(), new_id()
    user, second = await backend.user(name, name="Ann"), await backend.user(other)
    assert (await reader.done("GET", f"/users/{user}"))["user"]["name"] == "Ann"
    assert await reader.refused("GET", f"/users/{NOBODY}") == "not_found"
    body = {"users": [user, NOBODY], "external_ids": [other, new_id()]}
    found = await reader.done("POST", "/users/find", body)
    assert [one["id"] for one in found["items"]] == sorted([user, second])
    await backend.done("DELETE", f"/users/{user}")
    assert await reader.refused("GET", f"/users/{user}") == "not_found"
    many = {"external_ids": [new_id() for _ in range(201)]}
    assert await reader.refused("POST", "/users/find", many) == "bad_request"


@covers("server.user.token")
@covers("server.user.logout")
async def test_a_user_is_signed_in_and_logged_out(daemon: Daemon, backend: Backend) -> None:
    user = await backend.user(new_id(), name="Ann")
    tokens = await backend.done("POST", f"/users/{user}/tokens")
    assert tokens["user"] == user
    async with daemon.connected(
        Account(daemon.addresses.http, user, tokens["access_token"], tokens["refresh_token"])
    ) as ann:
        assert ann.hello["user"] == user
        renewed = await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
        assert renewed.body["user"] == user
        await backend.done("POST", f"/users/{user}/logout")
        assert (await ann.ended()).code == 4404
    for token in (tokens["access_token"], renewed.body["access_token"]):
        assert (await daemon.rest("GET", "/v1/conversations", token=token)).status == 401
    spent = await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": renewed.body["refresh_token"]})
    assert spent.status == 401


@covers("server.user.token", "not_found", "conflict")
@covers("server.user.logout", "not_found")
@covers("server.user.deactivate", "not_found")
@covers("server.user.reactivate", "not_found")
@covers("server.user.erase", "not_found")
async def test_acts_on_users_that_are_refused(backend: Backend) -> None:
    erased, inactive = await backend.user(new_id()), await backend.user(new_id())
    await backend.done("DELETE", f"/users/{erased}")
    await backend.done("POST", f"/users/{inactive}/deactivate")
    assert await backend.refused("POST", f"/users/{inactive}/tokens") == "conflict"
    for user in (NOBODY, SYSTEM, erased):
        for act in ("tokens", "deactivate", "reactivate"):
            assert await backend.refused("POST", f"/users/{user}/{act}") == "not_found", act
    for user in (NOBODY, SYSTEM):
        assert await backend.refused("POST", f"/users/{user}/logout") == "not_found"
        assert await backend.refused("DELETE", f"/users/{user}") == "not_found"


async def test_an_identity_provider_issues_its_own_tokens(config: Config, tmp_path_factory: Any) -> None:
    jwks = tmp_path_factory.mktemp("jwks") / "keys.json"
    key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "sig"}
    jwks.write_text(json.dumps({"keys": [key]}))
    tenants = {"acme": TenantSettings(algorithm="EdDSA", jwks=str(jwks))}
    async with running(config.using_named(TenantSettings, tenants)) as daemon:
        backend = await backend_of(daemon, tenant="acme")
        user = await backend.user(new_id())
        assert await backend.refused("POST", f"/users/{user}/tokens") == "forbidden"


@covers("server.user.deactivate")
@covers("server.user.reactivate")
async def test_a_deactivated_user_cannot_sign_in(daemon: Daemon, backend: Backend) -> None:
    async with daemon.person() as ann:
        async with daemon.person() as bob:
            conversation = (await ann.call("conversation.open", user=bob.user))["conversation"]["id"]
            await ann.send(conversation, "hello")
            done = await backend.done("POST", f"/users/{ann.user}/deactivate")
            assert done["user"]["deactivated_at"] is not None
            assert (await ann.ended()).code == 4404
            for token in (ann.account.access_token, daemon.token(ann.user)):
                answer = await daemon.rest("GET", "/v1/conversations", token=token)
                assert (answer.status, answer.body["message"]) == (401, "this user is deactivated")
            seen = await bob.call("message.history", conversation=conversation)
            assert [one["text"] for one in seen["items"]] == ["hello"]
        again = await backend.done("POST", f"/users/{ann.user}/deactivate")
        assert again["user"]["deactivated_at"] == done["user"]["deactivated_at"]
        assert (await backend.done("POST", f"/users/{ann.user}/reactivate"))["user"]["deactivated_at"] is None
        assert (await daemon.rest("GET", "/v1/conversations", token=daemon.token(ann.user))).status == 200
        assert (await daemon.rest("GET", "/v1/conversations", token=ann.account.access_token)).status == 401


@covers("server.user.erase")
async def test_a_user_is_erased(config: Config) -> None:
    often = altered(Job("erasure", partial(erase_next, tunables=ErasureTunables(settled_ms=0)), 0.1))
    async with running(config, often) as daemon, daemon.pair() as (alice, bob, conversation):
        backend = await backend_of(daemon)
        await alice.send(conversation, "a secret")
        assert (await backend.done("DELETE", f"/users/{alice.user}"))["started"] is True
        assert (await alice.ended()).code == 4404
        assert (await backend.done("DELETE", f"/users/{alice.user}"))["started"] is False

        async def texts() -> list[str]:
            seen = await bob.call("message.history", conversation=conversation)
            return [one["text"] for one in seen["items"]]

        assert await poll_until(texts, lambda found: found == [None]) == [None]


def download(url: str, backend: Backend) -> tuple[str, list[dict[str, Any]]]:
    """The type and the lines of a file."""
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {backend.token}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.headers["Content-Type"], [json.loads(line) for line in answer.read().splitlines()]


async def test_a_user_is_exported(daemon: Daemon, backend: Backend) -> None:
    reader, writer = await backend_of(daemon, "read"), await backend_of(daemon, "users:write")
    user = await backend.user(new_id(), name="Ann")
    kind, lines = await trio.to_thread.run_sync(
        download, f"{daemon.addresses.http}/v1/server/users/{user}/export", reader
    )
    assert kind == "application/x-ndjson"
    assert (lines[0]["type"], lines[0]["name"], lines[-1]["type"]) == ("profile", "Ann", "end")
    other = await backend_of(daemon, "read")
    assert await other.refused("GET", f"/users/{NOBODY}/export") == "not_found"
    assert await reader.refused("GET", "/users/me/export") == "bad_request"
    assert await writer.refused("GET", f"/users/{user}/export") == "forbidden"


@covers("server.ban")
@covers("server.bans")
@covers("server.ban.lift")
async def test_a_user_is_banned(daemon: Daemon, backend: Backend) -> None:
    async with daemon.person() as ann:
        banned = await backend.done("POST", f"/users/{ann.user}/bans", {"reason": "spam", "lasts": 3600})
        assert (await ann.ended()).code == 4403
        refused = await daemon.rest("GET", "/v1/conversations", token=daemon.token(ann.user))
        assert (refused.status, refused.body["details"]["until"]) == (403, banned["until"])
        listed = (await backend.done("GET", "/bans?limit=5"))["items"]
        assert [one["user"] for one in listed if one["id"] == banned["ban"]] == [ann.user]
        await backend.done("DELETE", f"/bans/{banned['ban']}")
        assert (await daemon.rest("GET", "/v1/conversations", token=daemon.token(ann.user))).status == 200


@covers("server.strike")
async def test_strikes_lead_to_a_ban(config: Config) -> None:
    async with running(config) as daemon, daemon.person() as ann:
        backend = await backend_of(daemon, "moderation")
        counts = []
        for _ in range(10):
            struck = await backend.done("POST", f"/users/{ann.user}/strikes", {"reason": "spam"})
            counts.append(struck["count"])
            if struck["ban"] is not None:
                break
        assert counts == list(range(1, len(counts) + 1))
        assert (await ann.ended()).code == 4403


@covers("server.ban", "not_found")
@covers("server.ban.lift", "not_found")
@covers("server.strike", "not_found")
async def test_moderation_of_unknown_users_is_refused(backend: Backend) -> None:
    for user in (NOBODY, SYSTEM):
        assert await backend.refused("POST", f"/users/{user}/bans", {"reason": "spam"}) == "not_found"
        assert await backend.refused("POST", f"/users/{user}/strikes", {"reason": "spam"}) == "not_found"
    assert await backend.refused("DELETE", f"/bans/{NOBODY}") == "not_found"


async def test_logins_of_a_user_are_limited(config: Config) -> None:
    limits = replace(config.get(AccountLimits), logins_per_user=2)
    async with running(config.using(limits)) as daemon:
        backend = await backend_of(daemon)
        user = await backend.user(new_id())
        tokens = [(await backend.done("POST", f"/users/{user}/tokens"))["access_token"] for _ in range(3)]
        assert [(await daemon.rest("GET", "/v1/conversations", token=one)).status for one in tokens] == [401, 200, 200]


async def test_equal_bulks_at_the_same_time_make_each_user_once(backend: Backend) -> None:
    """In opposite orders, which must not deadlock."""
    users = [{"external_id": new_id(), "name": f"user {number}"} for number in range(200)]
    results: list[list[dict[str, Any]]] = []

    async def put(order: list[dict[str, Any]]) -> None:
        results.append((await backend.done("POST", "/users/batch", {"users": order}))["items"])

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(put, users if number % 2 else users[::-1])
    outcomes = [one["outcome"] for items in results for one in items]
    assert (outcomes.count("created"), outcomes.count("unchanged")) == (200, 1000)


async def test_a_bulk_that_breaks_off_is_sent_again(daemon: Daemon, backend: Backend) -> None:
    """The client disconnects in the middle of the body, and before the answer: all of it was done, or nothing."""
    users = [{"external_id": new_id()} for _ in range(500)]
    body = json.dumps({"users": users}).encode()
    head = (
        "POST /v1/server/users/batch HTTP/1.1\r\nHost: chatd.test\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {backend.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
    for part in (body[: len(body) // 2], body):
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(head.encode() + part)
        items = (await backend.done("POST", "/users/batch", {"users": users}))["items"]
        assert len({one["outcome"] for one in items}) == 1
    assert {one["outcome"] for one in items} == {"unchanged"}

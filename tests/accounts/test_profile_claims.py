"""The claims of a token that are stored with the user."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from chatd.accounts.external_ids import user_id_of
from chatd.accounts.profile_claims import NO_HASHES, ClaimNames, find, new_profile, read_profile
from chatd.accounts.settings import AuthSettings
from chatd.accounts.signals import ProfileChanged
from chatd.accounts.subsystem import ACCOUNTS, open_accounts
from chatd.app.context import Node
from chatd.client import Account
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.support import Daemon, altered, running

NAMES = ClaimNames("name", "picture", "locale", "roles")
TEXTS = st.sampled_from(["Ann", "Ben", None, ""])
TOKENS = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS,
        "picture": st.sampled_from(["https://x.test/1", "https://x.test/2", None, 5]),
        "locale": st.sampled_from(["de", "pt-BR", "pt_BR", None]),
        "roles": st.sampled_from([["a"], ["b", "a"], ["a", "b"], [], None, "a"]),
    },
)
STEPS = st.lists(st.one_of(st.tuples(TOKENS, st.integers(0, 5)), st.sampled_from(["Ann", "Cid"])), max_size=12)


def expected_step(row: dict[str, Any], taken: dict[str, Any], token: dict[str, Any], issued_at: int) -> None:
    """What the rules say, claim by claim, with the values themselves."""
    if taken["issued_at"] is not None and issued_at < taken["issued_at"]:
        return
    new = {
        "name": token.get("name") or None,
        "picture_url": token.get("picture") if isinstance(token.get("picture"), str) else None,
        "locale": (token.get("locale") or "").replace("_", "-") or None,
        "roles": sorted(token.get("roles") or []),
    }
    changed = {
        name: value for name, value in new.items() if value != taken[name] and (value is not None or name == "roles")
    }
    if changed:
        listed = token.get("roles") or []
        values = changed | ({"roles": [listed] if isinstance(listed, str) else listed} if "roles" in changed else {})
        row.update(values)
        taken.update(changed, issued_at=issued_at)


@given(STEPS)
def test_claims_are_taken_when_they_differ_from_the_last_ones(steps: list[Any]) -> None:
    """A step is a token with its time, or a name that the user chooses in the app."""
    row: dict[str, Any] = {"name": None, "picture_url": None, "locale": None, "roles": []}
    expected, taken = dict(row), dict(row) | {"issued_at": None}
    hashes, at = None, None
    for step in steps:
        if isinstance(step, str):
            row["name"] = expected["name"] = step
            continue
        token, issued_at = step
        claims = read_profile(token, NAMES, None, issued_at)
        profile = new_profile(claims, None, hashes, at)
        if profile is not None:
            row |= {name: value for name, value in asdict(profile).items() if name in row and value is not None}
            row["roles"] = list(row["roles"])
            hashes, at = profile.claims, profile.claims_at
            assert new_profile(claims, None, hashes, at) is None
        expected_step(expected, taken, token, issued_at)
        assert row == expected


def test_tokens_without_claims_change_nothing() -> None:
    nothing = read_profile({}, NAMES, None, 5)
    assert nothing.hashes == NO_HASHES
    assert new_profile(nothing, None, None, None) is None
    assert new_profile(None, None, b"x" * len(NO_HASHES), None) is None


@pytest.mark.parametrize(
    ("claims", "path", "value"),
    [
        ({"a": {"b": 1}}, "a.b", 1), ({"a.b": 2, "a": {"b": 1}}, "a.b", 2), ({"a": {"b": 1}}, "a.c", None),
        ({"a": 5}, "a.b", None), ({"a": [1]}, "a.0", None), ({}, "a", None), ({"": 1}, "", None), ({"a": {"": 1}}, "a.", 1),
        ({"https://x.test/roles": ["a"]}, "https://x.test/roles", ["a"]), ({"a": None}, "a.b.c", None),
    ],
)  # fmt: skip
def test_a_path_leads_into_an_object(claims: dict[str, Any], path: str, value: Any) -> None:
    assert find(claims, path) == value


async def version(store: Postgres) -> Any:
    """Changes with each write of the row."""
    return await store.value("select xmin::text from users where external_id = 'ann'")


CLAIMS = {"name": "Ann", "picture": "https://x.test/ann.png", "locale": "de", "roles": ["admin"], "iat": 1_700_000_000}


@asynccontextmanager
async def noting(config: Config, changes: list[ProfileChanged]) -> AsyncIterator[Daemon]:
    """A daemon whose signals are noted."""

    async def note(signal: ProfileChanged) -> None:
        changes.append(signal)

    @asynccontextmanager
    async def opened(node: Node) -> AsyncIterator[None]:
        node.signals.on(ProfileChanged, note)
        async with open_accounts(node):
            yield

    async with running(config, altered(dataclasses.replace(ACCOUNTS, open=opened))) as daemon:
        yield daemon


async def test_a_sign_in_writes_only_what_has_changed(config: Config, store: Postgres) -> None:
    """Each way to sign in takes the claims; known ones cost no write, and a name that the user has chosen stays."""
    changes: list[ProfileChanged] = []
    async with noting(config, changes) as daemon:
        await check_sign_ins(daemon, store, changes)


async def check_sign_ins(daemon: Daemon, store: Postgres, changes: list[ProfileChanged]) -> None:
    user = user_id_of("default", "ann")

    async def connect(**claims: Any) -> None:
        async with daemon.connected(Account("", user, daemon.token("ann", **claims), "")):
            pass

    async def request(**claims: Any) -> None:
        answer = await daemon.rest("GET", "/v1/conversations", token=daemon.token("ann", **claims))
        assert answer.status == 200

    async def profile() -> tuple[Any, ...]:
        row = await store.one("select name, picture_url, locale, roles from users where external_id = 'ann'")
        return tuple(row or ())

    await connect(**CLAIMS)
    assert await profile() == ("Ann", "https://x.test/ann.png", "de", ["admin"])
    before = await version(store)
    await connect(**CLAIMS)
    await request(**CLAIMS)
    await request(name="Ann", iat=1_700_000_500, roles=["admin"])
    await request(**CLAIMS | {"name": "of an older token", "iat": 1_600_000_000})
    async with daemon.connected(Account("", user, daemon.token("ann", **CLAIMS), "")) as person:
        await person.call("auth.refresh", token=daemon.token("ann", **CLAIMS))
        assert (await version(store), changes) == (before, [])
        await person.call("auth.refresh", token=daemon.token("ann", **CLAIMS | {"name": "Anna"}))
        assert (await profile())[0] == "Anna"
    await store.run("update users set name = 'Annie' where external_id = 'ann'")
    await connect(**CLAIMS | {"name": "Anna", "locale": "en"})
    assert await profile() == ("Annie", "https://x.test/ann.png", "en", ["admin"])
    await request(name="Anna")
    assert await profile() == ("Annie", "https://x.test/ann.png", "en", [])
    assert changes == [ProfileChanged("default", user)] * 3


async def test_tokens_of_this_server_keep_the_roles_of_the_backend(daemon: Daemon, store: Postgres) -> None:
    person = daemon.token("ann", **CLAIMS)
    assert (await daemon.rest("GET", "/v1/conversations", token=person)).status == 200
    before = await version(store)
    own = daemon.token(user_id_of("default", "ann"), login="")
    assert (await daemon.rest("GET", "/v1/conversations", token=own)).status == 200
    assert await version(store) == before


async def test_simultaneous_first_sign_ins_are_one_user(daemon: Daemon, store: Postgres) -> None:
    async def connect() -> None:
        async with daemon.connected(Account("", "", daemon.token("ann", **CLAIMS), "")):
            pass

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(connect)
    rows = await store.all("select name, roles from users")
    assert [tuple(row) for row in rows] == [("Ann", ["admin"])]


async def test_tokens_of_this_server_meet_the_requirements_of_its_tenant(config: Config) -> None:
    strict = replace(
        config.get(AuthSettings), audience="chat web", audience_claim="azp", scope="openid", scope_claims=["scp"],
        subject_claim="uid", issuer="https://id.test",
    )  # fmt: skip
    async with running(config.using(strict)) as daemon, daemon.person() as person:
        assert await person.is_served()
        claims = {"iss": "https://id.test", "azp": "web", "scp": "openid", "uid": "ann"}
        assert (await daemon.rest("GET", "/v1/conversations", token=daemon.token("x", **claims))).status == 200
        for name in claims:
            wrong = {key: value for key, value in claims.items() if key != name}
            assert (await daemon.rest("GET", "/v1/conversations", token=daemon.token("x", **wrong))).status == 401

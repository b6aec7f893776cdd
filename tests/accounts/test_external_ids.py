"""Users with a subject that is not a UUID."""

import json
from typing import Any
from uuid import UUID, uuid5

import jwt
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio_websocket import open_websocket_url

from chatd.accounts.external_ids import NAMESPACE, external_id_of, user_id_of
from chatd.accounts.settings import TenantSettings
from chatd.client import Account
from chatd.core.config import Config
from chatd.core.ids import NIL, is_uuid
from chatd.db.postgres import Postgres
from tests.privacy.test_export import download
from tests.support import Daemon, running

SUBJECTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
UUID_TEXT = "01890A5D-ac96-774b-bcce-b302099a8057"


@given(SUBJECTS, SUBJECTS, st.sampled_from(["default", "acme"]))
def test_user_ids_are_a_function_of_tenant_and_subject(first: str, second: str, tenant: str) -> None:
    ids = [user_id_of(tenant, first), user_id_of(tenant, second), user_id_of("other", first)]
    assert all(is_uuid(id_) for id_ in ids)
    assert (ids[0] == ids[1]) == (first == second)
    assert ids[0] != ids[2]
    assert ids[0] == str(uuid5(uuid5(NAMESPACE, tenant), first))


def test_a_uuid_is_the_id_of_the_user_itself() -> None:
    assert user_id_of("default", UUID_TEXT) == UUID_TEXT.lower()
    assert external_id_of(UUID_TEXT) is None
    for other in (f"{{{UUID_TEXT}}}", f"urn:uuid:{UUID_TEXT}", UUID(UUID_TEXT).hex, f"{UUID_TEXT}\n"):
        assert user_id_of("default", other) != UUID_TEXT.lower()
        assert external_id_of(other) == other


@pytest.mark.parametrize("sub", ["", "a\0", "\ud800", "x" * 256, "é" * 128, NIL])
def test_what_cannot_be_a_subject(sub: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        user_id_of("default", sub)
    user_id_of("default", "x" * 255)


ALIKE = [
    "ann",
    "Ann",
    "\u0430nn",
    "\uff41nn",
    "ann ",
    "a\u0301nn",
    "\u00e1nn",
    "auth0|5f7c",
    "ann@example.org",
    "\u00e9" * 127,
]


def account(daemon: Daemon, sub: str, **claims: Any) -> Account:
    tenant = claims.get("tid", "default")
    return Account("", user_id_of(tenant, sub), daemon.token(sub, **claims), "")


async def test_users_of_a_backend_see_their_own_external_id(daemon: Daemon, store: Postgres) -> None:
    """Subjects that look alike are different users."""
    for sub in ALIKE:
        async with daemon.connected(account(daemon, sub)) as person:
            assert (person.hello.external_id, person.hello.user) == (sub, user_id_of("default", sub))
    rows = await store.all("select external_id, id::text from users")
    assert {row["external_id"]: row["id"] for row in rows} == {sub: user_id_of("default", sub) for sub in ALIKE}
    async with daemon.person() as other:
        assert "external_id" not in other.hello


async def test_users_of_a_backend_write_to_each_other(daemon: Daemon) -> None:
    ann, ben = account(daemon, "ann"), account(daemon, "ben")
    async with daemon.connected(ann) as one:
        assert (await one.refused("conversation.open", user=ben.user)).code == "not_found"
        async with daemon.connected(ben) as two:
            opened = await one.call("conversation.open", user=ben.user)
            await one.send(opened.conversation.id, "hello")
            assert (await two.event("message.new")).message.sender == ann.user


async def test_a_ticket_keeps_the_external_id(daemon: Daemon) -> None:
    ann = account(daemon, "ann")
    made = await daemon.rest("POST", "/v1/auth/ticket", {}, ann.access_token)
    address = f"{daemon.addresses.socket}?ticket={made.body['ticket']}"
    async with open_websocket_url(address, subprotocols=["chatd.v1.json"]) as socket:
        connected = json.loads(await socket.get_message())[1]
    assert (connected["external_id"], connected["user"]) == ("ann", ann.user)


@pytest.mark.parametrize("sub", ["", "a\0", "x" * 256, NIL, 5, None, ["ann"]])
async def test_other_subjects_are_refused(daemon: Daemon, store: Postgres, sub: Any) -> None:
    answer = await daemon.rest("GET", "/v1/conversations", token=daemon.token(sub))
    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
    assert "sub" in answer.body["message"]
    assert await store.value("select count(*) from users") == 0


async def test_the_same_subject_in_two_tenants_is_two_users(config: Config) -> None:
    secret = "fedcba9876543210fedcba9876543210"
    async with running(config.using_named(TenantSettings, {"acme": TenantSettings(secret=secret)})) as daemon:
        token = jwt.encode({"sub": "ann", "tid": "acme", "exp": 2**31}, secret, "HS256")
        there = Account("", user_id_of("acme", "ann"), token, "")
        async with daemon.connected(account(daemon, "ann")) as one, daemon.connected(there) as two:
            assert one.hello.user != two.hello.user == there.user


async def test_an_erasure_removes_the_external_id(daemon: Daemon, store: Postgres) -> None:
    """And the same subject cannot sign in again."""
    ann = account(daemon, "ann")
    _, _, lines = await trio.to_thread.run_sync(download, daemon, ann.access_token)
    assert json.loads(lines.splitlines()[0])["external_id"] == "ann"
    assert (await daemon.rest("POST", "/v1/me/erase", {"confirm": True}, ann.access_token)).status == 200
    assert await store.value("select count(*) from users where external_id is not null") == 0
    assert (await daemon.rest("GET", "/v1/conversations", token=daemon.token("ann"))).status == 401

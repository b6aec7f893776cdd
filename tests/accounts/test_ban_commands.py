"""Bans and the audit log over the admin API."""

import pytest
from msgspec.structs import replace

from chatd.accounts.settings import BanNotice
from chatd.client import Refused, sign_up
from chatd.core.config import Config
from tests.admins import NOBODY, acts, administered, daemon, db, done, order, refused, status_of
from tests.support import Daemon, covers, running

__all__ = ["daemon", "db"]
DAY = 86_400
DEVICE = "the-device-of-somebody"


@covers("admin.ban")
@covers("admin.ban.lift")
async def test_a_ban_closes_sockets_and_is_lifted(daemon: Daemon) -> None:
    async with daemon.person() as person, daemon.connected(person.account) as tablet, daemon.person() as other:
        ban = await done(daemon, "ban", user=person.user, reason="spam", lasts=DAY)
        assert [(await session.ended()).code for session in (person, tablet)] == [4403, 4403]
        answer = await daemon.rest("GET", "/v1/conversations", token=person.account.access_token)
        assert (answer.status, answer.body["details"]) == (403, {"until": ban["until"]})
        assert await other.is_served()
        await done(daemon, "ban.lift", ban=ban["ban"])
        assert await status_of(daemon, person) == 401, "the logins have ended"
        assert await status_of(daemon, other) == 200
        assert await acts(daemon) == [("ann", "ban.lift", ban["ban"]), ("ann", "ban.add", person.user)]


@covers("admin.ban", "not_found")
@covers("admin.ban.lift", "not_found")
async def test_unknown_users_and_bans_are_not_found(daemon: Daemon) -> None:
    assert await refused(daemon, "ban", user=NOBODY, reason="spam") == "not_found"
    assert await refused(daemon, "ban.lift", ban=NOBODY) == "not_found"
    for fields in (
        {},
        {"user": NOBODY, "address": "203.0.113.7"},
        {"address": "203.0.113.7", "devices": True},
        {"address": "10.0.0.0/7"},
        {"address": "nonsense"},
        {"user": NOBODY, "lasts": 0},
        {"user": "nonsense"},
    ):
        assert await refused(daemon, "ban", reason="spam", **fields) == "bad_request"
    assert await refused(daemon, "ban", user=NOBODY, reason="") == "bad_request"
    assert await acts(daemon) == []


@covers("admin.ban")
async def test_a_new_account_on_the_same_device_is_banned_too(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http, device=DEVICE)
    await done(daemon, "ban", user=account.user, reason="again", devices=True)
    with pytest.raises(Refused) as caught:
        await sign_up(daemon.addresses.http, device=DEVICE)
    assert caught.value.code == "banned"
    await sign_up(daemon.addresses.http, device=DEVICE + "-of-somebody-else")
    kinds = [(ban["kind"], ban["user"]) for ban in (await done(daemon, "bans"))["items"]]
    assert sorted(kinds, key=str) == [("device", None), ("user", account.user)]


@covers("admin.ban.lift")
async def test_lifting_a_ban_lifts_what_the_same_command_has_banned(daemon: Daemon) -> None:
    """The answer names the ban of the user only, so with it the devices are free, and other bans of them stay."""
    account = await sign_up(daemon.addresses.http, device=DEVICE)
    first = await done(daemon, "ban", user=account.user, reason="again", devices=True)
    await done(daemon, "ban.lift", ban=first["ban"])
    assert (await done(daemon, "bans"))["items"] == []
    assert (await sign_up(daemon.addresses.http, device=DEVICE)).user
    bans = [await done(daemon, "ban", user=account.user, reason=reason, devices=True) for reason in ("one", "other")]
    await done(daemon, "ban.lift", ban=bans[0]["ban"])
    left = [(ban["kind"], ban["reason"]) for ban in (await done(daemon, "bans"))["items"]]
    assert sorted(left) == [("device", "other"), ("user", "other")]
    with pytest.raises(Refused) as caught:
        await sign_up(daemon.addresses.http, device=DEVICE)
    assert caught.value.code == "banned"


@covers("admin.ban")
async def test_range_ban_applies_to_all_its_addresses(config: Config) -> None:
    """Rotating addresses of one /64. The address is never the only key: an existing account is refused only by a ban of
    its own.
    """
    gateway = replace(config.gateway, trusted_proxies=["127.0.0.1"])
    async with running(replace(administered(config), gateway=gateway)) as daemon:
        await done(daemon, "ban", address="2001:db8:1:2::/64", reason="flood")
        for host in ("1", "ffff", "dead:beef:1"):
            answer = await daemon.rest("POST", "/v1/auth/anonymous", {}, X_Forwarded_For=f"2001:db8:1:2::{host}")
            assert (answer.status, answer.body["code"]) == (403, "banned"), host
        answer = await daemon.rest("POST", "/v1/auth/anonymous", {}, X_Forwarded_For="2001:db8:1:3::1")
        assert answer.status == 200


@covers("admin.bans")
@covers("admin.audit")
async def test_bans_are_paged(daemon: Daemon) -> None:
    bans = [(await done(daemon, "ban", address=f"203.0.113.{number}", reason="x"))["ban"] for number in range(5)]
    await done(daemon, "ban.lift", ban=bans[0])
    for command, most in (("bans", 4), ("audit", 6)):
        found: list[str] = []
        while True:
            page = await done(daemon, command, limit=2, **({"before": found[-1]} if found else {}))
            found += [item["id"] for item in page["items"]]
            if not page["more"]:
                break
        assert (len(found), len(set(found))) == (most, most)
        assert found == sorted(found, reverse=True)
    assert len((await done(daemon, "bans", every=True))["items"]) == 5


@covers("admin.ban")
async def test_banned_user_gets_the_appeal_text(config: Config) -> None:
    notice = BanNotice(appeals="https://example.org/appeals", show_reason=True)
    async with running(administered(config).using(notice)) as daemon, daemon.person() as person:
        ban = await done(daemon, "ban", user=person.user, reason="spam", lasts=DAY)
        details = {"until": ban["until"], "reason": "spam", "appeals": "https://example.org/appeals"}
        await person.ended()
        answer = await daemon.rest("GET", "/v1/conversations", token=person.account.access_token)
        assert (answer.status, answer.body["details"]) == (403, details)
        host = daemon.addresses.socket.removeprefix("ws://").partition("/")[0]
        handshake = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec_WebSocket_Version": "13",
        }
        door = Daemon(daemon.config, replace_http(daemon, f"http://{host}"))
        answer = await door.rest("GET", daemon.config.gateway.path, token=person.account.access_token, **handshake)
        assert (answer.status, answer.body["code"]) == (403, "banned")
        assert {name: answer.body[name] for name in details} == details


def replace_http(daemon: Daemon, http: str):  # type: ignore[no-untyped-def]
    return type(daemon.addresses)(daemon.addresses.socket, http)


@covers("admin.ban")
async def test_longest_of_several_bans_is_reported(daemon: Daemon) -> None:
    async with daemon.person() as person:
        for lasts in ({"lasts": DAY}, {}, {"lasts": 60}):
            await done(daemon, "ban", user=person.user, reason="spam", **lasts)
        answer = await daemon.rest("GET", "/v1/conversations", token=person.account.access_token)
        assert answer.body["details"] == {"until": None}
        assert (await order(daemon, "bans")).body["more"] is False

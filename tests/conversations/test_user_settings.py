"""A user's own settings, and their delivery to the user's other devices."""

import pytest

from chatd.conversations.quiet_hours import Quiet, is_quiet
from tests.conversations.test_groups import group
from tests.support import Daemon, covers, shared

daemon = shared


@covers("conversation.settings")
@covers("conversation.settings", "not_found")
async def test_settings_reach_own_devices_only(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_), daemon.connected(alice.account) as tablet, daemon.person() as eve:
        cursor = (await alice.call("session.sync"))["cursor"]
        before = len(bob.log)
        given = {
            "muted_until": 2**53 - 1,
            "archived": True,
            "pinned": True,
            "draft": "I was about to",
            "notify": "mentions",
        }
        mine = (await alice.call("conversation.settings", conversation=id_, **given))["conversation"]["settings"]
        assert mine == {
            **mine,
            "muted_until": 2**53 - 1,
            "archived": True,
            "draft": "I was about to",
            "notify": "mentions",
        }
        assert (mine["pinned_at"] > 0, mine["draft_at"] > 0, mine["hidden"]) == (True, True, False)
        await tablet.event("session.behind")
        (state,) = (await tablet.call("session.sync", cursor=cursor))["conversations"]
        assert state["settings"] == mine
        off = {"muted_until": 0, "archived": False, "pinned": False, "draft": "", "notify": ""}
        none = (await alice.call("conversation.settings", conversation=id_, **off))["conversation"]["settings"]
        assert (none["muted_until"], none["archived"], none["pinned_at"], none["draft"], none["notify"]) == (
            None,
            False,
            None,
            None,
            None,
        )
        assert (await bob.call("conversation.get", conversation=id_)).conversation.settings["archived"] is False
        assert len(bob.log) == before + 1
        assert (await eve.refused("conversation.settings", conversation=id_, archived=True)).code == "not_found"
        assert (await alice.refused("conversation.settings", conversation=id_)).code == "bad_request"


async def test_hidden_conversation_returns_with_the_next_message(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        await bob.send(id_)
        await alice.call("conversation.settings", conversation=id_, hidden=True)
        assert (await alice.call("conversation.get", conversation=id_)).conversation.settings["hidden"] is True
        await bob.send(id_)
        assert (await alice.call("conversation.get", conversation=id_)).conversation.settings["hidden"] is False


@covers("user.settings")
async def test_user_settings_apply_to_all_conversations(daemon: Daemon) -> None:
    async with daemon.person() as alice, daemon.connected(alice.account) as tablet:
        cursor = (await alice.call("session.sync"))["cursor"]
        assert (await alice.call("session.sync", cursor=cursor))["own"] is False
        quiet = {"from": "22:00", "to": "07:30", "zone": "Europe/Berlin"}
        now = await alice.call("user.settings", notify="mentions", quiet=quiet, show_presence="contacts")
        assert (now["notify"], now["quiet"], now["show_presence"]) == ("mentions", quiet, "contacts")
        await tablet.event("session.behind")
        assert (await alice.call("session.sync", cursor=cursor))["own"] is True
        assert (await tablet.call("user.settings"))["quiet"] == quiet
        assert (await alice.call("user.settings", loud=True))["quiet"] is None
        for wrong in (
            {"from": "25:00", "to": "07:00", "zone": "UTC"},
            {"from": "22:00", "to": "07:00", "zone": "../etc"},
            {},
        ):
            assert (await alice.refused("user.settings", quiet=wrong)).code == "bad_request"


@pytest.mark.parametrize(
    ("start", "end", "zone", "hour", "expected"),
    [
        ("22:00", "07:00", "UTC", 23, True), ("22:00", "07:00", "UTC", 6, True), ("22:00", "07:00", "UTC", 7, False),
        ("22:00", "07:00", "Asia/Tokyo", 14, True), ("09:00", "17:00", "UTC", 12, True), ("09:00", "17:00", "UTC", 17, False),
        ("09:00", "09:00", "UTC", 9, False), ("09:00", "17:00", "Nowhere/At_all", 12, False),
    ],
)  # fmt: skip
def test_quiet_hours_follow_the_time_zone(start: str, end: str, zone: str, hour: int, expected: bool) -> None:
    assert is_quiet(Quiet(from_=start, to=end, zone=zone), hour * 3_600_000) is expected


@covers("unread.total")
async def test_unread_total_excludes_muted_and_archived_conversations(daemon: Daemon) -> None:
    async with group(daemon) as (one, (ann, ben, _)), daemon.person() as eve:
        two = (await eve.call("conversation.open", user=ben.user)).conversation.id
        for _ in range(3):
            await ann.send(one)
        await eve.send(two)
        assert (await ben.call("unread.total"))["total"] == {"unread": 4, "conversations": 2, "mentions": 0}
        await ben.call("conversation.settings", conversation=one, muted_until=2**53 - 1)
        assert (await ben.call("unread.total"))["total"] == {"unread": 1, "conversations": 1, "mentions": 0}
        await ben.call("receipt.read", conversation=two, seq=1)
        assert (await ben.call("unread.total"))["total"] == {"unread": 0, "conversations": 0, "mentions": 0}


@covers("user.settings.get")
async def test_settings_are_available_over_websocket_and_rest(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        set_ = await alice.call("user.settings", notify="mentions", show_presence="nobody")
        assert (set_["notify"], set_["show_presence"]) == ("mentions", "nobody")
        shown = await daemon.rest("GET", "/v1/me/settings", token=alice.account.access_token)
        assert (shown.status, shown.body["notify"]) == (200, "mentions")
        assert (await alice.call("user.settings.get"))["show_presence"] == "nobody"
        assert (await daemon.rest("GET", "/v1/me/settings")).status == 401

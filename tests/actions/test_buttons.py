"""Buttons of messages: who may send them, where they are shown, and edits."""

import json
from typing import Any
from uuid import uuid4

import trio

from chatd.conversations.settings import MessageSettings
from chatd.core.config import Config
from chatd.filters.settings import FilterSettings, HookSettings
from tests.actions.bots import button, code, group_with_bot, press, pressing
from tests.conversations.test_screening import SECRET
from tests.outside import Asked, answer, outside
from tests.server_api.backend import backend_of
from tests.server_api.test_users import download
from tests.support import Daemon, covers, poll_until, running, shared

daemon = shared
ROWS = [[button("yes", "Yes", style="primary"), {"label": "Shop", "kind": "url", "url": "https://shop.test/17"}],
        [{"label": "Help", "kind": "command", "command": "/help"}, {"label": "Code", "kind": "copy", "text": "17"}]]  # fmt: skip


async def shown(person: Any, place: dict[str, str]) -> Any:
    """The buttons as a user reads them, the same in the history and in a sync."""
    conversation = place["conversation"]
    history = (await person.call("message.history", conversation=conversation, limit=200))["items"]
    synced = (await person.call("conversation.sync", conversation=conversation, rev=0, limit=200))["messages"]
    found = [one for items in (history, synced) for one in items if one["id"] == place["message"]]
    assert [one.get("actions") for one in found] == [found[0].get("actions")] * 2
    return found[0].get("actions")


async def test_buttons_are_shown_wherever_messages_are(daemon: Daemon) -> None:
    async with group_with_bot(daemon, 1) as (id_, bot, (user,)):
        ack = await bot.send(id_, "choose wisely", actions=ROWS)
        again = await bot.call(
            "message.send", conversation=id_, client_id=ack.client_id, text="choose wisely", actions=ROWS
        )
        assert (again.message, again.duplicate) == (ack.message, True)
        place = {"conversation": id_, "message": ack.message}
        assert (await user.event("message.new"))["message"]["actions"] == ROWS
        assert await shown(user, place) == await shown(bot, place) == ROWS
        conversation = (await user.call("conversation.get", conversation=id_))["conversation"]
        assert conversation["last_message"]["actions"] == ROWS
        await user.call("message.star", **place)
        assert (await user.call("message.starred"))["items"][0]["message"]["actions"] == ROWS
        await user.call("message.pin", **place)
        assert (await user.call("message.pins", conversation=id_))["items"][0]["actions"] == ROWS
        reply = await bot.send(id_, "in a thread", thread=ack.message, actions=ROWS[:1])
        page = await user.call("thread.history", conversation=id_, thread=ack.message)
        assert [(one["id"], one["actions"]) for one in page["items"]] == [(reply.message, ROWS[:1])]
        (found,) = (await poll_until(lambda: user.call("message.search", query="wisely"), lambda page: page["items"]))[
            "items"
        ]
        assert found["message"]["actions"] == ROWS
        backend = await backend_of(daemon, "read")
        read = await backend.done("GET", f"/conversations/{id_}/messages")
        assert [one.get("actions") for one in read["items"] if one["id"] == ack.message] == [ROWS]
        at = f"{daemon.addresses.http}/v1/server/users/{bot.user}/export"
        _, lines = await trio.to_thread.run_sync(download, at, backend)
        sent = {line["id"]: line["actions"] for line in lines if line["type"] == "message"}
        assert sent == {ack.message: ROWS, reply.message: ROWS[:1]}
        await user.call("message.forward", conversation=id_, client_id="f", source=id_, message=ack.message)
        forwarded = (await user.call("message.history", conversation=id_, limit=1))["items"][0]
        assert (forwarded["text"], "forwarded" in forwarded, "actions" in forwarded) == ("choose wisely", True, False)


@covers("message.send", "forbidden", "too_large")
@covers("message.edit", "forbidden", "too_large")
async def test_only_bots_have_buttons(daemon: Daemon) -> None:
    async with pressing(daemon) as (bot, user, place):
        conversation = place["conversation"]
        fields = {"conversation": conversation, "client_id": "x", "text": "hi"}
        assert await code(user, "message.send", **fields, actions=ROWS) == "forbidden"
        mine = {"conversation": conversation, "message": (await user.send(conversation)).message}
        for actions in (ROWS, []):
            assert await code(user, "message.edit", **mine, text="new", actions=actions) == "forbidden"
            assert await code(user, "message.edit", **place, actions=actions) == "forbidden"
        for wrong in ([[{"label": "x"}]], [[button("a"), button("a")]], [[]], ROWS * 6):
            assert await code(bot, "message.send", **fields, actions=wrong) == "bad_request"
            assert await code(bot, "message.edit", **place, actions=wrong) == "bad_request"
        large = [[{"label": "x", "kind": "url", "url": f"https://a.test/{'x' * 2000}"}] * 5]
        assert await code(bot, "message.send", **fields, actions=large) == "too_large"
        assert await code(bot, "message.edit", **place, actions=large) == "too_large"
        assert await code(bot, "message.edit", **place) == "bad_request"
        assert await code(bot, "message.edit", **place, actions=[], mentions=[user.user]) == "bad_request"


@covers("message.edit")
async def test_bot_replaces_and_removes_buttons(daemon: Daemon) -> None:
    """Without the text it is no new version of the message."""
    async with pressing(daemon) as (bot, user, place):
        edited = (await bot.call("message.edit", **place, actions=ROWS))["message"]
        event = await user.event("message.update")
        assert (event["change"], event["by"], event["message"]["actions"]) == ("actions", bot.user, ROWS)
        assert (event["rev"], "edited_at" in event["message"], event["message"]["text"]) == (
            edited["rev"],
            False,
            "sure?",
        )
        await bot.call("message.edit", **place, text="done")
        assert (await user.event("message.update"))["message"]["actions"] == ROWS
        await bot.call("message.edit", **place, text="gone", actions=[])
        event = await user.event("message.update")
        assert (event["change"], "actions" in event["message"], event["message"]["text"]) == ("edit", False, "gone")
        assert await shown(user, place) is None
        versions = (await user.call("message.edits", **place))["items"]
        assert [one["text"] for one in versions] == ["sure?", "done"]


async def test_old_messages_lose_their_buttons(config: Config) -> None:
    """The window for edits is one for texts. Announcements and blocks are respected."""
    config = config.using(MessageSettings(edit_window=0.001))
    async with running(config) as daemon, group_with_bot(daemon, 1) as (id_, bot, (user,)):
        place = {"conversation": id_, "message": (await bot.send(id_, actions=ROWS)).message}
        await trio.sleep(0.01)
        assert await code(bot, "message.edit", **place, text="late") == "forbidden"
        await bot.call("message.edit", **place, actions=ROWS[:1])
        await user.call("conversation.edit", conversation=id_, announce=True)
        assert await code(bot, "message.edit", **place, actions=ROWS) == "forbidden"
        await bot.call("message.edit", **place, actions=[])
        assert await shown(user, place) is None


async def test_data_may_be_any_text(daemon: Daemon) -> None:
    """Also the names of what else a message may contain: no button mentions everybody, or puts it into a thread."""
    async with group_with_bot(daemon, 1) as (id_, bot, (user,)):
        odd = [[button(text) for text in ("everybody", '"everybody":true', '"thread":"x"', '"closes_at":1', "é\n'")]]
        place = {"conversation": id_, "message": (await bot.send(id_, actions=odd)).message}
        assert await shown(user, place) == odd
        for one in odd[0]:
            await press(user, place, one["data"])
            assert (await bot.event("action"))["data"] == one["data"]


async def test_a_tombstone_has_no_buttons(daemon: Daemon) -> None:
    async with pressing(daemon) as (bot, user, place):
        await bot.call("message.delete", **place)
        assert await shown(user, place) is None
        assert await code(bot, "message.edit", **place, actions=ROWS) == "conflict"


async def test_texts_of_buttons_pass_filters_and_hook(config: Config) -> None:
    asked: list[Any] = []

    async def allow(request: Asked) -> bytes:
        asked.append(request.json["actions"])
        return answer(json.dumps({"allow": True}).encode())

    async with outside(allow) as server:
        config = config.using(
            FilterSettings(words=["spam"], action="mask", links_denied=["evil.test"]),
            HookSettings(url=server.url, secret=SECRET, allow_private=True),
        )
        async with running(config) as daemon, pressing(daemon) as (bot, user, place):
            fields = {"conversation": place["conversation"], "client_id": "x", "text": "hi"}
            for wrong in (
                {"label": "x", "kind": "url", "url": "https://evil.test/a"},
                {"label": "x", "kind": "command", "command": "/spam"},
                button("a", "see evil.test"),
            ):
                assert await code(bot, "message.send", **fields, actions=[[wrong]]) == "forbidden"
                assert await code(bot, "message.edit", **place, actions=[[wrong]]) == "forbidden"
            masked = [[button("spam", "spam"), {"label": "c", "kind": "copy", "text": "spam"}]]
            await bot.call("message.edit", **place, actions=masked)
            (row,) = await shown(user, place)
            assert [(one["label"], one.get("data"), one.get("text")) for one in row] == [
                ("****", "spam", None),
                ("c", None, "****"),
            ]
            assert asked[-1] == [row]


@covers("server.message.send", "forbidden")
@covers("server.message.edit", "forbidden")
async def test_backend_posts_buttons_for_a_bot(daemon: Daemon) -> None:
    backend = await backend_of(daemon)
    async with pressing(daemon) as (bot, user, place):
        path = f"/conversations/{place['conversation']}/messages"
        body = {"client_id": str(uuid4()), "text": "choose", "actions": ROWS}
        for sender in ({}, {"sender": user.user}):
            assert await backend.refused("POST", path, {**body, **sender}) == "forbidden"
        sent = await backend.done("POST", path, {**body, "sender": bot.user})
        posted = {"conversation": place["conversation"], "message": sent["message"]}
        assert await shown(user, posted) == ROWS
        edited = await backend.done("PATCH", f"{path}/{sent['message']}", {"actions": ROWS[:1]})
        assert edited["message"]["actions"] == await shown(user, posted) == ROWS[:1]
        await press(user, posted)
        assert (await bot.event("action"))["message"] == sent["message"]
        mine = (await user.send(place["conversation"])).message
        assert await backend.refused("PATCH", f"{path}/{mine}", {"actions": []}) == "forbidden"
        assert await backend.refused("PATCH", f"{path}/{mine}", {}) == "bad_request"

"""The webhook of a bot: what it gets, signed and in order, and what it does not."""

from typing import Any

from chatd.core.config import Config
from tests.admins import done, refused
from tests.bots.world import WEATHER, Bots, bots_of
from tests.outside import Asked, answer, outside
from tests.server_api.backend import backend_of
from tests.support import NOBODY, covers, poll_until
from tests.webhooks.receiver import OK, Receiver, accept, receiving, sending

SECRET = "xylophone"


def short(event: dict[str, Any]) -> tuple[str, Any]:
    data = event["data"]
    return event["type"], data.get("text") or data.get("user")


async def test_a_bot_gets_what_concerns_it_by_its_webhook(config: Config) -> None:
    async with sending(config) as daemon, outside(accept) as server, receiving(daemon) as backend:
        bots = await bots_of(daemon)
        made = await bots.backend.done("POST", "/bots", {"handle": "weather", "webhook": server.url})
        assert made["webhook_secret"].startswith("whsec_")
        hook = Receiver(server, made["bot"]["webhook"]["endpoint"], made["webhook_secret"])
        bot = made["bot"]["id"]
        assert (await daemon.rest("PUT", "/v1/bot/commands", {"commands": [WEATHER]}, made["token"])).status == 200
        async with daemon.pair() as (alice, bob, _), bots.connected() as other:
            group = (await alice.call("conversation.create", members=[bob.user, other.user])).conversation.id
            await alice.send(group, f"{SECRET} before")
            await alice.call("member.add", conversation=group, users=[bot])
            await alice.send(group, f"{SECRET} one")
            ack = await alice.send(group, "/weather Porto")
            mine = await daemon.rest(
                "POST", f"/v1/conversations/{group}/messages", {"client_id": "1", "text": "rain"}, made["token"]
            )
            await bob.send(group, "thank you", reply_to=mine.body["message"])
            await other.send(group, "/weather Bots", mentions=[bot])
            await bob.send(group, f"{SECRET} two", mentions=[alice.user])
            # What was not sent when the bot is removed is not sent any more.
            await hook.wait(4, patience=60)
            await alice.call("member.remove", conversation=group, user=bot)
            await alice.send(group, f"{SECRET} three", mentions=[bot])
            events = await hook.wait(5, patience=60)
            assert [short(event) for event in events] == [
                ("bot.added", bot),
                ("bot.command", "/weather Porto"),
                ("message.created", "/weather Porto"),
                ("message.created", "thank you"),
                ("bot.removed", bot),
            ]
            assert events[1]["data"] == {
                **{"conversation": group, "message": ack["message"], "seq": ack["seq"], "sender": alice.user},
                **{"name": "weather", "args": {"city": "Porto"}, "text": "/weather Porto"},
                "created_at": ack["created_at"],
            }
            assert all(hook.verify(asked)["type"] for asked in hook.server.asked)
            assert SECRET not in str([asked.body for asked in hook.server.asked])
            # The backend gets everything, and nothing that is for bots only.
            await backend.wait(9, "message.created", patience=30)
            assert not backend.events("bot.command", "bot.added", "bot.removed")
        listed = {one["bot"]: one for one in (await done(daemon, "webhooks"))["items"]}
        assert listed[bot]["url"] == server.url
        await bots.backend.done("DELETE", f"/bots/{bot}")
        assert bot not in {one["bot"] for one in (await done(daemon, "webhooks"))["items"]}


async def test_a_message_that_is_withdrawn_before_it_is_sent(config: Config) -> None:
    """While the endpoint is down, an edit removes a mention, and a command is deleted."""
    is_down = False

    async def up_or_down(_: Asked) -> bytes:
        return answer(b"", status="503 Service Unavailable") if is_down else OK

    async with sending(config) as daemon, outside(up_or_down) as server:
        bots = await bots_of(daemon)
        made = await bots.backend.done("POST", "/bots", {"handle": "weather", "webhook": server.url})
        bot, endpoint = made["bot"]["id"], made["bot"]["webhook"]["endpoint"]
        assert (await daemon.rest("PUT", "/v1/bot/commands", {"commands": [WEATHER]}, made["token"])).status == 200
        hook = Receiver(server, endpoint, made["webhook_secret"])
        async with daemon.pair() as (alice, bob, _):
            group = (await alice.call("conversation.create", members=[bob.user, bot])).conversation.id
            await hook.wait(1, "bot.added", patience=30)

            is_down = True
            named = (await alice.send(group, f"{SECRET} one", mentions=[bot]))["message"]
            command = (await alice.send(group, "/weather Porto"))["message"]
            await poll_until(lambda: pending(bots, bot), lambda count: count >= 3)
            await alice.call("message.edit", conversation=group, message=named, text=f"{SECRET} two", mentions=[])
            await alice.call("message.delete", conversation=group, message=command)
            await alice.send(group, "the end", mentions=[bot])
            before, is_down = len(server.asked), False
            await poll_until(lambda: pending(bots, bot), lambda count: count == 0, patience=30)
            later = [(one["type"], one["data"].get("text")) for one in hook.events()[before:]]
            # An attempt that was under way when the endpoint came back may have the content from before.
            assert later[-1] == ("message.created", "the end")
            assert len(later) <= 2
            assert ("bot.command", "/weather Porto") not in later
            assert f"{SECRET} two" not in str(later)


async def pending(bots: Bots, bot: str) -> int:
    items = (await done(bots.daemon, "webhooks"))["items"]
    return int(next(one["pending"] for one in items if one["bot"] == bot))


@covers("admin.webhook.edit")
async def test_the_webhook_of_a_bot_is_changed_and_removed(config: Config) -> None:
    async with sending(config) as daemon, outside(accept) as server:
        bots = Bots(daemon, await backend_of(daemon))
        path = f"/bots/{(await bots.add(handle='weather')).user}"
        new = await bots.backend.done("PATCH", path, {"webhook": server.url})
        assert (new["webhook_secret"][:6], new["bot"]["webhook"]["url"]) == ("whsec_", server.url)
        same = await bots.backend.done("PATCH", path, {"webhook": f"{server.url}/2"})
        assert (same["webhook_secret"], same["bot"]["webhook"]["url"]) == (None, f"{server.url}/2")
        endpoint = same["bot"]["webhook"]["endpoint"]
        assert (await done(daemon, "webhook.edit", endpoint=endpoint, note="x"))["t"] == "ok"
        assert await refused(daemon, "webhook.edit", endpoint=endpoint, types=["*"]) == "bad_request"
        for wrong in ("ftp://example.org", "http://user:x@example.org/", "nonsense"):
            assert await bots.backend.refused("PATCH", path, {"webhook": wrong}) == "bad_request"
        gone = await bots.backend.done("PATCH", path, {"webhook": ""})
        assert gone["bot"]["webhook"] is None
        assert await bots.backend.refused("PATCH", f"/bots/{NOBODY}", {"webhook": ""}) == "not_found"

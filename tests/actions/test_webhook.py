"""Actions for a bot that has a webhook and no connection."""

from chatd.core.config import Config
from tests.actions.bots import button, press
from tests.bots.world import bots_of
from tests.outside import Asked, answer, outside
from tests.support import poll_until
from tests.webhooks.receiver import OK, Receiver, sending


async def test_an_action_is_taken_when_the_webhook_of_the_bot_has_accepted_it(config: Config) -> None:
    """Until then the bot would get it over a connection as well. Other bots get nothing."""
    is_open = False

    async def accept_later(asked: Asked) -> bytes:
        is_accepted = is_open or asked.json["type"] != "action.created"
        return OK if is_accepted else answer(b"", "503 Service Unavailable")

    async with sending(config) as daemon, outside(accept_later) as server, outside(accept_later) as elsewhere:
        bots = await bots_of(daemon)
        made = await bots.backend.done("POST", "/bots", {"handle": "waiter", "webhook": server.url})
        await bots.backend.done("POST", "/bots", {"handle": "cook", "webhook": elsewhere.url})
        hook = Receiver(server, made["bot"]["webhook"]["endpoint"], made["webhook_secret"])
        token = made["token"]

        async def pending() -> list[str]:
            listed = await daemon.rest("GET", "/v1/bot/actions", token=token)
            return [one["id"] for one in listed.body["items"]]

        async with daemon.person() as user:
            room = (await user.call("conversation.open", user=made["bot"]["id"])).conversation.id
            body = {"client_id": "b", "text": "dessert?", "actions": [[button("cake")]]}
            sent = await daemon.rest("POST", f"/v1/conversations/{room}/messages", body, token)
            place = {"conversation": room, "message": sent.body["message"]}
            ack = await press(user, place, "cake")
            (event,) = await hook.wait(1, "action.created")
            assert hook.verify(hook.server.asked[-1])
            assert event["data"] == {
                **{"action": ack.action, **place, "bot": made["bot"]["id"], "user": user.user},
                **{"data": "cake", "created_at": ack.at},
            }
            assert await pending() == [ack.action]
            is_open = True
            await poll_until(pending, lambda left: left == [])
            path = f"/v1/bot/actions/{ack.action}/answer"
            assert (await daemon.rest("POST", path, {"text": "coming"}, token)).status == 200
            assert (await user.event("action.answer"))["text"] == "coming"
        assert not [one for one in elsewhere.asked if one.json["type"] == "action.created"]

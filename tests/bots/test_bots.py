"""Bots from end to end: an account, a connection, a command, an answer."""

from chatd.core.ids import NIL
from tests.bots.world import WEATHER, bots_of, group_of
from tests.support import Daemon, covers, shared

daemon = shared


@covers("bot.commands.set")
async def test_a_bot_in_a_group_gets_its_commands_and_answers(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    async with daemon.pair() as (alice, bob, _), bots.connected(WEATHER) as bot:
        group = await group_of(alice, bob, bot)
        assert (await bot.event("conversation.update")).conversation.id == group
        await alice.send(group, "nobody but us")
        hidden = (await bot.event("message.new")).message
        assert (hidden["text"], hidden["sender"], hidden["concealed"]) == (None, NIL, True)
        ack = await alice.send(group, "/weather Porto")
        seen = (await bot.event("message.new")).message
        assert seen["text"] == "/weather Porto"
        assert seen["command"] == {"bot": bot.user, "name": "weather", "args": {"city": "Porto"}}
        event = await bot.event("bot.command")
        assert event == {
            **{"t": "bot.command", "conversation": group, "message": ack["message"], "seq": ack["seq"]},
            **{"sender": alice.user, "name": "weather", "args": {"city": "Porto"}, "text": "/weather Porto"},
            "created_at": ack["created_at"],
        }
        await bot.send(group, "It rains in Porto.")
        assert (await bob.event("message.new")).message["text"] == "nobody but us"
        history = (await bot.call("message.history", conversation=group))["items"]
        assert [one["text"] for one in history if "system" not in one] == [None, "/weather Porto", "It rains in Porto."]

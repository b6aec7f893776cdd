"""Where a bot acts: who adds it, where it may write, what it cannot be, and its pace."""

from typing import Any

from chatd.bots.settings import BotSettings
from chatd.client import Account
from chatd.conversations.settings import ConsentSettings, ConversationLimits
from chatd.core.config import Config
from tests.bots.world import WEATHER, bots_of, group_of
from tests.support import Daemon, Person, covers, running, shared

daemon = shared


@covers("conversation.open", "forbidden")
async def test_a_bot_does_not_write_first(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    async with daemon.pair() as (alice, bob, _), bots.connected() as bot, bots.connected() as other:
        for user in (alice.user, other.user):
            assert (await bot.refused("conversation.open", user=user)).code == "forbidden"
        assert (await bot.refused("conversation.create", members=[alice.user])).code == "forbidden"
        direct = (await alice.call("conversation.open", user=bot.user)).conversation.id
        assert (await bot.call("conversation.open", user=alice.user)).conversation.id == direct
        await bot.send(direct, "hello")
        assert (await alice.event("message.new"))["message"]["text"] == "hello"
        group = await group_of(alice, bot)
        await alice.call("member.role", conversation=group, user=bot.user, role="admin")
        assert (await bot.refused("member.add", conversation=group, users=[bob.user])).code == "forbidden"
        await alice.call("user.block", user=bot.user)
        assert (await bot.refused("message.send", conversation=direct, client_id="x", text="x")).code == "blocked"


@covers("member.add", "forbidden")
@covers("conversation.transfer", "forbidden")
async def test_who_adds_a_bot_and_what_it_cannot_be(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    async with daemon.people(3) as (alice, bob, carol), bots.connected() as bot:
        group = await group_of(alice, bob)
        add: dict[str, Any] = {"conversation": group, "users": [bot.user]}
        assert (await bob.refused("member.add", **add)).code == "forbidden"
        await alice.call("member.role", conversation=group, user=bob.user, role="moderator")
        added = (await bob.call("member.add", **add))["items"]
        assert [(one["user"], one["bot"]) for one in added] == [(bot.user, True)]
        assert (await bob.call("member.add", **add))["items"] == []
        assert (await bob.refused("member.add", conversation=group, users=[carol.user])).code == "forbidden"
        both = {"conversation": group, "users": [carol.user, (await bots.add()).user]}
        assert (await bob.refused("member.add", **both)).code == "forbidden"
        shown = {one["user"]: one.get("bot") for one in (await bob.call("member.list", conversation=group))["items"]}
        assert shown == {alice.user: None, bob.user: None, bot.user: True}
        assert (await alice.refused("conversation.transfer", conversation=group, user=bot.user)).code == "forbidden"
        path = f"/conversations/{group}/members/{bot.user}/role"
        assert await bots.backend.refused("PUT", path, {"role": "owner"}) == "forbidden"
        await alice.call("member.role", conversation=group, user=bot.user, role="admin")
        await alice.call("conversation.leave", conversation=group)
        roles = {one["user"]: one["role"] for one in (await bob.call("member.list", conversation=group))["items"]}
        assert roles == {bob.user: "owner", bot.user: "admin"}


async def test_a_bot_consents_to_what_people_are_asked_for(config: Config) -> None:
    async with running(config.using(ConsentSettings(default="nobody"))) as daemon:
        bots = await bots_of(daemon)
        async with daemon.person() as alice, bots.connected(WEATHER) as bot:
            direct = (await alice.call("conversation.open", user=bot.user)).conversation
            assert direct["requested"] is None
            made = await alice.call("conversation.create", members=[bot.user])
            assert "invited" not in made
            await alice.send(direct.id, "/weather Porto")
            assert (await bot.event("bot.command"))["conversation"] == direct.id


async def test_a_group_has_a_limited_number_of_bots(config: Config) -> None:
    async with running(config.using(ConversationLimits(bots_per_group=2))) as daemon:
        bots = await bots_of(daemon)
        several = [(await bots.add()).user for _ in range(3)]
        async with daemon.person() as alice:
            assert (await alice.refused("conversation.create", members=several)).code == "too_large"
            group = (await alice.call("conversation.create", members=several[:2])).conversation.id
            assert (await alice.refused("member.add", conversation=group, users=several[2:])).code == "too_large"
            await alice.call("member.remove", conversation=group, user=several[0])
            await alice.call("member.add", conversation=group, users=several[2:])
        assert await bots.backend.refused("POST", "/conversations", {"members": several}) == "too_large"


async def test_a_bot_in_a_match(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    async with daemon.people(2) as (alice, bob), bots.connected() as bot:
        assert (await bot.refused("match.find")).code == "forbidden"
        await alice.call("match.find")
        await bob.call("match.find")
        found = await alice.event("match.found")
        assert (
            await alice.refused("member.add", conversation=found["conversation"], users=[bot.user])
        ).code == "forbidden"
        await alice.call("match.leave")


async def paced(bot: Person, conversation: str, count: int) -> list[str]:
    """The refusals of so many messages."""
    codes = []
    for number in range(count):
        try:
            await bot.send(conversation, f"{number}")
        except Exception as refused:
            codes.append(str(getattr(refused, "code", refused)))
    return codes


async def test_the_pace_of_a_bot(config: Config) -> None:
    async with running(config.using(BotSettings(messages_per_minute=5))) as daemon:
        bots = await bots_of(daemon)
        async with daemon.person() as alice, bots.connected() as bot:
            first, second = await group_of(alice, bot), await group_of(alice, bot)
            assert set(await paced(bot, first, 8)) == {"rate_limited"}
            assert await paced(bot, second, 1) == []
    async with running(config.using(BotSettings(messages_per_second=3))) as daemon:
        bots = await bots_of(daemon)
        async with daemon.person() as alice, bots.connected() as bot:
            groups = [await group_of(alice, bot) for _ in range(2)]
            async with daemon.connected(Account("", bot.user, bot.account.access_token, "")) as again:
                refused = await paced(bot, groups[0], 20) + await paced(again, groups[1], 20)
            assert "rate_limited" in refused

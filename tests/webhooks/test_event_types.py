"""Each type of event, with its content; and what docs/webhooks.md says of them."""

from typing import Any

from msgspec import convert

from chatd.core.config import Config
from chatd.webhooks.event_types import EVENT_TYPES, TEST, TestData, expand, matches, unknown
from tests.actions.bots import button, press
from tests.admins import done
from tests.bots.world import bots_of
from tests.moderation.test_reports import report
from tests.reply import Reply
from tests.support import Daemon, Person
from tests.webhooks.receiver import Receiver, receiving, sending


async def press_button(daemon: Daemon, user: Person, group: str) -> tuple[dict[str, str], Reply]:
    """The user adds a bot to the group and presses its button."""
    async with (await bots_of(daemon)).connected() as bot:
        await user.call("member.add", conversation=group, users=[bot.user])
        asked = (await bot.send(group, "sure?", actions=[[button("yes")]])).message
        pressed = await press(user, {"conversation": group, "message": asked})
        return {"message": asked, "bot": bot.user}, pressed


async def use_everything(daemon: Daemon) -> dict[str, str]:
    """Cause an event of each type. Returns the ids."""
    async with daemon.person("alice") as alice, daemon.person("bob") as bob:
        ids = {"alice": alice.user, "bob": bob.user}
        group = (await alice.call("conversation.create", members=[bob.user], title="tea"))["conversation"]["id"]
        await alice.call("conversation.edit", conversation=group, title="coffee")
        await alice.call("member.role", conversation=group, user=bob.user, role="moderator")
        await react_read_and_vote(alice, bob, group)
        asked, pressed = await press_button(daemon, alice, group)
        sent = await bob.send(group, "one")
        await bob.call("message.edit", conversation=group, message=sent.message, text="two")
        await bob.call("message.delete", conversation=group, message=sent.message)
        await alice.call("member.remove", conversation=group, user=bob.user)
        direct = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        await alice.call("user.update", name="Alice the second")
        made = await report(alice, user=bob.user, reason="spam")
        await done(daemon, "report.resolve", report=made, outcome="dismissed")
        for person in (alice, bob):
            await person.call("match.find")
        found = await alice.event("match.found")
        await alice.call("match.leave")
        await done(daemon, "ban", user=bob.user, reason="spam")
        (ban,) = (await done(daemon, "bans"))["items"]
        await done(daemon, "ban.lift", ban=ban["id"])
        async with daemon.person("carol") as carol:
            await carol.call("me.erase", confirm=True)
            ids["carol"] = carol.user
        return ids | {
            "group": group,
            "direct": direct,
            "message": sent.message,
            "asked": asked["message"],
            "action": pressed["action"],
            "bot": asked["bot"],
            "report": made,
            "match": found["match"],
        }


async def react_read_and_vote(alice: Person, bob: Person, group: str) -> None:
    sent = await alice.send(group, "react")
    one = {"conversation": group, "message": sent.message}
    await bob.call("reaction.add", **one, emoji="👍")
    await bob.call("reaction.remove", **one, emoji="👍")
    await bob.call("receipt.read", conversation=group, seq=sent["seq"])
    poll = await alice.call("poll.create", conversation=group, client_id="poll", question="tea?", options=["yes", "no"])
    asked = {"conversation": group, "message": poll["message"]}
    await bob.call("poll.vote", **asked, options=[1])
    await alice.call("poll.close", **asked)


def by_type(receiver: Receiver, type_: str) -> list[dict[str, Any]]:
    return [event["data"] for event in receiver.events(type_)]


async def test_every_type_is_sent_with_content_of_its_form(config: Config) -> None:
    async with sending(config) as daemon, receiving(daemon) as receiver:
        ids = await use_everything(daemon)
        for type_ in EVENT_TYPES:
            await receiver.wait(1, type_)
        for event in receiver.events():
            kind = EVENT_TYPES[event["type"]].data if event["type"] != TEST else TestData
            convert(event["data"], kind)
            assert set(event["data"]) == set(kind.__struct_fields__)
        created = by_type(receiver, "conversation.created")
        assert {"group", "direct", "match"} == {data["kind"] for data in created}
        assert by_type(receiver, "conversation.updated")[0]["title"] == "coffee"
        removed = next(data for data in by_type(receiver, "member.removed") if data["conversation"] == ids["group"])
        assert (removed["user"], removed["actor"]) == (ids["bob"], ids["alice"])
        assert (await receiver.wait(1, "member.updated"))[0]["data"]["user"] == ids["bob"]
        assert by_type(receiver, "user.updated")[0]["user"] == ids["alice"]
        (reported,) = by_type(receiver, "report.created")
        assert (reported["report"], reported["reporter"], reported["user"]) == (ids["report"], ids["alice"], ids["bob"])
        assert by_type(receiver, "report.resolved")[0]["outcome"] == "dismissed"
        (matched,) = by_type(receiver, "match.created")
        assert (matched["match"], sorted(matched["users"])) == (ids["match"], sorted((ids["alice"], ids["bob"])))
        assert by_type(receiver, "user.erased") == [{"user": ids["carol"]}]
        (action,) = by_type(receiver, "action.created")
        assert (action["action"], action["message"], action["data"]) == (ids["action"], ids["asked"], "yes")
        assert (action["bot"], action["user"]) == (ids["bot"], ids["alice"])
        asked = next(data for data in by_type(receiver, "message.created") if data["message"] == ids["asked"])
        assert asked["actions"] == [[button("yes")]]
        # Of one conversation in the order of the changes.
        of_group = [event["type"] for event in receiver.events() if event["data"].get("conversation") == ids["group"]]
        order = [
            "conversation.created",
            "conversation.updated",
            "member.updated",
            "message.edited",
            "message.deleted",
            "member.removed",
        ]
        assert [type_ for type_ in of_group if type_ in order] == order


def test_filters_select_types_by_name_group_or_all() -> None:
    assert expand(["*"]) == set(EVENT_TYPES)
    assert expand(["match.*", "user.erased"]) == {"match.created", "match.ended", "user.erased"}
    assert matches("message.*", "message.created")
    assert not matches("message.*", "member.added")
    assert unknown(["message.created", "message.*", "*"]) == []
    assert unknown(["message", "x.*", TEST, "*.*", "message.created\n"]) == [
        "message",
        "x.*",
        TEST,
        "*.*",
        "message.created\n",
    ]

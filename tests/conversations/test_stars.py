"""Starred messages."""

import trio
from msgspec.structs import replace

from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from tests.support import NOBODY, Daemon, covers, running, shared

daemon = shared


@covers("message.star")
@covers("message.unstar")
@covers("message.starred")
async def test_star_is_private(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as tablet:
        messages = [(await alice.send(conversation, str(number))).message for number in range(4)]
        for message in messages[:3]:
            await bob.call("message.star", conversation=conversation, message=message)
        await tablet.event("session.behind")
        first = await tablet.call("message.starred", limit=2)
        rest = await tablet.call("message.starred", limit=2, cursor=first["cursor"])
        assert [item["message"]["text"] for item in first["items"] + rest["items"]] == ["2", "1", "0"]
        assert (rest["cursor"], first["items"][0]["conversation"]) == (None, conversation)
        history = (await bob.call("message.history", conversation=conversation))["items"]
        assert [item.get("starred_at", 0) > 0 for item in history] == [True, True, True, False]
        assert (await alice.call("message.starred"))["items"] == []
        await bob.call("message.unstar", conversation=conversation, message=messages[0])
        await alice.call("message.delete", conversation=conversation, message=messages[1])
        assert [item["message"]["text"] for item in (await bob.call("message.starred"))["items"]] == ["2"]


async def test_repeated_star_keeps_its_place_between_pages(daemon: Daemon) -> None:
    async with daemon.pair() as (_, bob, conversation):
        messages = [(await bob.send(conversation, str(number))).message for number in range(6)]
        for message in messages:
            await bob.call("message.star", conversation=conversation, message=message)
        page = await bob.call("message.starred", limit=2)
        found = list(page["items"])
        # One that was listed and one that was not; another one that was not listed goes.
        for message in (messages[5], messages[0]):
            await bob.call("message.star", conversation=conversation, message=message)
        await bob.call("message.unstar", conversation=conversation, message=messages[2])
        while page["cursor"]:
            page = await bob.call("message.starred", limit=2, cursor=page["cursor"])
            found += page["items"]
        assert [item["message"]["text"] for item in found] == ["5", "4", "3", "1", "0"]


@covers("message.star", "not_found")
@covers("message.unstar", "not_found")
async def test_invalid_stars_are_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as eve:
        message = (await alice.send(conversation)).message
        for command in ("message.star", "message.unstar"):
            assert (await eve.refused(command, conversation=conversation, message=message)).code == "not_found"
            assert (await bob.refused(command, conversation=conversation, message=NOBODY)).code == "not_found"
        for wrong in ("x", "1.2.3", f"1.{NOBODY}"):
            assert (await bob.refused("message.starred", cursor=wrong)).code == "bad_request"


@covers("message.star", "too_large")
async def test_stars_of_a_user_are_bounded(config: Config) -> None:
    async with (
        running(config.using(replace(config.get(ConversationLimits), stars_per_user=2))) as daemon,
        daemon.pair() as people,
    ):
        alice, bob, conversation = people
        sent = [(await bob.send(conversation, f"{number}")).message for number in range(5)]
        refused: list[str] = []

        async def star(message: str) -> None:
            answer = await daemon.rest(
                "PUT", f"/v1/conversations/{conversation}/messages/{message}/star", token=alice.account.access_token
            )
            if answer.status != 200:
                refused.append(answer.body["code"])

        async with trio.open_nursery() as nursery:
            for message in sent:
                nursery.start_soon(star, message)
        assert refused == ["too_large"] * 3
        starred = [item["message"]["id"] for item in (await alice.call("message.starred"))["items"]]
        assert len(starred) == 2
        await alice.call("message.star", conversation=conversation, message=starred[0])
        await alice.call("message.unstar", conversation=conversation, message=starred[0])
        await alice.call(
            "message.star", conversation=conversation, message=sent[0] if sent[0] != starred[1] else sent[1]
        )

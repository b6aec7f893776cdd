"""Pressed buttons: from the user to the bot, and the answer."""

from collections import Counter
from functools import partial
from typing import Any

import pytest
import trio

from chatd.actions import delivery
from chatd.actions.settings import ActionSettings
from chatd.app.jobs import Job
from chatd.client import Refused
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.actions.bots import button, code, group_with_bot, pending, press, pressing
from tests.cluster.test_two_nodes import nodes
from tests.privacy.test_erasure import ERASURE
from tests.privacy.test_export import exported
from tests.server_api.backend import backend_of
from tests.support import NOBODY, Daemon, Person, altered, covers, only_jobs, poll_until, running, shared

daemon = shared
JOBS = only_jobs(Job("actions again", delivery.send_again, 0.05), Job("actions sweep", delivery.sweep, 0.05))


def actions_of(bot: Person) -> Counter[str]:
    """The ids of the events that the bot has got."""
    return Counter(event["id"] for _, event in bot.log if event["t"] == "action")


@covers("message.action")
@covers("bot.notify")
@covers("bot.notify", "conflict")
@covers("bot.actions")
async def test_a_press_reaches_the_bot_and_its_answer_the_user(daemon: Daemon) -> None:
    async with pressing(daemon) as (bot, user, place), daemon.connected(bot.account) as other:
        ack = await press(user, place, "yes", "c1")
        event = await bot.event("action")
        expected = {"id": ack.action, **place, "user": user.user, "data": "yes", "at": ack.at}
        assert dict(event) == dict(await other.event("action")) == {"t": "action", **expected}
        assert (await bot.call("bot.actions"))["items"] == [expected]
        assert (ack.client_id, ack.duplicate) == ("c1", False)
        await bot.call("bot.notify", action=ack.action, text=" fine ", alert=True)
        answer = await user.event("action.answer")
        assert dict(answer) == {"t": "action.answer", "action": ack.action, **place, "text": " fine ", "alert": True}
        assert await pending(bot) == []
        assert await code(bot, "bot.notify", action=ack.action, text="again") == "conflict"
        await bot.is_served()
        assert not [one for _, one in bot.log if one["t"] == "action.answer"]


@covers("bot.ack")
@covers("bot.ack", "not_found")
@covers("bot.notify", "not_found")
async def test_bot_that_was_offline_gets_its_actions(daemon: Daemon) -> None:
    async with pressing(daemon) as (bot, user, place):
        await bot.connection.aclose()
        acks = [await press(user, place, data) for data in ("yes", "no", "yes")]
        async with daemon.connected(bot.account) as again:
            first = await again.call("bot.actions", limit=2)
            second = await again.call("bot.actions", limit=2, cursor=first["cursor"])
            found = [*first["items"], *second["items"]]
            assert [(one["id"], one["data"]) for one in found] == [
                (ack.action, data) for ack, data in zip(acks, ("yes", "no", "yes"), strict=True)
            ]
            assert second["cursor"] is None
            await again.call("bot.ack", actions=[acks[0].action, NOBODY])
            assert await pending(again) == [ack.action for ack in acks[1:]]
            for person in (again, user):
                assert await code(person, "bot.ack", actions=[NOBODY]) == "not_found"
            for command, fields in (
                ("bot.ack", {"actions": [acks[1].action]}),
                ("bot.notify", {"action": acks[1].action, "text": "x"}),
            ):
                assert await code(user, command, **fields) == "not_found"
            assert await pending(user) == []
            # It may answer what it has acknowledged.
            await again.call("bot.notify", action=acks[0].action, text="late")
            assert (await user.event("action.answer"))["action"] == acks[0].action


async def test_actions_are_sent_again_until_the_bot_takes_them(config: Config, store: Postgres) -> None:
    async with running(config, JOBS) as daemon, pressing(daemon) as (bot, user, place):
        acks = [await press(user, place) for _ in range(2)]
        await bot.call("bot.ack", actions=[acks[0].action])
        waits = []
        for times in range(2, 5):
            await store.run("update actions set due_at = 0 where due_at is not null")
            await poll_until(trio.lowlevel.checkpoint, lambda _, n=times: actions_of(bot)[acks[1].action] >= n)
            waits.append(await store.value("select due_at - now_ms() from actions where due_at is not null"))
        assert actions_of(bot) == {acks[0].action: 1, acks[1].action: 4}
        assert [round(wait / 10_000) for wait in waits] == [2, 4, 8]
        events = [event for _, event in bot.log if event["t"] == "action" and event["id"] == acks[1].action]
        assert all(event == events[0] for event in events)


async def test_double_press_on_two_nodes_is_one_action(config: Config, store: Postgres) -> None:
    async with nodes(config) as (one, two), pressing(one) as (bot, user, place), two.connected(user.account) as other:
        acks: list[Any] = []

        async def press_once(person: Person, client_id: str) -> None:
            acks.append(await press(person, place, "yes", client_id))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                for person in (user, other, user):
                    nursery.start_soon(press_once, person, f"c{number}")
        by_client_id = {ack.client_id: ack.action for ack in acks}
        assert {(ack.client_id, ack.action) for ack in acks} == set(by_client_id.items())
        assert Counter(ack.duplicate for ack in acks) == {False: 5, True: 10}
        assert await store.value("select count(*) from actions") == 5
        assert sorted(await pending(bot)) == sorted(by_client_id.values())
        await poll_until(trio.lowlevel.checkpoint, lambda _: len(actions_of(bot)) == 5)
        assert set(actions_of(bot).values()) == {1}
        # Other users and other messages have other client_ids.
        again = (await bot.send(place["conversation"], actions=[[button("yes")]])).message
        elsewhere = await press(user, {**place, "message": again}, "yes", "c0")
        assert elsewhere.action not in by_client_id.values()


async def test_a_press_during_an_edit_is_committed_or_refused(config: Config, store: Postgres) -> None:
    """A press that begins after the edit is refused, unless it was committed before."""
    config = config.using(ActionSettings(per_message_per_minute=1000, per_user_per_minute=1000))
    async with nodes(config) as (one, two), pressing(one) as (bot, user, place), two.connected(user.account) as other:
        outcomes: dict[str, str] = {}

        async def try_to_press(person: Person, data: str, client_id: str) -> None:
            try:
                outcomes[client_id] = (await press(person, place, data, client_id)).action
            except Refused as refused:
                outcomes[client_id] = refused.code

        for turn in range(6):
            data, next_data = f"d{turn}", f"d{turn + 1}"
            await bot.call("message.edit", **place, actions=[[button(data)]])
            async with trio.open_nursery() as nursery:
                for number in range(4):
                    for name, person in (("one", user), ("two", other)):
                        nursery.start_soon(try_to_press, person, data, f"{turn}-{name}-{number}")
                nursery.start_soon(partial(bot.call, "message.edit", **place, actions=[[button(next_data)]]))
            await try_to_press(user, data, f"{turn}-late")
            assert outcomes[f"{turn}-late"] == "conflict"
        committed = {row["client_id"]: row["id"] for row in await store.all("select client_id, id::text from actions")}
        assert committed == {name: found for name, found in outcomes.items() if found != "conflict"}
        # A committed press is never refused later.
        for client_id, action in list(committed.items())[:3]:
            assert (await press(user, place, "d0", client_id)).action == action
        assert sorted(await pending(bot)) == sorted(committed.values())


@covers("message.action", "not_found", "conflict", "blocked")
async def test_presses_that_are_refused(daemon: Daemon) -> None:
    async with (
        group_with_bot(daemon, 4, history="joined") as (id_, bot, (owner, user, gone, foe)),
        daemon.person() as eve,
    ):
        rows = [[button("yes"), {"label": "c", "kind": "copy", "text": "copied"}]]
        place = {"conversation": id_, "message": (await bot.send(id_, actions=rows)).message}
        plain = {**place, "message": (await bot.send(id_)).message}
        fields = {"action": "yes", "client_id": "c"}
        assert await code(eve, "message.action", **place, **fields) == "not_found"
        assert await code(user, "message.action", **{**place, "message": NOBODY}, **fields) == "not_found"
        assert await code(user, "message.action", **plain, **fields) == "conflict"
        for data in ("no", "copied", "YES"):
            assert await code(user, "message.action", **place, **{**fields, "action": data}) == "conflict"
        assert await code(user, "message.action", **place, **{**fields, "action": ""}) == "bad_request"
        await owner.call("member.remove", conversation=id_, user=gone.user)
        assert await code(gone, "message.action", **place, **fields) == "not_found"
        await foe.call("user.block", user=bot.user)
        assert await code(foe, "message.action", **place, **fields) == "blocked"
        await owner.call("member.add", conversation=id_, users=[eve.user])
        assert await code(eve, "message.action", **place, **fields) == "not_found"
        await press(user, place, "yes", "before")
        await bot.call("message.delete", **place)
        assert await code(user, "message.action", **place, **fields) == "conflict"
        # The first ack again.
        assert (await press(user, place, "yes", "before")).duplicate
        left = {**place, "message": (await bot.send(id_, actions=rows)).message}
        await bot.call("conversation.leave", conversation=id_)
        assert await code(user, "message.action", **left, **fields) == "conflict"


async def test_presses_in_a_direct_conversation_under_a_block(daemon: Daemon) -> None:
    async with pressing(daemon) as (bot, user, place):
        await user.call("user.block", user=bot.user)
        assert await code(user, "message.action", **place, action="yes", client_id="c") == "blocked"
        assert await code(bot, "message.edit", **place, actions=[]) == "blocked"
        await user.call("user.unblock", user=bot.user)
        await press(user, place)


@pytest.mark.parametrize("change", ["deactivated_at = 1", "erased_at = 1"])
async def test_bot_that_is_no_longer_active_gets_nothing(config: Config, store: Postgres, change: str) -> None:
    async with running(config, JOBS) as daemon, pressing(daemon) as (bot, user, place):
        await store.run(f"update users set {change} where id = $1", bot.user)
        assert await code(user, "message.action", **place, action="yes", client_id="c") == "conflict"
        assert await store.value("select count(*) from actions") == 0


async def test_presses_are_paced(config: Config) -> None:
    config = config.using(ActionSettings(per_user_per_minute=5, per_message_per_minute=3, pending_per_bot=7))
    async with running(config, JOBS) as daemon, group_with_bot(daemon, 2) as (id_, bot, (user, other)):
        places = [
            {"conversation": id_, "message": (await bot.send(id_, actions=[[button("yes")]])).message} for _ in range(2)
        ]
        acks = [await press(user, places[0], "yes", f"c{number}") for number in range(3)]
        refused = await user.refused("message.action", **places[0], action="yes", client_id="c3")
        assert (refused.code, 50 < (refused.retry_after or 0) <= 60) == ("rate_limited", True)
        assert (await press(user, places[0], "yes", "c2")).duplicate
        acks += [await press(user, places[1]) for _ in range(2)]
        assert await code(user, "message.action", **places[1], action="yes", client_id="c4") == "rate_limited"
        acks += [await press(other, places[0]) for _ in range(2)]
        refused = await other.refused("message.action", **places[1], action="yes", client_id="x")
        assert (refused.code, "unavailable" in refused.message) == ("rate_limited", True)
        assert await pending(bot) == [ack.action for ack in acks]
        await bot.call("bot.ack", actions=[acks[0].action])
        await press(other, places[1], "yes", "x")


async def test_answers_come_in_time(config: Config) -> None:
    config = config.using(ActionSettings(answer_within=0.01))
    async with running(config, JOBS) as daemon, pressing(daemon) as (bot, user, place):
        ack = await press(user, place)
        await trio.sleep(0.02)
        assert await code(bot, "bot.notify", action=ack.action, text="late") == "conflict"
        # It has taken it nevertheless.
        assert await pending(bot) == []


async def test_old_actions_are_deleted(config: Config, store: Postgres) -> None:
    async with running(config, JOBS) as daemon, pressing(daemon) as (bot, user, place):
        acks = [await press(user, place, "yes", f"c{number}") for number in range(3)]
        await bot.call("bot.ack", actions=[acks[0].action])
        await store.run("update actions set created_at = 0 where id = any($1)", [ack.action for ack in acks[:2]])
        await poll_until(lambda: store.value("select count(*) from actions"), lambda count: count == 1)
        assert await code(bot, "bot.notify", action=acks[0].action, text="x") == "not_found"
        metrics = (await daemon.rest("GET", "/metrics", Host="localhost")).body.decode()
        for outcome, number in (("pressed", 3), ("expired", 1), ("answered", 0), ("sent_again", 0)):
            assert f'chatd_actions_total{{outcome="{outcome}"}} {number}' in metrics, outcome
        assert not (await press(user, place, "yes", "c0")).duplicate


async def test_actions_over_rest(daemon: Daemon) -> None:
    async with pressing(daemon) as (bot, user, place):
        at = f"/v1/conversations/{place['conversation']}/messages/{place['message']}/actions"
        body = {"action": "yes", "client_id": "r"}
        ids = []
        for duplicate in (False, True):
            answer = await daemon.rest("POST", at, body, user.account.access_token)
            assert (answer.status, answer.body["duplicate"]) == (200, duplicate)
            ids.append(answer.body["action"])
        assert ids[0] == ids[1] == (await bot.event("action"))["id"]
        token = bot.account.access_token
        listed = await daemon.rest("GET", "/v1/bot/actions?limit=10", token=token)
        assert [one["id"] for one in listed.body["items"]] == ids[:1]
        answered = await daemon.rest("POST", f"/v1/bot/actions/{ids[0]}/answer", {"text": "fine"}, token)
        assert (answered.status, (await user.event("action.answer"))["text"]) == (200, "fine")
        assert (await daemon.rest("POST", "/v1/bot/actions/ack", {"actions": ids[:1]}, token)).status == 200
        other = {**body, "action": "maybe", "client_id": "s"}
        for token_of, status in ((user, 409), (bot, 403)):
            assert (await daemon.rest("POST", at, other, token_of.account.access_token)).status == status


async def test_export_and_erasure(config: Config, store: Postgres) -> None:
    """Those of the user as one who presses, and as a bot."""
    async with running(config, altered(ERASURE)) as daemon, group_with_bot(daemon, 2) as (id_, bot, (user, other)):
        place = {"conversation": id_, "message": (await bot.send(id_, actions=[[button("secret")]])).message}
        acks = [await press(person, place, "secret", "mine") for person in (user, other)]
        lines = [line for line in await exported(daemon, user) if line["type"] == "action"]
        assert lines == [
            {"type": "action", "id": acks[0].action, "bot": bot.user, **place, "client_id": "mine", "data": "secret",
             "created_at": acks[0].at}
        ]  # fmt: skip
        token = user.account.access_token
        await user.call("me.erase", confirm=True)
        await user.ended()
        at = f"/v1/conversations/{id_}/messages/{place['message']}/actions"
        refused = await daemon.rest("POST", at, {"action": "secret", "client_id": "new"}, token)
        assert refused.status == 401
        await poll_until(lambda: pending(bot), lambda left: left == [acks[1].action])
        await (await backend_of(daemon)).done("DELETE", f"/bots/{bot.user}")
        await poll_until(lambda: store.value("select count(*) from actions"), lambda count: count == 0)

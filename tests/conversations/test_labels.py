"""Labels: a user's own, on the user's own conversations."""

import trio

from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from tests.conversations.test_listing import groups, listed, settle
from tests.support import Daemon, Person, covers, running, shared

daemon = shared


async def labels(person: Person) -> dict[str, int]:
    return {one["label"]: one["conversations"] for one in (await person.call("label.list"))["items"]}


@covers("conversation.settings")
@covers("label.list")
async def test_labels_reach_own_devices_only_and_filter_the_list(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben), daemon.connected(ann.account) as tablet:
        one, two = await groups(ann, ben, 2)
        cursor = (await tablet.call("session.sync"))["cursor"]
        await settle(ann, one, labels=["work", "urgent", "work"])
        await settle(ann, two, labels=["work"])
        await tablet.event("session.behind")
        states = (await tablet.call("session.sync", cursor=cursor))["conversations"]
        assert {state["id"]: state["settings"]["labels"] for state in states} == {
            one: ["work", "urgent"],
            two: ["work"],
        }
        assert await labels(ann) == {"urgent": 1, "work": 2}
        assert set(await listed(ann, label="work")) == {one, two}
        assert await listed(ann, label="urgent") == [one]
        assert await listed(ann, label="nothing") == await listed(ben, label="work") == []
        assert await labels(ben) == {}
        await settle(ann, one, labels=[])
        assert "labels" not in (await ann.call("conversation.get", conversation=one)).conversation.settings
        assert await listed(ann, label="urgent") == []
        await settle(ann, two, muted_until=0)
        assert (await ann.call("conversation.get", conversation=two)).conversation.settings["labels"] == ["work"]


async def test_spellings_that_look_the_same_are_one_label(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, id_):
        await settle(alice, id_, labels=["  at\u2003work ", "at work"])
        assert await labels(alice) == {"at work": 1}
        assert await listed(alice, label=" at  work") == [id_]


@covers("label.rename")
@covers("label.rename", "not_found")
async def test_a_label_is_renamed_and_removed_everywhere(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben), daemon.connected(ann.account) as tablet:
        one, two = await groups(ann, ben, 2)
        await settle(ann, one, labels=["a", "b"])
        await settle(ann, two, labels=["a"])
        await settle(ben, one, labels=["a"])
        cursor = (await tablet.call("session.sync"))["cursor"]
        renamed = await ann.call("label.rename", label="a", to="b")
        assert renamed["items"] == [{"label": "b", "conversations": 2}]
        await tablet.event("session.behind")
        assert len((await tablet.call("session.sync", cursor=cursor))["conversations"]) == 2
        assert (await ann.refused("label.rename", label="a", to="c")).code == "not_found"
        assert (await ann.call("label.rename", label="b", to="c"))["items"] == [{"label": "c", "conversations": 2}]
        assert (await ann.call("label.rename", label="c", to=""))["items"] == []
        assert await labels(ben) == {"a": 1}


@covers("conversation.settings", "too_large")
async def test_too_many_labels_are_refused(config: Config) -> None:
    async with running(config.using(ConversationLimits(labels_per_user=3))) as daemon, daemon.people(2) as (ann, ben):
        one, two = await groups(ann, ben, 2)
        settings = "conversation.settings"
        assert (
            await ann.refused(settings, conversation=one, labels=[str(n) for n in range(1000)])
        ).code == "bad_request"
        assert (await ann.refused(settings, conversation=one, labels=["x" * 51])).code == "bad_request"
        assert (await ann.refused(settings, conversation=one, labels=["\u200b"])).code == "bad_request"
        refused = await ann.refused(settings, conversation=one, labels=["a", "b", "c", "d"], archived=True)
        assert refused.code == "too_large"
        assert (await ann.call("conversation.get", conversation=one)).conversation.settings["archived"] is False
        await settle(ann, one, labels=["a", "b", "c"])
        assert (await ann.refused(settings, conversation=two, labels=["d"])).code == "too_large"
        await settle(ann, two, labels=["a"])
        assert await labels(ann) == {"a": 2, "b": 1, "c": 1}


async def test_two_devices_cannot_exceed_the_limit_together(config: Config) -> None:
    async with running(config.using(ConversationLimits(labels_per_user=5))) as daemon, daemon.people(2) as (ann, ben):
        ids = await groups(ann, ben, 8)

        async def label(id_: str) -> None:
            answers.append(
                await daemon.rest(
                    "PATCH",
                    f"/v1/conversations/{id_}/settings",
                    {"labels": [id_]},
                    token=ann.account.access_token,
                )
            )

        answers = list[object]()
        async with trio.open_nursery() as nursery:
            for id_ in ids:
                nursery.start_soon(label, id_)
        assert len(answers) == 8
        assert len(await labels(ann)) == 5

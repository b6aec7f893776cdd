"""The limits of those who send requests, and of those who get them."""

from functools import partial
from uuid import uuid4

import trio

from chatd.client import Refused
from chatd.conversations.settings import ConsentSettings, ConversationLimits
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.consent.test_groups import reserve
from tests.consent.test_requests import requests
from tests.support import Daemon, Person, covers, running


def strict(config: Config, **settings: object) -> Config:
    return config.using(ConsentSettings(default="contacts", **settings))  # type: ignore[arg-type]


async def outcomes_of(command: str, calls: list[tuple[Person, dict[str, object]]]) -> list[str]:
    """The outcomes of calls at the same time, sorted."""
    outcomes: list[str] = []

    async def call(person: Person, fields: dict[str, object]) -> None:
        try:
            await person.call(command, **fields)
            outcomes.append("ok")
        except Refused as refused:
            outcomes.append(refused.code)

    async with trio.open_nursery() as nursery:
        for person, fields in calls:
            nursery.start_soon(call, person, fields)
    return sorted(outcomes)


async def test_requests_of_one_sender_are_limited(config: Config) -> None:
    async with running(strict(config, requests_per_day=2)) as daemon, daemon.people(4) as (ann, *others):
        calls = [(ann, {"user": one.user}) for one in others]
        assert await outcomes_of("conversation.open", calls) == ["ok", "ok", "rate_limited"]
        # Nothing is left of the refused one.
        assert len((await ann.call("conversation.list"))["items"]) == 2
        assert sorted([len(await requests(one)) for one in others]) == [0, 1, 1]
        refused = await ann.refused("conversation.create", members=[others[0].user])
        assert (refused.code, 86_000 < (refused.retry_after or 0) <= 86_400) == ("rate_limited", True)


async def test_a_group_of_strangers_is_refused_as_a_whole(config: Config, store: Postgres) -> None:
    async with running(strict(config)) as daemon, daemon.people(1) as (ann,):
        strangers = [str(uuid4()) for _ in range(500)]
        await store.run(
            "insert into users (tenant, id, created_at) select 'default', w.id, 1 from unnest($1::uuid[]) as w (id)",
            strangers,
        )
        assert (await ann.refused("conversation.create", members=strangers)).code == "rate_limited"
        assert (await ann.call("conversation.list"))["items"] == []
        assert await store.value("select count(*) from contact_requests") == 0
        id_ = (await ann.call("conversation.create", members=[])).conversation.id
        assert (await ann.refused("member.add", conversation=id_, users=strangers[:200])).code == "rate_limited"
        added = await ann.call("member.add", conversation=id_, users=strangers[:50])
        assert len(added["invited"]) == 50


@covers("conversation.open", "too_large")
@covers("member.add", "too_large")
async def test_requests_to_one_user_are_limited(config: Config) -> None:
    async with running(strict(config, pending_per_user=2)) as daemon, daemon.people(4) as (ben, *others):
        for one in others[:2]:
            await one.call("conversation.open", user=ben.user)
        assert (await others[2].refused("conversation.open", user=ben.user)).code == "too_large"
        id_ = (await others[2].call("conversation.create", members=[])).conversation.id
        assert (await others[2].refused("member.add", conversation=id_, users=[ben.user])).code == "too_large"
        await ben.call("request.decline", conversation=(await requests(ben))[0]["conversation"])
        await others[2].call("conversation.open", user=ben.user)


async def test_declined_requests_halve_the_limit_of_the_next_day(config: Config, store: Postgres) -> None:
    settings = strict(config, requests_per_day=4, declines_to_halve=2)
    async with running(settings) as daemon, daemon.people(8) as (ann, *others):
        for one in others[:4]:
            id_ = (await ann.call("conversation.open", user=one.user)).conversation.id
            await one.call("request.decline", conversation=id_)
        assert (await ann.refused("conversation.open", user=others[4].user)).code == "rate_limited"
        # On the next day: four declines, two of which halve it.
        await store.run("update request_senders set day_at = day_at - 86400000")
        await ann.call("conversation.open", user=others[4].user)
        assert (await ann.refused("conversation.open", user=others[5].user)).code == "rate_limited"
        # A week later half of the declines are forgotten.
        await store.run("update request_senders set day_at = 1, scored_at = scored_at - 7 * 86400000")
        for one in others[5:7]:
            await ann.call("conversation.open", user=one.user)
        assert await store.value("select allowed from request_senders where user_id = $1", ann.user) == 2


@covers("request.accept", "too_large")
async def test_a_user_in_too_many_conversations_accepts_none(config: Config) -> None:
    limited = strict(config).using(ConversationLimits(conversations_per_user=1))
    async with running(limited) as daemon, daemon.people(2) as (ann, ben):
        id_ = (await ann.call("conversation.open", user=ben.user)).conversation.id
        await ben.call("conversation.create", members=[])
        assert (await ben.refused("request.accept", conversation=id_)).code == "too_large"
        assert len(await requests(ben)) == 1


@covers("request.block", "too_large")
async def test_a_full_list_of_blocks(config: Config) -> None:
    limited = strict(config).using(ConversationLimits(blocks_per_user=1))
    async with running(limited) as daemon, daemon.people(3) as (ann, ben, eve):
        id_ = (await ann.call("conversation.open", user=ben.user)).conversation.id
        await ben.call("user.block", user=eve.user)
        assert (await ben.refused("request.block", conversation=id_)).code == "too_large"
        assert len(await requests(ben)) == 1


async def test_settings_have_the_default_of_the_server(config: Config) -> None:
    async with running(strict(config)) as daemon, daemon.people(2) as (ann, ben):
        names = ("allow_messages", "allow_groups", "allow_calls")
        settings = await ann.call("user.settings.get")
        assert [settings[name] for name in names] == ["contacts"] * 3
        await reserve(ben)
        await ben.call("user.settings", allow_messages="everybody")
        settings = await ben.call("user.settings.get")
        assert [settings[name] for name in names] == ["everybody", "contacts", "contacts"]
        assert (await ann.call("conversation.open", user=ben.user)).conversation["requested"] is None


async def test_a_choice_that_changes_in_between_does_not_answer_requests(config: Config) -> None:
    async with running(strict(config)) as daemon, daemon.people(2) as (ann, ben):
        id_ = (await ann.call("conversation.open", user=ben.user)).conversation.id
        await ben.call("user.settings", allow_messages="everybody")
        assert (await ann.call("conversation.open", user=ben.user)).conversation["requested"] == ben.user
        await ben.call("user.settings", allow_messages="nobody")
        await ben.call("request.accept", conversation=id_)
        assert (await ann.call("conversation.open", user=ben.user)).conversation["requested"] is None


async def test_choices_and_requests_at_the_same_time(config: Config) -> None:
    """Whatever the order of the two, the conversation waits for acceptance or has two members."""
    async with running(strict(config)) as daemon, daemon.people(2) as (ann, ben):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ben.call, "user.settings", allow_messages="everybody"))
            nursery.start_soon(partial(ann.call, "conversation.open", user=ben.user))
        view = (await ann.call("conversation.open", user=ben.user)).conversation
        assert (view["requested"], view["member_count"]) in [(ben.user, 1), (None, 2)]
        assert len(await requests(ben)) == (view["requested"] is not None)


async def test_a_request_and_a_block_at_the_same_time(config: Config) -> None:
    async with running(strict(config)) as daemon:
        assert [await race_of_block(daemon) for _ in range(5)] == [[]] * 5


async def race_of_block(daemon: Daemon) -> list[object]:
    """What Ben sees of a request that arrives while he blocks Ann."""
    async with daemon.people(2) as (ann, ben):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ben.call, "user.block", user=ann.user))
            nursery.start_soon(partial(ann.call, "conversation.open", user=ben.user))
        assert (await ann.call("conversation.open", user=ben.user)).conversation["requested"] == ben.user
        return list(await requests(ben))

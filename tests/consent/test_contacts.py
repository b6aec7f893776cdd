"""Contacts: the list, and what follows from it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chatd.app.context import Node, system_context
from chatd.app.subsystem import Subsystem
from chatd.conversations.consent_rules import Act, users_to_ask
from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from chatd.subsystems import SUBSYSTEMS
from tests.support import NOBODY, Daemon, Person, covers, running, shared

daemon = shared


async def listed(person: Person) -> list[str]:
    return [one["user"] for one in (await person.call("contact.list"))["items"]]


@covers("contact.add")
@covers("contact.remove")
@covers("contact.list")
async def test_contacts_are_added_and_removed(daemon: Daemon) -> None:
    async with daemon.people(3) as (ann, ben, eve), daemon.connected(ann.account) as phone:
        for user in (ben.user, eve.user, ben.user):
            await ann.call("contact.add", user=user)
        await phone.event("session.behind")
        assert await listed(ann) == sorted([ben.user, eve.user])
        page = await ann.call("contact.list", limit=1)
        rest = await ann.call("contact.list", limit=1, cursor=page["cursor"])
        assert ([*page["items"], *rest["items"]], rest["cursor"]) == ((await ann.call("contact.list"))["items"], None)
        await ann.call("contact.remove", user=ben.user)
        assert await listed(ann) == [eve.user]
        assert await listed(eve) == []


@covers("contact.add", "not_found", "too_large")
@covers("contact.remove", "not_found")
async def test_contacts_that_are_refused(config: Config) -> None:
    async with running(config.using(ConversationLimits(contacts_per_user=1))) as daemon, daemon.people(3) as people:
        ann, ben, eve = people
        assert (await ann.refused("contact.add", user=NOBODY)).code == "not_found"
        assert (await ann.refused("contact.add", user=ann.user)).code == "bad_request"
        assert (await ann.refused("contact.remove", user=ben.user)).code == "not_found"
        await ann.call("contact.add", user=ben.user)
        await ann.call("contact.add", user=ben.user)
        assert (await ann.refused("contact.add", user=eve.user)).code == "too_large"
        assert await listed(ann) == [ben.user]


async def test_contacts_need_no_request(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        await ben.call("user.settings", allow_messages="contacts", allow_groups="contacts")
        await ben.call("contact.add", user=ann.user)
        assert (await ann.call("conversation.open", user=ben.user)).conversation["requested"] is None
        made = await ann.call("conversation.create", members=[ben.user])
        assert "invited" not in made
        # Whom Ann may write to first may not write to Ann.
        assert await listed(ann) == []


async def test_users_who_started_a_conversation_or_replied_have_a_contact(daemon: Daemon) -> None:
    async with daemon.pair() as (ann, ben, id_):
        for person in (ann, ben):
            await person.call("user.settings", allow_groups="contacts")
        await ann.send(id_, "hello")
        # Ann has started it; Ben has not replied yet.
        assert "invited" not in await ben.call("conversation.create", members=[ann.user])
        assert (await ann.call("conversation.create", members=[ben.user]))["invited"] == [ben.user]
        await ben.send(id_, "hello too")
        assert "invited" not in await ann.call("conversation.create", members=[ben.user])


async def test_a_request_that_is_accepted_makes_a_contact(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        await ben.call("user.settings", allow_messages="contacts", allow_groups="contacts", show_presence="contacts")
        id_ = (await ann.call("conversation.open", user=ben.user)).conversation.id
        await ann.call("presence.watch", users=[ben.user])
        assert (await ann.call("presence.query", users=[ben.user]))["items"][0]["status"] == "offline"
        await ben.call("request.accept", conversation=id_)
        assert await listed(ben) == [ann.user]
        assert (await ann.event("presence.update"))["status"] == "online"
        assert "invited" not in await ann.call("conversation.create", members=[ben.user])


@pytest.mark.parametrize("act", Act)
async def test_each_choice_is_one_of_its_own(config: Config, act: Act) -> None:
    nodes: list[Node] = []

    @asynccontextmanager
    async def keep(node: Node) -> AsyncIterator[None]:
        nodes.append(node)
        yield

    subsystems = (*SUBSYSTEMS, Subsystem(name="probe", about="keeps the node", open=keep))
    async with running(config, subsystems) as daemon, daemon.people(2) as (ann, ben):
        ctx = system_context(nodes[0], "default", ann.user)

        async def is_asked() -> bool:
            return await users_to_ask(ctx, [ann.user, ben.user], act) == [ben.user]

        assert not await is_asked()
        for other in Act:
            await ben.call("user.settings", **{f"allow_{other.value}": "nobody" if other is act else "everybody"})
        await ben.call("contact.add", user=ann.user)
        assert await is_asked()
        await ben.call("user.settings", **{f"allow_{act.value}": "contacts"})
        assert not await is_asked()
        await ben.call("contact.remove", user=ann.user)
        assert await is_asked()

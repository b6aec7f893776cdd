"""Invite links, and requests to join."""

import trio

from chatd.client import Refused
from chatd.db.postgres import Postgres
from tests.conversations.test_groups import group, members
from tests.support import NOBODY, Daemon, Person, covers, shared

daemon = shared


async def link(person: Person, conversation: str, **fields: int) -> str:
    return str((await person.call("invite.create", conversation=conversation, **fields))["secret"])


@covers("invite.create")
@covers("invite.show")
@covers("conversation.join")
async def test_invite_link_lets_a_user_join(daemon: Daemon) -> None:
    async with group(daemon, joining="invite") as (id_, (ann, ben, _)), daemon.person() as eve:
        secret = await link(ann, id_)
        preview = await eve.call("invite.show", secret=secret)
        assert (preview["title"], preview["member_count"], preview["asks"]) == ("Us", 3, False)
        joined = await eve.call("conversation.join", secret=secret)
        assert (joined.conversation.id, joined["requested"], joined.conversation.role) == (id_, False, "member")
        assert (await ben.event("member.update"))["member"]["user"] == eve.user
        await eve.send(id_, "here I am")
        again = await eve.call("conversation.join", secret=secret)
        assert (again.conversation.id, len(await members(ann, id_))) == (id_, 4)


@covers("invite.create", "not_found")
@covers("invite.create", "forbidden")
@covers("invite.create", "conflict")
@covers("invite.show", "not_found")
@covers("conversation.join", "not_found")
@covers("invite.revoke")
@covers("invite.revoke", "not_found")
@covers("invite.revoke", "forbidden")
@covers("invite.list")
@covers("invite.list", "not_found")
@covers("invite.list", "forbidden")
async def test_invalid_invite_links_are_refused(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)), daemon.person() as eve:
        assert (await ann.refused("invite.create", conversation=id_)).code == "conflict"
        await ann.call("conversation.edit", conversation=id_, joining="invite")
        for command, more in (("invite.create", {}), ("invite.list", {}), ("invite.revoke", {"invite": NOBODY})):
            assert (await ben.refused(command, conversation=id_, **more)).code == "forbidden"
            assert (await eve.refused(command, conversation=id_, **more)).code == "not_found"
        spent = await link(ann, id_, uses=1)
        async with daemon.person() as sam:
            await sam.call("conversation.join", secret=spent)
        revoked = await link(ann, id_)
        listed = (await ann.call("invite.list", conversation=id_))["items"]
        assert (len(listed), listed[-1]["uses_left"], "secret" in listed[0]) == (2, 0, False)
        over = await link(ann, id_, expires_in=1)
        await ann.call("invite.revoke", conversation=id_, invite=listed[0]["id"])
        assert (await ann.refused("invite.revoke", conversation=id_, invite=listed[0]["id"])).code == "not_found"
        # Until the link with `expires_in=1` has expired.
        await trio.sleep(1.1)
        wrong = [await eve.refused("conversation.join", secret=s) for s in (spent, over, revoked, "ci_nothing-like-it")]
        assert len({(refused.code, refused.message) for refused in wrong}) == 1
        assert (await eve.refused("conversation.join", conversation=id_)).code == "not_found"
        for secret in (spent, over, revoked):
            assert (await eve.refused("invite.show", secret=secret)).code == "not_found"


DEAD = """
insert into invites (tenant, id, conversation, secret_hash, creator, created_at, expires_at)
select 'default', gen_random_uuid(), $1, decode(md5(n::text), 'hex'), $2, 8000000000000, 1 from generate_series(1, 100) as n
"""


async def test_expired_links_do_not_hide_a_valid_one(own_daemon: Daemon, db: Postgres) -> None:
    """Otherwise it could not be revoked, because only the list contains its id."""
    async with group(own_daemon, joining="invite") as (id_, (ann, *_)):
        invite = (await ann.call("invite.create", conversation=id_))["invite"]
        await db.run(DEAD, id_, ann.user)
        assert [one["id"] for one in (await ann.call("invite.list", conversation=id_))["items"]] == [invite]


async def test_single_use_link_admits_one_user(daemon: Daemon) -> None:
    async with group(daemon, joining="invite") as (id_, (ann, *_)), daemon.people(6) as crowd:
        secret = await link(ann, id_, uses=1)
        inside: list[str] = []

        async def follow(person: Person) -> None:
            try:
                await person.call("conversation.join", secret=secret)
                inside.append(person.user)
            except Refused as refused:
                assert refused.code == "not_found"

        async with trio.open_nursery() as nursery:
            for person in crowd:
                nursery.start_soon(follow, person)
        assert (len(inside), len(await members(ann, id_))) == (1, 4)


@covers("conversation.join", "forbidden")
async def test_removed_member_cannot_rejoin_by_a_link(daemon: Daemon) -> None:
    async with group(daemon, joining="open") as (id_, (ann, ben, eve)):
        await ann.call("member.remove", conversation=id_, user=ben.user)
        await eve.call("conversation.leave", conversation=id_)
        assert (await ben.refused("conversation.join", conversation=id_)).code == "forbidden"
        assert (await eve.call("conversation.join", conversation=id_)).conversation.id == id_
        await ann.call("member.add", conversation=id_, users=[ben.user])
        assert ben.user in await members(eve, id_)


@covers("join.list")
@covers("join.decide")
@covers("join.list", "not_found")
@covers("join.list", "forbidden")
@covers("join.decide", "not_found")
@covers("join.decide", "forbidden")
async def test_join_request_is_stored_and_approved(daemon: Daemon) -> None:
    async with group(daemon, joining="request") as (id_, (ann, ben, _)), daemon.people(2) as (eve, sam):
        secret = await link(ann, id_)
        for person in (eve, sam):
            asked = await person.call("conversation.join", secret=secret, text="please")
            assert (asked["conversation"], asked["requested"]) == (None, True)
        assert (await ann.event("join.requested"))["user"] == eve.user
        assert (await ben.refused("join.list", conversation=id_)).code == "forbidden"
        assert (await eve.refused("join.list", conversation=id_)).code == "not_found"
        asking = (await ann.call("join.list", conversation=id_))["items"]
        assert [(one["user"], one["text"]) for one in asking] == [(eve.user, "please"), (sam.user, "please")]
        decide = {"conversation": id_, "user": eve.user, "approve": True}
        assert (await ben.refused("join.decide", **decide)).code == "forbidden"
        await ann.call("join.decide", **decide)
        assert (await eve.event("conversation.update"))["conversation"]["id"] == id_
        await eve.send(id_, "thank you")
        await ann.call("join.decide", **{**decide, "user": sam.user, "approve": False})
        await sam.event("join.declined")
        assert (await ann.refused("join.decide", **decide)).code == "not_found"
        inside = await members(ann, id_)
        assert (eve.user in inside, sam.user in inside) == (True, False)

"""Forwarding, and mentions."""

import trio_asyncio

from chatd.core.config import PostgresSection
from chatd.db.postgres import open_postgres
from tests.conversations.test_groups import group
from tests.support import NOBODY, PATIENCE, Daemon, covers, shared

daemon = shared


@covers("message.forward")
async def test_forwarded_message_names_its_first_sender(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, eve)):
        first = await ann.send(id_, "have you heard?", attachments=[{"url": "https://x.test/a"}])
        direct = (await ben.call("conversation.open", user=eve.user)).conversation.id
        fields = {"conversation": direct, "source": id_, "message": first.message}
        acks = [await ben.call("message.forward", client_id="f1", **fields) for _ in range(2)]
        assert (acks[0]["seq"], acks[1]) == (1, {**acks[0], "duplicate": True})
        message = (await eve.event("message.new"))["message"]
        while message["seq"] == first.seq and message["sender"] == ann.user:
            message = (await eve.event("message.new"))["message"]
        assert (message["text"], message["sender"], message["attachments"]) == (
            "have you heard?", ben.user, [{"type": "link", "url": "https://x.test/a"}],
        )  # fmt: skip
        assert message["forwarded"] == {"sender": ann.user, "created_at": first.created_at}
        again = {"conversation": id_, "source": direct, "message": message["id"], "client_id": "f2"}
        await eve.call("message.forward", **again)
        (seen,) = (await ben.call("message.history", conversation=id_, after=1))["items"]
        assert (seen["sender"], seen["forwarded"]["sender"]) == (eve.user, ann.user)


@covers("message.forward", "not_found")
@covers("message.forward", "conflict")
@covers("message.forward", "blocked")
@covers("message.forward", "forbidden")
async def test_forwarding_is_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as eve:
        message = (await alice.send(conversation)).message
        to_eve = (await alice.call("conversation.open", user=eve.user)).conversation.id
        fields = {"conversation": to_eve, "source": conversation, "message": message, "client_id": "f"}
        assert (await eve.refused("message.forward", **fields)).code == "not_found"
        assert (await bob.refused("message.forward", **fields)).code == "not_found"
        assert (await alice.refused("message.forward", **{**fields, "message": NOBODY})).code == "not_found"
        await eve.call("user.block", user=alice.user)
        assert (await alice.refused("message.forward", **fields)).code == "blocked"
        quiet = (await bob.call("conversation.create", members=[alice.user])).conversation.id
        await bob.call("conversation.edit", conversation=quiet, announce=True)
        assert (await alice.refused("message.forward", **{**fields, "conversation": quiet})).code == "forbidden"
        await alice.call("message.delete", conversation=conversation, message=message)
        assert (await bob.refused("message.forward", **{**fields, "conversation": quiet})).code == "conflict"


async def test_mentions_are_sent_and_counted(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, eve)), daemon.person() as sam:
        await ann.send(id_, "@ben", mentions=[ben.user, ben.user, sam.user])
        event = (await ben.event("message.new"))["message"]
        assert event["mentions"] == [ben.user, sam.user]
        await ann.send(id_, "@all", everybody=True)
        assert (await ben.event("message.new"))["message"]["mentions_everybody"] is True
        await ann.send(id_, "nobody")
        counts = {person.user: await counters(person, id_) for person in (ann, ben, eve)}
        assert counts == {ann.user: (0, 0), ben.user: (3, 2), eve.user: (3, 1)}
        await ben.call("receipt.read", conversation=id_, seq=1)
        assert await counters(ben, id_) == (2, 1)
        history = (await eve.call("message.history", conversation=id_))["items"]
        assert [item.get("mentions_everybody", False) for item in history] == [False, True, False]
        refused = await ben.refused("message.send", conversation=id_, client_id="x", text="@all", everybody=True)
        assert refused.code == "forbidden"
        await ann.call("message.delete", conversation=id_, message=history[1]["id"])
        assert await counters(eve, id_) == (2, 0)


async def counters(person: object, conversation: str) -> tuple[int, int]:
    found = (await person.call("conversation.get", conversation=conversation)).conversation  # type: ignore[attr-defined]
    return found["unread"], found["mentions"]


async def test_file_of_another_user_cannot_be_attached(daemon: Daemon) -> None:
    async with (
        daemon.pair() as (alice, bob, conversation),
        trio_asyncio.open_loop(),
        open_postgres(daemon.config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        upload = "0190a3c4-7f00-7000-8000-00000000f11e"
        await db.run(
            "insert into uploads (tenant, id, owner, key, mime, size, sha256, created_at)"
            " values ('default', $1, $2, 'k', 'image/png', 1, '', 0)",
            upload, alice.user,
        )  # fmt: skip
        fields = {"conversation": conversation, "text": "look", "attachments": [{"upload": upload}]}
        assert (await bob.refused("message.send", client_id="x", **fields)).code == "not_found"
        for wrong in ({"upload": 1}, {"upload": "x"}):
            assert (
                await bob.refused("message.send", client_id="y", **{**fields, "attachments": [wrong]})
            ).code == "bad_request"
        sent = await alice.call("message.send", client_id="z", **fields)
        assert (
            await db.value("select count(*) from upload_uses where upload = $1 and seq = $2", upload, sent["seq"]) == 1
        )
        await bob.call("message.send", client_id="x2", **fields)
        await alice.call("message.delete", conversation=conversation, message=sent["message"])
        assert await db.value("select count(*) from upload_uses where upload = $1", upload) == 1

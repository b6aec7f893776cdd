"""A group of ten thousand members, a few of whom are connected."""

from typing import Any

import pytest
from msgspec.structs import replace

from chatd.conversations.settings import MessageSettings
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres
from tests.support import Daemon, Person, running

MANY = 10_000
NOBODIES = """
insert into users (tenant, id, name, created_at)
select 'default', ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'n' || n, 0
from generate_series(1, $1::int) as n"""


def nobody(number: int) -> str:
    """The id of a user that NOBODIES creates."""
    return f"00000000-0000-7000-8000-{number:012}"


async def group_of(daemon: Daemon, db: Postgres, people: list[Person], count: int) -> dict[str, str]:
    """A group of this size that contains these users; the first one is the creator."""
    await db.run(NOBODIES, count)
    others = [person.user for person in people[1:]]
    members = [*others, *(nobody(number) for number in range(1, count - len(others)))]
    answer = await daemon.rest(
        "POST", "/v1/conversations", {"members": members, "title": "all"}, people[0].account.access_token
    )
    assert answer.status == 200, answer.body
    return {"conversation": answer.body["conversation"]["id"]}


@pytest.fixture
def roomy(config: Config) -> Config:
    """A configuration in which ten thousand ids fit into one request."""
    return replace(config, http=replace(config.http, max_body_bytes=2**20))


async def test_group_with_ten_thousand_members_works(roomy: Config, db: Postgres) -> None:
    async with running(roomy) as daemon, daemon.people(3) as (ann, ben, cat), daemon.connected(ben.account) as tablet:
        here = await group_of(daemon, db, [ann, ben, cat], MANY)
        for person in (ben, tablet, cat):
            assert (await person.event("conversation.update"))["conversation"]["member_count"] == MANY
        messages = [await ann.send(here["conversation"], str(number)) for number in range(3)]
        for person in (ben, tablet, cat):
            assert [(await person.event("message.new"))["rev"] for _ in messages] == [one["rev"] for one in messages]
        # A receipt is nobody's matter but the reader's: it takes no rev, so that the next message shows no gap.
        await cat.call("receipt.delivered", **here, seq=2)
        await ben.call("receipt.read", **here, seq=2)
        mine = (await tablet.event("conversation.update"))["conversation"]
        assert (mine["read_seq"], mine["unread"], mine["rev"]) == (2, 1, messages[-1]["rev"])
        assert (await cat.send(here["conversation"]))["rev"] == messages[-1]["rev"] + 1
        assert (await ann.event("message.new"))["message"]["seq"] == 4
        assert not ann.events
        receipts = await ann.call("message.receipts", **here, message=messages[1]["message"], limit=200)
        assert receipts["counts"] == {"members": MANY - 1, "read": 1, "delivered": 1}
        assert [member["user"] for member in receipts["read"]] == [ben.user]
        assert [member["user"] for member in receipts["delivered"]] == [cat.user]
        state = (await ben.call("session.sync"))["conversations"]
        assert [(one["id"], one["unread"]) for one in state] == [(here["conversation"], 2)]


async def test_offline_device_gets_read_position_of_a_large_group(config: Config, db: Postgres) -> None:
    async with (
        running(config.using(replace(config.get(MessageSettings), receipts_up_to=2))) as daemon,
        daemon.people(3) as (ann, ben, cat),
    ):
        made = await ann.call("conversation.create", members=[ben.user, cat.user], title="us")
        here = {"conversation": made["conversation"]["id"]}
        await ann.send(here["conversation"])
        cursor = (await ben.call("session.sync"))["cursor"]
        others = (await cat.call("session.sync"))["cursor"]
        await ben.call("receipt.read", **here, seq=1)
        state = await ben.call("session.sync", cursor=cursor)
        assert [(one["read_seq"], one["unread"]) for one in state["conversations"]] == [(1, 0)]
        assert not (await cat.call("session.sync", cursor=others))["conversations"]
        await cat.is_served()
        assert "message.read" not in [event["t"] for event in cat.events]


async def test_sending_and_reading_access_only_the_own_member_row(db: Postgres) -> None:
    """The member rows that the two statements of the message log read, in a group of ten thousand."""
    await db.run(NOBODIES, MANY)
    group = uuid7(0)
    members = [nobody(number) for number in range(1, MANY + 1)]
    await db.run(
        queries.load("conversations/conversations").create_group, "default", group, "all", members[0], members, 0
    )
    await db.run("analyze")
    message_log = queries.load("conversations/log")
    message = ["default"], [group], [members[5]], ["c"], [uuid7(1)], ["hello"], None, None, None, None, 0

    async def touched(connection: Any, sql: str, *args: Any) -> int:
        before = await connection.fetchval(TOUCHED)
        outcome = await connection.fetchrow(sql, *args)
        assert outcome["outcome"] in ("new", "own")
        return int(await connection.fetchval(TOUCHED) - before)

    async def work(connection: Any) -> list[int]:
        async with connection.transaction():
            return [
                await touched(connection, message_log.append_messages, *message),
                await touched(
                    connection, message_log.advance_receipts, ["default"], [group], [members[7]], [1], [1], [500]
                ),
            ]

    assert all(0 < count < 20 for count in await db.run_on_connection(work))


TOUCHED = "select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables where relname = 'members'"


async def test_many_members_are_added_at_once(daemon: Daemon, db: Postgres) -> None:
    await db.run(NOBODIES, 300)
    async with daemon.people(3) as (ann, ben, eve):
        made = await ann.call("conversation.create", members=[ben.user], title="us")
        here = {"conversation": made["conversation"]["id"]}
        message = await ann.send(here["conversation"])
        many = [eve.user, *(nobody(number) for number in range(1, 200))]
        added = await ann.call("member.add", **here, users=many)
        assert {member["user"] for member in added["items"]} == set(many)
        assert [member["rev"] for member in added["items"]] == list(range(message["rev"] + 1, message["rev"] + 201))
        new = (await eve.event("conversation.update"))["conversation"]
        assert (new["joined_seq"], new["joined_rev"], "members" in new) == (message["seq"], message["rev"], False)
        assert [(await eve.event("member.update"))["rev"] for _ in many] == [member["rev"] for member in added["items"]]
        assert (await eve.event("message.new"))["message"]["system"]["count"] == 200
        assert (
            await ann.refused("member.add", **here, users=[nobody(number) for number in range(1, 202)])
        ).code == "bad_request"


@pytest.mark.parametrize("reads", [{"seq": 1}, {"seq": 3}])
async def test_first_receipt_after_a_group_shrinks_reports_earlier_reads(config: Config, reads: dict[str, int]) -> None:
    """Positions that moved while the group was too large for receipts; `member.list` has the expected positions."""
    few = config.using(replace(config.get(MessageSettings), receipts_up_to=3))
    async with running(few) as daemon, daemon.people(4) as (ann, ben, cat, dan):
        made = await ann.call("conversation.create", members=[ben.user, cat.user], title="us")
        here = {"conversation": made["conversation"]["id"]}
        for _ in range(4):
            await ann.send(here["conversation"])
        await ben.call("receipt.delivered", **here, seq=1)
        assert (await ann.event("message.delivered"))["seq"] == 1
        await ann.call("member.add", **here, users=[dan.user])
        # Too large: ben reads, cat only receives.
        await ben.call("receipt.read", **here, **reads)
        await cat.call("receipt.delivered", **here, seq=2)
        await dan.call("conversation.leave", **here)
        await ben.call("receipt.delivered", **here, seq=4)
        received = await ann.event("message.read")
        assert (received["user"], received["seq"], received["delivered"], received["unread"]) == (
            ben.user,
            reads["seq"],
            4,
            4 - reads["seq"],
        )
        await cat.call("receipt.delivered", **here, seq=3)
        assert (await ann.event("message.delivered"))["seq"] == 3
        await cat.call("receipt.read", **here, seq=3)
        assert (await ann.event("message.read"))["seq"] == 3
        await cat.call("receipt.delivered", **here, seq=4)
        assert (await ann.event("message.delivered"))["seq"] == 4
        members = {one["user"]: one for one in (await ann.call("member.list", **here))["items"]}
        assert (members[ben.user]["read_seq"], members[ben.user]["delivered_seq"]) == (reads["seq"], 4)
        assert (members[cat.user]["read_seq"], members[cat.user]["delivered_seq"]) == (3, 4)
        assert "message.read" not in [event["t"] for event in ann.events]

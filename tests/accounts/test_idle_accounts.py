"""Unused accounts without data are removed, and all others stay; unusable invite links are removed."""

from chatd.accounts import idle_accounts
from chatd.client import sign_up
from chatd.core.clock import now_ms
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.pool import MAX_SAMPLED_QUEUES, Pool
from tests.support import Daemon, Person

EXPIRE = "update refresh_tokens set expires_at = 1"


async def users_of(store: Postgres) -> set[str]:
    return {row["id"] for row in await store.all("select id::text from users")}


async def test_only_accounts_without_data_are_removed(daemon: Daemon, store: Postgres) -> None:
    async with daemon.people(4) as (writer, other, _, watcher):
        await writer.call("message.send", conversation=await group_of(writer), client_id="x", text="hello")
        await other.call("conversation.open", user=writer.user)
    renewable, _, late = [await sign_up(daemon.addresses.http, name="x") for _ in range(3)]
    await store.run(f"{EXPIRE} where login in (select id from logins where user_id <> $1)", renewable.user)
    await store.run("update users set created_at = 5 where id <> $1", late.user)
    await store.run(
        "insert into strikes (tenant, id, user_id, reason, actor, created_at) values ('default', $1, $2, 'x', 'x', 0)",
        uuid7(1), watcher.user,
    )  # fmt: skip
    await idle_accounts.remove_accounts(store, now_ms() - 60_000)
    assert await users_of(store) == {writer.user, other.user, watcher.user, renewable.user, late.user}


async def group_of(person: Person) -> str:
    return str((await person.call("conversation.create", members=[]))["conversation"]["id"])


async def test_unusable_invite_links_are_removed(daemon: Daemon, store: Postgres) -> None:
    async with daemon.person("alice") as alice, daemon.person("bob") as bob:
        group = await group_of(alice)
        await alice.call("conversation.edit", conversation=group, joining="invite")
        links = [await alice.call("invite.create", conversation=group, uses=1, expires_in=60) for _ in range(4)]
        await alice.call("invite.revoke", conversation=group, invite=links[0]["invite"])
        await bob.call("conversation.join", secret=links[1]["secret"])
        await store.run("update invites set expires_at = 1 where id = $1", links[2]["invite"])
        await idle_accounts.remove_invites(store)
        assert [row["id"] for row in await store.all("select id::text from invites")] == [links[3]["invite"]]


def test_queue_estimates_are_bounded() -> None:
    """Each pair is of another queue."""
    numbers = iter(range(10**6))
    pool = Pool({}, lambda: f"m{next(numbers)}")
    for number in range(MAX_SAMPLED_QUEUES + 200):
        for user in "ab":
            pool.find(Ticket(f"{user}{number}", "t", f"{user}{number}", f"q{number}", 0, (), {}, Accept()), 1)
        pool.commit(f"m{number}")
    assert len(pool._wait_samples) == MAX_SAMPLED_QUEUES
    assert not pool.tickets
    assert not pool.index.longest(10)

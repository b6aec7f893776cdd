"""Lists of all users and conversations: pages, filters, and how all lists page."""

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.server_api.lists import MAX_EXAMINED
from chatd.subsystems import load_registry
from chatd.wire.codec import tag_of
from tests.admins import daemon
from tests.server_api.backend import Backend, backend_of
from tests.support import Daemon, covers, running

__all__ = ["daemon"]
OLD = """
insert into users (tenant, id, external_id, created_at)
select $1, gen_random_uuid(), case when n % 1000 = 0 then 'old-' || n end, 1600000000000 + n from generate_series(1, $2::int) as n
"""
# These page by numbers of messages or changes, which clients know.
BY_NUMBER = {
    "message.history",
    "thread.history",
    "server.message.history",
    "admin.conversation.messages",
    "session.sync",
    "conversation.sync",
}
# By the id of the oldest item, in the admin API.
BY_LAST_ID = {
    "admin.bans",
    "admin.audit",
    "admin.reports",
    "admin.webhook.deliveries",
    "admin.users",
    "admin.conversations",
}


async def pages(backend: Backend, path: str, **fields: Any) -> list[list[Any]]:
    """The items of all pages."""
    found = []
    while True:
        page = await backend.done("GET", f"{path}?{urlencode(fields)}")
        found.append(page["items"])
        if page["cursor"] is None:
            return found
        fields["cursor"] = page["cursor"]


async def listed(backend: Backend, path: str, **fields: Any) -> list[Any]:
    return [item for page in await pages(backend, path, **fields) for item in page]


async def external_ids(backend: Backend, **fields: Any) -> list[str | None]:
    return [item["user"]["external_id"] for item in await listed(backend, "/users", **fields)]


def test_lists_page_in_one_way() -> None:
    for kind, command in load_registry().commands.items():
        fields, tag = set(kind.__struct_fields__), tag_of(kind)
        if "limit" in fields and tag not in BY_NUMBER | BY_LAST_ID:
            assert "cursor" in fields, tag
            assert "cursor" in command.result.__struct_fields__, tag
            assert "more" not in command.result.__struct_fields__, tag


@covers("server.users.list")
async def test_users_are_listed_by_their_last_change(daemon: Daemon) -> None:
    backend, other = await backend_of(daemon), await backend_of(daemon, tenant="acme")
    names = [f"customer-{number}" for number in range(5)]
    for name in names:
        await backend.user(name)
    stranger = str(uuid4())
    await backend.done("POST", "/users", {"user": stranger})
    await other.user("of-another-tenant")
    assert await external_ids(backend) == [*names, None]
    assert [len(page) for page in await pages(backend, "/users", limit=2)] == [2, 2, 2]
    assert await external_ids(backend, limit=2) == [*names, None]
    everybody = await listed(backend, "/users")
    assert (
        everybody[0]["user"]["id"] == (await backend.done("GET", f"/users/{everybody[0]['user']['id']}"))["user"]["id"]
    )
    assert await external_ids(backend, has_external_id="true") == names
    assert await external_ids(backend, has_external_id="false") == [None]
    # A change moves a user to the end; a repeated bulk, which changes nothing, does not.
    await backend.done("POST", "/users", {"external_id": names[1], "name": "Ann"})
    await backend.done("POST", "/users", {"external_id": names[0]})
    changed = everybody[-1]["updated_at"]
    assert (await external_ids(backend, updated_since=changed))[-1] == names[1]
    assert names[2] not in await external_ids(backend, updated_since=changed + 1)
    await backend.done("POST", f"/users/{everybody[2]['user']['id']}/deactivate")
    assert (await listed(backend, "/users"))[-1]["user"]["deactivated_at"] is not None
    second = everybody[1]["user"]["created_at"]
    assert names[1] not in await external_ids(backend, created_until=second)
    assert names[1] in await external_ids(backend, created_since=second)
    await backend.done("DELETE", f"/users/{everybody[3]['user']['id']}")
    assert names[3] not in await external_ids(backend)
    for wrong in ("x", "1.x", "9" * 19 + "." + stranger, stranger):
        assert await backend.refused("GET", f"/users?cursor={wrong}") == "bad_request"


async def test_a_page_examines_a_bounded_number_of_users(config: Config, store: Postgres) -> None:
    count = 2 * MAX_EXAMINED + 500
    async with running(config) as daemon:
        backend = await backend_of(daemon)
        await store.run(OLD, "default", count)
        found = await pages(backend, "/users", has_external_id="true")
        # Which page has which of those that were created in the same millisecond is not known.
        assert len(found) == 3
        assert {item["user"]["external_id"] for page in found for item in page} == {f"old-{n}000" for n in range(1, 5)}
        assert len(await listed(backend, "/users", limit=200)) == count
        # They are new here, though they were created long ago.
        assert len(await listed(backend, "/users", limit=200, updated_since=now_ms() - 3_600_000)) == count
        assert await listed(backend, "/users", created_since=now_ms() - 3_600_000) == []
        assert len(await listed(backend, "/users", limit=200, created_until=1_600_000_000_011)) == 10


@covers("server.conversations.list")
async def test_all_conversations_are_listed(daemon: Daemon) -> None:
    backend, other = await backend_of(daemon), await backend_of(daemon, tenant="acme")
    ann, ben = await backend.user("ann"), await backend.user("ben")
    order = await backend.group(ann, ben, external_id="order-1", title="Order 1")
    plain = await backend.group(ann)
    direct = (await backend.done("POST", "/conversations/direct", {"user": ann, "other": ben}))["conversation"]["id"]
    await other.group(await other.user("zoe"))
    found = await listed(backend, "/conversations", limit=1)
    assert [item["id"] for item in found] == sorted([order, plain, direct])
    one = next(item for item in found if item["id"] == order)
    assert (one["external_id"], one["kind"], one["title"], one["member_count"]) == ("order-1", "group", "Order 1", 2)

    async def ids(**fields: Any) -> set[str]:
        return {item["id"] for item in await listed(backend, "/conversations", **fields)}

    assert await ids(has_external_id="true") == {order}
    assert await ids(has_external_id="false") == {plain, direct}
    assert await ids(created_since=one["created_at"]) >= {order, direct}
    assert order not in await ids(created_until=one["created_at"])
    await backend.done("POST", f"/conversations/{order}/messages", {"client_id": "1", "text": "shipped"})
    latest = next(item for item in await listed(backend, "/conversations") if item["id"] == order)
    assert latest["seq"] == one["seq"] + 1
    assert order in await ids(active_since=latest["active_at"])


async def test_lists_need_the_scope(daemon: Daemon) -> None:
    backend = await backend_of(daemon, "users:write")
    for path in ("/users", "/conversations"):
        assert await backend.refused("GET", path) == "forbidden"

"""Compare the state of a device with what a fresh client reads, and with the tables."""

from typing import Any

from chatd.db.postgres import Postgres
from tests.property.device import Device, logins_of, plain
from tests.property.mirror import Mirror
from tests.property.room import INFO, Json
from tests.reply import Reply

COUNTS = """
select b.conversation::text as id, c.rev, c.seq, c.members, b.first_seq,
    (select count(*) from members o where o.tenant = b.tenant and o.conversation = b.conversation) as member_rows,
    (select count(*) from messages m where m.tenant = b.tenant and m.conversation = b.conversation) as message_rows,
    (select coalesce(max(m.seq), 0) from messages m where m.tenant = b.tenant and m.conversation = b.conversation) as last_seq,
    (select count(*) from unread) as unread,
    (select count(*) from unread u where exists (
        select 1 from mentions n where n.tenant = b.tenant and n.conversation = b.conversation and n.seq = u.seq
            and n.user_id in (b.user_id, '00000000-0000-0000-0000-000000000000'))) as mentions,
    not b.archived and coalesce(b.muted_until <= extract(epoch from now()) * 1000, true) as counts
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation
"""
UNREAD = """(
    select m.seq from messages m
    where m.tenant = b.tenant and m.conversation = b.conversation and m.seq > b.read_seq and m.sender <> b.user_id
        and m.deleted_at is null and m.system is null and not exists (
            select 1 from marks k where k.tenant = m.tenant and k.user_id = b.user_id and k.conversation = m.conversation
                and k.seq = m.seq and k.hidden)
)"""
OF_USER = (
    COUNTS.replace("from unread u", f"from {UNREAD} u").replace("from unread)", f"from {UNREAD} u)")
    + " where b.user_id = $1"
)
REACTIONS = """
select conversation::text as id, seq, jsonb_object_agg(emoji, found) as counts
from (select conversation, seq, emoji, count(*) as found from reactions group by 1, 2, 3) as r group by 1, 2
"""
# The replies of each root by the rows of the messages: those that are not deleted, and the last of them.
REPLIES = """
select r.conversation::text as id, r.seq, count(*) as count, max(m.seq) as last_seq
from messages m join messages r on r.conversation = m.conversation and r.id = (m.extra ->> 'thread')::uuid and r.tenant = m.tenant
where m.deleted_at is null group by 1, 2
"""
# What a user follows, with the unread replies.
FOLLOWED = """
select k.conversation::text as id, k.root_seq as seq, count(*) filter (
    where m.seq > k.read_seq and m.sender <> k.user_id and m.deleted_at is null and not exists (
        select 1 from marks h where h.user_id = k.user_id and h.conversation = m.conversation and h.seq = m.seq and h.hidden
    )
) as unread
from thread_followers k
join messages r on r.conversation = k.conversation and r.seq = k.root_seq and r.tenant = k.tenant
left join messages m on m.conversation = k.conversation and m.extra ->> 'thread' = r.id::text and m.tenant = k.tenant
where k.user_id = $1 and k.following group by 1, 2
"""
VOTES = """
select m.conversation::text as id, m.seq, count(distinct v.user_id) as voters, array(
    select (
        select count(*) from poll_votes w where w.conversation = m.conversation and w.seq = m.seq and w.option = n.option
    ) from generate_series(0, 2) as n (option) order by n.option
) as counts
from messages m left join poll_votes v on v.conversation = m.conversation and v.seq = m.seq
where m.extra ? 'poll' group by 1, 2, m.conversation
"""
# Prefixes of the words to search for.
WORD = range(3, 30)
# Users who reacted are compared as a set: reactions of the same millisecond have no order.
UNORDERED = ("mine",)


async def fresh(device: Device) -> Json:
    """All that the user of this device may see, read from scratch, in the form of `Mirror.view`."""
    rooms = {}
    for state in await pages(device, "session.sync", "conversations", limit=50):
        rooms[state["id"]] = await fresh_room(device, state)
    return rooms


async def fresh_room(device: Device, state: Reply) -> Json:
    history = await messages_of(device, state["id"])
    members = await pages(device, "member.list", "items", conversation=state["id"])
    begun = Mirror(device.user)
    begun.learn(state)
    while begun.behind:
        rev = begun.rooms[state["id"]].rev
        begun.take_changes(
            state["id"], await device.call("conversation.sync", conversation=state["id"], rev=rev, limit=100)
        )
    begun_room = begun.rooms[state["id"]]
    assert {seq: normal(one) for seq, one in begun_room.messages.items()} == {
        seq: normal(one) for seq, one in history.items()
    }
    return {
        **{
            name: state[name]
            for name in ("kind", "seq", "rev", "member_count", "role", "unread", "mentions", "settings")
        },
        "info": {name: state[name] for name in INFO},
        "read_seq": state["read_seq"],
        "delivered_seq": state["delivered_seq"],
        "members": {member["user"]: dict(member) for member in members},
        "departures": begun_room.departures,
        "messages": history,
    }


async def pages(device: Device, command: str, of: str, **fields: Any) -> list[Reply]:
    """All pages of a command that answers with a cursor."""
    found: list[Reply] = []
    cursor: Json = {}
    while True:
        page = await device.call(command, **fields, **cursor)
        found += page[of]
        if not page.get("more", page["cursor"] is not None):
            return found
        cursor = {"cursor": page["cursor"]}


async def messages_of(device: Device, id_: str) -> dict[int, Json]:
    found: dict[int, Json] = {}
    while True:
        page = await device.call("message.history", conversation=id_, after=max(found, default=0), limit=200)
        found |= {message["seq"]: dict(message) for message in page["items"]}
        if not page["more"]:
            return found


def normal(value: Any) -> Any:
    """Normalise for the comparison."""
    if isinstance(value, dict):
        return {name: sorted(one) if name in UNORDERED else normal(one) for name, one in value.items()}
    return [normal(one) for one in value] if isinstance(value, list) else value


def differences(one: Any, two: Any, path: str = "$") -> list[str]:
    """The differences of two states, field by field."""
    if isinstance(one, dict) and isinstance(two, dict):
        names = sorted({*one, *two}, key=str)
        return [line for name in names for line in differences(one.get(name), two.get(name), f"{path}.{name}")]
    return [] if one == two else [f"{path}: {one!r} is {two!r}"]


async def compare(device: Device) -> list[str]:
    """The differences between the device and a fresh client, with no sync outstanding."""
    here, there = normal(device.mirror.view()), normal(await fresh(device))
    wrong = differences(here, there)
    wrong += differences(device.blocks, [plain(one) for one in (await device.call("block.list"))["items"]], "blocks")
    wrong += differences(device.settings, plain(await device.call("user.settings")), "user.settings")
    scheduled = [plain(one) for one in (await device.call("schedule.list", limit=200))["items"]]
    wrong += differences(device.scheduled, scheduled, "scheduled")
    wrong += differences(device.contacts, await device.contacts_now(), "contacts")
    wrong += differences(device.requests, await device.requests_now(), "requests")
    wrong += differences(device.logins, logins_of(await device.call("login.list")), "logins")
    return wrong + await compare_lists(device) + await compare_search(device)


async def compare_lists(device: Device) -> list[str]:
    """Lists derived from the same messages: pins, stars, last messages."""
    wrong: list[str] = []
    views = device.mirror.view()
    for id_, view in views.items():
        messages = view["messages"]
        pins = {one["seq"] for one in (await device.call("message.pins", conversation=id_))["items"]}
        wrong += differences({seq for seq, one in messages.items() if "pinned_at" in one}, pins, f"pins of {id_}")
        last = (await device.call("conversation.get", conversation=id_))["conversation"].get("last_message")
        mine = normal(messages[max(messages)]) if messages else None
        wrong += differences(mine, normal(dict(last)) if last else None, f"last message of {id_}")
    starred = {
        (one["conversation"], one["message"]["seq"]) for one in await pages(device, "message.starred", "items", limit=5)
    }
    stars = {
        (id_, seq)
        for id_, view in views.items()
        for seq, one in view["messages"].items()
        if "starred_at" in one and "deleted_at" not in one
    }
    return wrong + differences(stars, starred, "stars")


async def compare_search(device: Device) -> list[str]:
    """A search for a word finds the messages of the device that contain it, in all conversations."""
    texts = {
        (id_, seq): one["text"]
        for id_, room in device.mirror.rooms.items()
        for seq, one in room.messages.items()
        if one.get("text") and "deleted_at" not in one and "system" not in one
    }
    word = min((text for text in texts.values() if len(text) in WORD), default="")
    hits = await pages(device, "message.search", "items", query=word, limit=50) if word else []
    found = {(hit["conversation"], hit["message"]["seq"]) for hit in hits}
    expected = {place for place, text in texts.items() if word and text.startswith(word)}
    return differences(sorted(expected), sorted(found), f"found for {word}")


async def recount(db: Postgres, device: Device) -> list[str]:
    """Compare the counters with the rows."""
    views = device.mirror.view()
    rows = {row["id"]: row for row in await db.all(OF_USER, device.user)}
    wrong = differences(sorted(rows), sorted(views), "conversations in the tables")
    for id_, row in rows.items():
        view = views.get(id_, {})
        wrong += differences(
            (row["unread"], row["mentions"], row["rev"], row["member_rows"]),
            tuple(view.get(name) for name in ("unread", "mentions", "rev", "member_count")),
            f"counts of {id_}",
        )
        wrong += differences(row["message_rows"], row["last_seq"], f"gaps in the seq of {id_}")
        wrong += differences(row["seq"], row["last_seq"], f"last seq of {id_}")
        wrong += differences(row["members"], row["member_rows"], f"members of {id_}")
        wrong += [
            f"I9: {id_} {seq} was shown by {how}, and the first one is {row['first_seq']}"
            for (of, seq), how in device.wire.shown.items()
            if of == id_ and seq < row["first_seq"]
        ]
    wrong += await recount_reactions(db, views)
    wrong += await recount_threads(db, device, views)
    wrong += await recount_votes(db, views)
    total = (await device.call("unread.total"))["total"]
    counting = [row for row in rows.values() if row["counts"]]
    expected = {
        "unread": sum(row["unread"] for row in counting),
        "conversations": sum(row["unread"] > 0 for row in counting),
        "mentions": sum(row["mentions"] for row in rows.values()),
    }
    return wrong + differences(expected, dict(total), "badge")


async def recount_threads(db: Postgres, device: Device, views: dict[str, Json]) -> list[str]:
    """Compare `replies` of the roots, and the list of followed threads, with the rows."""
    counted = {(row["id"], row["seq"]): (row["count"], row["last_seq"]) for row in await db.all(REPLIES)}
    shown = {(id_, seq): one.get("replies") for id_, view in views.items() for seq, one in view["messages"].items()}
    wrong = [
        line
        for place, replies in shown.items()
        for line in differences(
            counted.get(place), replies and (replies["count"], replies["last_seq"]), f"replies of {place}"
        )
    ]
    rows = await db.all(FOLLOWED, device.user)
    followed = {(row["id"], row["seq"]): row["unread"] for row in rows if (row["id"], row["seq"]) in shown}
    listed = {
        (item["conversation"], item["thread"]["seq"]): item["unread"]
        for item in await pages(device, "thread.list", "items", limit=3)
    }
    return wrong + differences(followed, listed, "followed threads")


async def recount_votes(db: Postgres, views: dict[str, Json]) -> list[str]:
    counted = {(row["id"], row["seq"]): (row["voters"], row["counts"]) for row in await db.all(VOTES)}
    shown = {
        (id_, seq): one["poll"] for id_, view in views.items() for seq, one in view["messages"].items() if "poll" in one
    }
    return [
        line
        for place, poll in shown.items()
        for line in differences(
            counted[place], (poll["voters"], [option["votes"] for option in poll["options"]]), f"votes of {place}"
        )
    ]


async def recount_reactions(db: Postgres, views: dict[str, Json]) -> list[str]:
    counted = {(row["id"], row["seq"]): row["counts"] for row in await db.all(REACTIONS)}
    shown = {(id_, seq): one for id_, view in views.items() for seq, one in view["messages"].items()}
    return [
        line
        for place, one in shown.items()
        for line in differences(counted.get(place, {}), one.get("reactions", {}), f"reactions of {place}")
    ]

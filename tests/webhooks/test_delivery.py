"""Endpoints that fail, in each way: the event is retried or parked with its reason, and others are not delayed."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config, PostgresSection
from chatd.db.postgres import Postgres, open_postgres
from tests.admins import done
from tests.outside import Asked, answer
from tests.support import PATIENCE, Daemon, poll_until
from tests.webhooks.receiver import (
    LOCAL,
    OK,
    QUICK,
    SHORT_TIMEOUT_S,
    Receiver,
    deliveries,
    end_retries,
    listed,
    receiving,
    sending,
)

Answers = Callable[[Asked], Awaitable[bytes]]


def always(data: bytes) -> Answers:
    async def answers(_: Asked) -> bytes:
        return data

    return answers


def failing(count: int, data: bytes = answer(b"", "500 Internal Server Error")) -> Answers:
    """Fail so many times, then accept."""
    left = [data] * count

    async def answers(_: Asked) -> bytes:
        return left.pop() if left else OK

    return answers


async def never(_: Asked) -> bytes:
    await trio.sleep_forever()
    raise AssertionError


BAD = {
    "redirect": (always(answer(b"", "301 Moved Permanently", Location="https://example.org/")), "HTTP 301: redirects"),
    "not modified": (always(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "HTTP 304"),
    "error": (always(answer(b"", "500 Internal Server Error")), "HTTP 500"),
    "refused": (always(answer(b"", "401 Unauthorized")), "HTTP 401"),
    "garbage": (always(b"\x00\xff garbage \r\n\r\n"), "RemoteProtocolError"),
    "half": (always(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), "no answer within"),
    "never": (never, "no answer within"),
    "huge": (always(answer(b"x" * 100_000)), "more than 65536 bytes"),
    "huge head": (always(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), "RemoteProtocolError"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_answer_is_retried_and_then_parked_with_its_reason(
    config: Config, store: Postgres, name: str
) -> None:
    answers, reason = BAD[name]
    settings = replace(LOCAL, timeout=SHORT_TIMEOUT_S) if reason.startswith("no answer") else LOCAL
    async with sending(config, settings) as daemon, receiving(daemon, answers) as receiver:
        await done(daemon, "webhook.test", endpoint=receiver.id)
        await failed(daemon, receiver)
        await end_retries(store)
        parked = await poll_until(lambda: deliveries(daemon, receiver, state="parked"))
        assert len(parked) == 1
        assert parked[0]["attempts"] >= 2
        assert parked[0]["error"].startswith(reason) or reason in parked[0]["error"]
        item = await listed(daemon, receiver)
        assert (item["parked"], item["pending"], item["disabled_at"]) == (1, 0, None)
        assert reason in item["last_error"]
        assert item["failing_since"] is not None
        events = {asked.headers["webhook-id"] for asked in receiver.server.asked}
        assert len(events) == 1


async def failed(daemon: Daemon, receiver: Receiver) -> None:
    """Wait until an event has failed once."""
    await poll_until(
        lambda: deliveries(daemon, receiver, state="pending"), lambda found: any(event["attempts"] for event in found)
    )


async def test_an_answer_of_410_disables_at_once(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    async with sending(config) as daemon, receiving(daemon, always(answer(b"", "410 Gone"))) as receiver:
        await done(daemon, "webhook.test", endpoint=receiver.id)
        item = await poll_until(lambda: listed(daemon, receiver), lambda item: item["disabled_at"])
        assert item["disabled_reason"] == "HTTP 410: the endpoint is gone"
        assert len(receiver.server.asked) == 1
        # The endpoint is disabled before the result of the event is stored.
        (event,) = await poll_until(lambda: deliveries(daemon, receiver), lambda found: found[0]["error"])
        assert (event["state"], event["error"]) == ("pending", "HTTP 410: the endpoint is gone")
        assert [record.getMessage() for record in caplog.records].count(
            "a webhook endpoint was disabled; see `chatd webhooks list`"
        ) == 1
        assert not any("not-for-the-log" in record.getMessage() for record in caplog.records)
        metrics = (await daemon.rest("GET", "/metrics", Host="localhost")).body.decode()
        assert "chatd_webhook_disabled_total 1.0" in metrics


async def test_an_endpoint_that_fails_for_long_is_disabled(config: Config) -> None:
    settings = replace(LOCAL, disable_after=0.3)
    async with sending(config, settings) as daemon, receiving(daemon, failing(1000)) as receiver:
        await done(daemon, "webhook.test", endpoint=receiver.id)
        item = await poll_until(lambda: listed(daemon, receiver), lambda item: item["disabled_at"])
        assert item["disabled_reason"].startswith("no success for ")
        assert item["disabled_reason"].endswith("last: HTTP 500")
        await done(daemon, "webhook.enable", endpoint=receiver.id)
        asked = len(receiver.server.asked)
        await poll_until(lambda: listed(daemon, receiver), lambda item: item["disabled_at"])
        assert len(receiver.server.asked) > asked


async def test_an_event_is_retried_until_it_is_accepted(config: Config) -> None:
    async with sending(config) as daemon, receiving(daemon, failing(3), types=["message.created"]) as receiver:
        async with daemon.pair() as (alice, _, conversation):
            for number in range(3):
                await alice.send(conversation, str(number))
            found = await receiver.wait(6)
        assert [event["data"]["text"] for event in found] == ["0", "0", "0", "0", "1", "2"]
        assert len({event["id"] for event in found}) == 3
        item = await poll_until(lambda: listed(daemon, receiver), lambda item: not item["pending"])
        assert (item["failing_since"], item["last_error"]) == (None, None)


async def test_the_wait_that_an_endpoint_asks_for_is_kept(config: Config) -> None:
    busy = answer(b"", "503 Service Unavailable", Retry_After="1")
    async with sending(config) as daemon, receiving(daemon, failing(1, busy)) as receiver:
        await done(daemon, "webhook.test", endpoint=receiver.id)
        await receiver.wait(1)
        began = trio.current_time()
        await receiver.wait(2)
        assert trio.current_time() - began > 0.9


async def test_private_addresses_are_not_requested(config: Config) -> None:
    """Also if the address was allowed when the endpoint was added."""
    settings = replace(LOCAL, allow_private=False, retry_for=0.1)
    async with sending(config, settings) as daemon:
        added = (await done(daemon, "webhook.add", url="https://localhost:1/", types=["*"]))["id"]
        receiver = Receiver(None, added)
        await done(daemon, "webhook.test", endpoint=added)
        (parked,) = await poll_until(lambda: deliveries(daemon, receiver, state="parked"))
        assert parked["error"] == "cannot connect: its IP address is not public"
        async with open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
            await db.run("update webhook_endpoints set url = 'http://127.0.0.1:1/'")
        await done(daemon, "webhook.edit", endpoint=added, note="read it again")
        await done(daemon, "webhook.replay", endpoint=added, since=0, until=2**53 - 1)
        (parked,) = await poll_until(
            lambda: deliveries(daemon, receiver, state="parked"), lambda found: found and found[0]["attempts"]
        )
        assert parked["error"] == "cannot connect: its IP address is not public"


async def test_a_slow_endpoint_delays_no_other(config: Config) -> None:
    """Its conversations wait for it, within its share of the requests."""
    release, most, running = trio.Event(), [0], [0]

    async def slow(_: Asked) -> bytes:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await release.wait()
        running[0] -= 1
        return OK

    settings = replace(LOCAL, timeout=30.0, concurrency=6, endpoint_concurrency=4)
    async with (
        sending(config, settings) as daemon,
        receiving(daemon, slow, types=["message.created"]) as stuck,
        receiving(daemon, types=["message.created"]) as quick,
        daemon.person() as alice,
    ):
        groups = [
            (await alice.call("conversation.create", members=[], title=str(number)))["conversation"]["id"]
            for number in range(10)
        ]
        for turn in range(3):
            for group in groups:
                await alice.send(group, str(turn))
        found = await quick.wait(30)
        by_group = defaultdict(list)
        for event in found:
            by_group[event["data"]["conversation"]].append(event["data"]["text"])
        assert dict(by_group) == {group: ["0", "1", "2"] for group in groups}
        assert (most[0], len(stuck.server.asked)) == (4, 4)
        release.set()
        await stuck.wait(30)


async def test_a_failed_event_delays_its_own_conversation_only(config: Config, store: Postgres) -> None:
    async def answers(asked: Asked) -> bytes:
        poisoned = asked.json["type"] == "message.created" and asked.json["data"]["text"] == "poison"
        return answer(b"", "500 Internal Server Error") if poisoned else OK

    async with (
        sending(config) as daemon,
        receiving(daemon, answers, types=["message.created"]) as receiver,
        daemon.person() as alice,
    ):
        one, two = [
            (await alice.call("conversation.create", members=[], title=title))["conversation"]["id"]
            for title in ("one", "two")
        ]
        await alice.send(one, "poison")
        await alice.send(one, "after")
        await alice.send(two, "other")

        def accepted() -> list[str]:
            texts = [event["data"]["text"] for event in receiver.events()]
            return [text for text in texts if text != "poison"]

        await poll_until(lambda: checked(accepted), lambda texts: texts == ["other"])
        await failed(daemon, receiver)
        await end_retries(store)
        # Once the first one is parked, the conversation goes on.
        await poll_until(lambda: checked(accepted), lambda texts: texts == ["other", "after"])
        (parked,) = await deliveries(daemon, receiver, state="parked")
        assert parked["error"] == "HTTP 500"


async def test_replays_and_new_events_do_not_disturb_each_other(config: Config) -> None:
    """Both change many streams at the same time."""
    async with (
        sending(config) as daemon,
        receiving(daemon, types=["message.created"]) as receiver,
        daemon.person() as alice,
    ):
        created = [await alice.call("conversation.create", members=[], title=str(number)) for number in range(20)]
        groups = [one["conversation"]["id"] for one in created]
        for group in groups:
            await alice.send(group, "first")
        await receiver.wait(20)
        async with trio.open_nursery() as nursery:
            for command, fields in (("replay", {"since": 0, "until": 2**53 - 1}), ("enable", {})):

                async def repeat(command: str = command, fields: Any = fields) -> None:
                    for _ in range(15):
                        await done(daemon, f"webhook.{command}", endpoint=receiver.id, **fields)

                nursery.start_soon(repeat)
            for turn in range(5):
                for group in groups:
                    await alice.send(group, str(turn))
        await poll_until(lambda: listed(daemon, receiver), lambda item: not item["pending"], 30)
        first: dict[str, list[str]] = {group: [] for group in groups}
        for event in {event["id"]: event for event in receiver.events()}.values():
            first[event["data"]["conversation"]].append(event["data"]["text"])
        assert all(sorted(texts) == ["0", "1", "2", "3", "4", "first"] for texts in first.values())


async def checked(look: Callable[[], Any]) -> Any:
    return look()


async def test_thousands_of_events_are_sent_in_order(config: Config) -> None:
    """Of one conversation, and of many, as a bulk of changes makes them."""
    seen = defaultdict(list)

    async def answers(asked: Asked) -> bytes:
        data = asked.json["data"]
        seen[data["conversation"]].append(data["seq"])
        asked.body = b"{}"
        return OK

    tunables = replace(QUICK, slice_events=500)
    async with (
        # A request that a loaded machine delays is not sent twice.
        sending(config, replace(LOCAL, timeout=30.0), tunables) as daemon,
        receiving(daemon, answers, types=["message.created"]) as receiver,
        daemon.person() as alice,
        open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        groups = [
            (await alice.call("conversation.create", members=[], title=str(number)))["conversation"]["id"]
            for number in range(50)
        ]
        # 20 messages in each group, and 1000 more in the first.
        await db.run(BULK, groups, alice.user, 20, 1)
        await db.run(BULK, groups[:1], alice.user, 1000, 21)
        await poll_until(lambda: checked(lambda: sum(map(len, seen.values()))), lambda count: count >= 2000, 100)
        assert {group: seen[group] for group in groups} == {
            group: list(range(1, 1021 if group == groups[0] else 21)) for group in groups
        }
        item = await poll_until(lambda: listed(daemon, receiver), lambda item: not item["pending"])
        assert item["last_error"] is None


# Messages by append_messages(), in one transaction: conversations, sender, how many of each, the first number.
BULK = """
select count(a.outcome) from (
    select array_agg(c.id order by n, c.id) as ids, array_agg('bulk' || c.id || n order by n, c.id) as clients,
        array_agg(gen_random_uuid() order by n, c.id) as messages
    from unnest($1::uuid[]) as c (id) cross join generate_series($4::integer, $4::integer + $3::integer - 1) as n
) as b
cross join lateral append_messages(
    array_fill('default'::text, array[cardinality(b.ids)]), b.ids, array_fill($2::uuid, array[cardinality(b.ids)]), b.clients,
    b.messages, array_fill('hello'::text, array[cardinality(b.ids)]), null, null, null, null, 1770000000000
) as a
"""

"""GET /v1/events of one node, as Server-Sent Events and as a long poll."""

from typing import Any
from uuid import uuid4

import trio

from chatd.client import Account, sign_up
from tests.event_streams.streams import Poller, event_stream
from tests.support import Daemon, Person, covers, poll_until, shared

daemon = shared
# Less than `events.max_wait`.
LONG_WAIT_S = 25.0


async def alice_and(daemon: Daemon, alice: Person) -> tuple[Account, str]:
    """Bob, who is not connected, and his conversation with Alice."""
    bob = await sign_up(daemon.addresses.http, name="bob")
    return bob, (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]


def texts(events: list[Any]) -> list[str]:
    return [event["message"]["text"] for event in events if event["t"] == "message.new"]


async def test_a_stream_has_the_frames_of_a_socket(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob, conversation = await alice_and(daemon, alice)
        async with event_stream(daemon, bob.access_token) as stream:
            hello = await stream.event("connected")
            assert (hello["user"], hello["tenant"]) == (bob.user, "default")
            sent = await alice.send(conversation, "hi\nthere\r\u2028")
            got = await stream.event("message.new")
            assert (got["message"]["id"], got["message"]["text"], got["rev"]) == (
                sent["message"],
                "hi\nthere\r\u2028",
                sent["rev"],
            )
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.headers["x-accel-buffering"] == "no"
            assert stream.headers["cache-control"] == "no-store"
            assert "content-encoding" not in stream.headers


async def test_a_stream_continues_after_its_last_event(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob, conversation = await alice_and(daemon, alice)
        async with event_stream(daemon, bob.access_token) as stream:
            hello = await stream.event("connected")
            await alice.send(conversation, "1")
            await stream.event("message.new")
            await alice.send(conversation, "2")
        await alice.send(conversation, "3")
        async with event_stream(daemon, bob.access_token, stream.position) as again:
            await alice.send(conversation, "4")
            while texts(again.events)[-1:] != ["4"]:
                await again.event("message.new")
            assert texts(stream.events + again.events) == ["1", "2", "3", "4"]
            assert "connected" not in [event["t"] for event in again.events]
        poller = Poller(bob.access_token)
        poller.position = again.position
        await alice.send(conversation, "5")
        assert texts(await poller.poll(daemon, 5)) == ["5"]
        # As an EventSource that has no token, with a ticket, and the position in the query.
        ticket = (await daemon.rest("POST", "/v1/auth/ticket", {}, bob.access_token)).body["ticket"]
        async with event_stream(daemon, ticket=ticket, after=stream.position) as third:
            await third.event("message.new")
            assert texts(third.events)[:1] in (["2"], ["3"])
        async with event_stream(daemon, ticket=ticket) as used:
            assert used.status == 401
        assert hello["session"]


async def test_a_second_request_ends_the_first(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob, conversation = await alice_and(daemon, alice)
        async with event_stream(daemon, bob.access_token) as first:
            await first.event("connected")
            async with event_stream(daemon, bob.access_token, first.position) as second:
                assert [event["t"] for event in await first.rest()] == ["connected"]
                await alice.send(conversation, "hi")
                await second.event("message.new")
                assert [event["t"] for event in second.events] == ["message.new"]


async def test_a_position_that_cannot_be_ends_the_session(daemon: Daemon) -> None:
    """A client that has lost its place begins anew; the request that still reads the old session ends."""
    bob = await sign_up(daemon.addresses.http, name="bob")
    async with event_stream(daemon, bob.access_token) as stream:
        await stream.event("connected")
        lost = Poller(bob.access_token)
        lost.position = stream.position + "0"
        assert [event["t"] for event in await lost.poll(daemon)] == ["connected"]
        assert [event["t"] for event in await stream.rest()] == ["connected"]


async def test_a_poll_waits_for_events_and_repeats_what_was_lost(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob, conversation = await alice_and(daemon, alice)
        poller = Poller(bob.access_token)
        assert [event["t"] for event in await poller.poll(daemon, 5)] == ["connected"]
        assert await poller.poll(daemon, 0) == []
        await alice.send(conversation, "one")
        lost = await poller.poll(daemon, 5, is_lost=True)
        assert texts(lost) == ["one"]
        await alice.send(conversation, "two")
        assert texts(await poller.poll(daemon, 5)) == ["one", "two"]


async def test_a_poll_returns_as_soon_as_there_is_something(daemon: Daemon) -> None:
    """Well before its `wait`: the first one with `connected`, a later one with the first event."""
    async with daemon.person("alice") as alice:
        bob, conversation = await alice_and(daemon, alice)
        poller = Poller(bob.access_token)
        with trio.fail_after(LONG_WAIT_S / 2):
            assert [event["t"] for event in await poller.poll(daemon, LONG_WAIT_S)] == ["connected"]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(poller.poll, daemon, LONG_WAIT_S)
                await alice.send(conversation, "hi")
        assert "message.new" in [event["t"] for event in poller.events] or texts(await poller.poll(daemon)) == ["hi"]


async def test_other_requests_are_refused(daemon: Daemon) -> None:
    bob, eve = await sign_up(daemon.addresses.http, name="bob"), await sign_up(daemon.addresses.http, name="eve")
    for query, status in (("?wait=soon", 400), ("?wait=-1", 400), ("?wait=nan", 400), ("?after=1", 400), ("?x=1", 400)):
        assert (await daemon.rest("GET", f"/v1/events{query}", token=bob.access_token)).status == status, query
    assert (await daemon.rest("GET", "/v1/events")).status == 401
    assert (await daemon.rest("GET", f"/v1/events?token={bob.access_token}")).status == 401
    assert (await daemon.rest("HEAD", "/v1/events", token=bob.access_token)).status == 405
    assert (await daemon.rest("POST", "/v1/events", {}, bob.access_token)).status == 405
    poller, other = Poller(bob.access_token), Poller(eve.access_token)
    await poller.poll(daemon)
    other.position = poller.position
    assert [event["t"] for event in await other.poll(daemon)] == ["connected"]
    assert other.session != poller.session
    assert await poller.poll(daemon) == []


@covers("presence.watch")
@covers("presence.set")
async def test_a_session_watches_and_sets_presence_over_rest(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob, _ = await alice_and(daemon, alice)
        async with event_stream(daemon, bob.access_token) as stream:
            session = (await stream.event("connected"))["session"]

            async def rest(path: str, body: Any) -> Any:
                return await daemon.rest("PUT", path, body, bob.access_token, Chatd_Session=session)

            watched = await rest("/v1/presence/watch", {"users": [alice.user]})
            assert [item["status"] for item in watched.body["items"]] == ["online"]
            await alice.call("presence.set", status="away")
            assert (await stream.event("presence.update"))["status"] == "away"
            await alice.call("presence.watch", users=[bob.user])
            assert (await rest("/v1/presence", {"status": "away"})).body == {"t": "ok"}
            assert (await alice.event("presence.update"))["status"] == "away"


@covers("presence.watch", "not_found")
@covers("presence.set", "not_found")
@covers("auth.refresh", "not_found")
async def test_the_named_session_must_be_one_of_the_user(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob = await sign_up(daemon.addresses.http, name="bob")
        requests = (
            ("/v1/presence/watch", {"users": []}),
            ("/v1/presence", {"status": "away"}),
            ("/v1/auth/session", {"token": bob.access_token}),
        )
        for path, body in requests:
            codes = []
            for header in ({}, {"Chatd_Session": "x"}, {"Chatd_Session": alice.hello["session"]}):
                codes.append((await daemon.rest("PUT", path, body, bob.access_token, **header)).body["code"])
            assert codes == ["bad_request"] * 3
            gone = {"Chatd_Session": str(uuid4())}
            assert (await daemon.rest("PUT", path, body, bob.access_token, **gone)).body["code"] == "not_found"


async def test_a_command_that_names_its_session_has_no_echo(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob, conversation = await alice_and(daemon, alice)
        poller, other = Poller(bob.access_token), Poller(bob.access_token)
        await poller.poll(daemon)
        await other.poll(daemon)
        path = f"/v1/conversations/{conversation}/messages"
        for client_id, header in (("a", {"Chatd_Session": poller.session}), ("b", {})):
            body = {"client_id": client_id, "text": client_id}
            answer = await daemon.rest("POST", path, body, bob.access_token, **header)
            assert answer.body["t"] == "message.ack"
        while len(texts(other.events)) < 2:
            await other.poll(daemon, 5)
        await poll_until(lambda: poller.poll(daemon, 1), lambda _: texts(poller.events))
        assert texts(poller.events) == ["b"]
        assert (await alice.event("message.new"))["message"]["text"] == "a"


async def test_typing_receipts_and_matches_work_for_pollers(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice:
        bob, conversation = await alice_and(daemon, alice)
        poller = Poller(bob.access_token)
        await poller.poll(daemon)
        mine = {"Chatd_Session": poller.session}
        sent = await alice.send(conversation)
        for path, body in (("read", {"seq": sent["seq"]}), ("typing", {})):
            answer = await daemon.rest(
                "POST", f"/v1/conversations/{conversation}/{path}", body, bob.access_token, **mine
            )
            assert answer.body == {"t": "ok"}
        assert (await alice.event("message.read"))["seq"] == sent["seq"]
        assert (await alice.event("typing.start"))["user"] == bob.user
        await alice.call("typing.start", conversation=conversation)
        assert (await poller.event(daemon, "typing.start"))["user"] == alice.user
        tags = {"tags": [poller.session[-8:]]}
        found = await daemon.rest("POST", "/v1/match", tags, bob.access_token, **mine)
        assert (found.status, found.body["t"]) == (200, "match.queued")
        await alice.call("match.find", **tags)
        assert (await poller.event(daemon, "match.found"))["match"]

"""How sessions of /v1/events end, and what limits them."""

import time
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.settings import AuthSettings
from chatd.app.addresses import Addresses
from chatd.client import sign_up
from chatd.core.config import Config
from chatd.event_streams.frame_log import FrameLog
from chatd.event_streams.settings import EventSettings
from chatd.gateway.transport import Frames
from chatd.presence.settings import PresenceSettings
from tests.admins import administered, done
from tests.event_streams.streams import Poller, event_stream
from tests.faults.process import process
from tests.support import PATIENCE, Daemon, poll_until, running

HEARTBEAT_S = 0.3


def with_events(config: Config, **settings: float) -> Config:
    """Short times, and these settings."""
    gateway = replace(config.gateway, heartbeat=HEARTBEAT_S, stall_timeout=0.5, close_timeout=0.5)
    http = replace(config.http, cors_origins=["https://app.test"])
    return replace(administered(config), gateway=gateway, http=http).using(EventSettings(**settings))  # type: ignore[arg-type]


async def sessions(daemon: Daemon, transport: str) -> int:
    """The number of sessions, as in the metrics."""
    text = (await daemon.rest("GET", "/metrics", Host="localhost")).body.decode()
    line = next(line for line in text.splitlines() if line.startswith(f'chatd_sessions{{transport="{transport}"}}'))
    return int(float(line.split()[-1]))


async def test_a_ban_and_a_logout_end_sessions(config: Config) -> None:
    async with running(with_events(config)) as daemon:
        bob, eve = await sign_up(daemon.addresses.http, name="bob"), await sign_up(daemon.addresses.http, name="eve")
        poller = Poller(bob.access_token)
        await poller.poll(daemon)
        async with event_stream(daemon, bob.access_token) as stream, event_stream(daemon, eve.access_token) as other:
            await stream.event("connected")
            await done(daemon, "ban", user=bob.user, reason="spam")
            closed = (await stream.rest())[-1]
            assert (closed["t"], closed["code"], closed["name"], closed["reconnect"]) == (
                "closed",
                4403,
                "banned",
                False,
            )
            assert (await daemon.rest("GET", "/v1/events?wait=1", token=bob.access_token)).status == 403
            await daemon.rest("POST", "/v1/auth/logout", {}, eve.access_token)
            assert [(event["t"], event.get("code")) for event in (await other.rest())[-1:]] == [("closed", 4404)]
        # The token of the poller is worth nothing now, also for what was left.
        assert (await poller.answer(daemon)).status == 403
        await poll_until(lambda: sessions(daemon, "sse"), lambda count: count == 0)


async def test_a_token_that_expires_ends_the_session_unless_it_is_renewed(config: Config) -> None:
    auth = replace(config.get(AuthSettings), leeway=0.0)
    async with running(with_events(config, grace=30).using(auth)) as daemon:
        bob = await sign_up(daemon.addresses.http, name="bob")
        soon = daemon.token(bob.user, exp=int(time.time()) + 3)
        renewed = Poller(daemon.token(bob.user, exp=int(time.time()) + 3))
        asked = Poller(daemon.token(bob.user, exp=int(time.time()) + 3))
        for poller in (renewed, asked):
            await poller.poll(daemon)
        async with event_stream(daemon, soon) as stream:
            assert (await stream.event("token.expiring"))["expires_at"]
            # By a newer token of a request, and by the command.
            renewed.token = asked.token = bob.access_token
            await renewed.poll(daemon)
            mine = {"Chatd_Session": asked.session}
            body = {"token": bob.access_token}
            answer = await daemon.rest("PUT", "/v1/auth/session", body, bob.access_token, **mine)
            assert answer.body["t"] == "auth.refreshed"
            closed = (await stream.rest())[-1]
            assert (closed["code"], closed["name"], closed["reconnect"]) == (4001, "token_expired", True)
        for poller in (renewed, asked):
            assert "closed" not in [event["t"] for event in await poller.poll(daemon)]
        assert (await daemon.rest("GET", "/v1/events?wait=0", token=soon)).status == 401


async def test_a_drain_ends_streams_and_tells_when_to_come_back(config: Config, tmp_path: Path) -> None:
    async with process(tmp_path / "node") as node:
        daemon = Daemon(config, Addresses(node.socket, node.http))
        bob = await sign_up(node.http, name="bob")
        async with event_stream(daemon, bob.access_token) as stream:
            await stream.event("connected")
            with trio.fail_after(20):
                assert await node.stop() == 0
            kinds = [event["t"] for event in await stream.rest()]
            closed = stream.events[-1]
            assert kinds[-2:] == ["maintenance.mode", "closed"]
            assert (closed["code"], closed["reason"].partition("=")[0]) == (1001, "retry_in_ms")


async def test_a_session_without_requests_ends_after_the_grace_period(config: Config) -> None:
    quick = with_events(config, grace=0.5).using(PresenceSettings(grace=0.2))
    async with running(quick) as daemon, daemon.person("alice") as alice:
        bob = await sign_up(daemon.addresses.http, name="bob")
        await alice.call("conversation.open", user=bob.user)
        poller = Poller(bob.access_token)
        await poller.poll(daemon)
        assert await sessions(daemon, "poll") == 1
        watched = await alice.call("presence.watch", users=[bob.user])
        assert [item["status"] for item in watched["items"]] == ["online"]
        assert (await alice.event("presence.update"))["status"] == "offline"
        assert await sessions(daemon, "poll") == 0
        # The position leads nowhere now: a new session.
        assert [event["t"] for event in await poller.poll(daemon)] == ["connected"]
        # A stream that is open needs no requests.
        async with event_stream(daemon, bob.access_token) as stream:
            await stream.event("connected")
            while stream.comments < 5:
                assert await stream.read_more()
            assert await sessions(daemon, "sse") == 1


async def test_a_client_that_reads_nothing_gets_behind_and_is_cut_off(config: Config) -> None:
    small = with_events(config, replay_bytes=20_000, replay_frames=8, grace=60)
    small = replace(small, gateway=replace(small.gateway, outbox_bytes=50_000))
    async with running(small) as daemon, daemon.person("alice") as alice:
        bob = await sign_up(daemon.addresses.http, name="bob")
        conversation = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        poller = Poller(bob.access_token)
        await poller.poll(daemon)
        async with event_stream(daemon, bob.access_token, buffer_bytes=4096) as stream:
            for number in range(400):
                await alice.send(conversation, f"{number} " + "x" * 16_000)
            # The sockets of both sides hold megabytes; then the session is closed with 4000, and the connection cut.
            await poll_until(lambda: sessions(daemon, "sse"), lambda count: count == 0)
            await stream.rest()
            assert stream.is_over
        # The poller comes late and is told what it has missed, in bounded memory.
        found = await poller.poll(daemon)
        last = 0
        while not last:
            last = max([event["rev"] for event in found if event["t"] == "behind"], default=0)
            found = await poller.poll(daemon, 1)
        assert last > 100
        rest = sum(len(event["message"]["text"]) for event in poller.events if event["t"] == "message.new")
        assert rest < 200_000


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_a_session_whose_log_is_full_still_gets_its_end(config: Config, transport: str) -> None:
    """What waits for room in the log follows, and `closed` is the last event."""
    full = with_events(config, replay_frames=4, grace=60)
    full = replace(full, gateway=replace(full.gateway, stall_timeout=60))
    async with running(full) as daemon, daemon.person("alice") as alice:
        bob = await sign_up(daemon.addresses.http, name="bob")
        conversation = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        poller = Poller(bob.access_token)
        await poller.poll(daemon)
        for number in range(8):
            await alice.send(conversation, str(number))
        # The log is full after the position of the client.
        await poller.poll(daemon, is_lost=True)
        await done(daemon, "kick", user=bob.user)
        await poll_until(lambda: sessions(daemon, "poll"), lambda count: count == 0)
        if transport == "sse":
            async with event_stream(daemon, bob.access_token, poller.position) as stream:
                events = await stream.rest()
        else:
            with trio.fail_after(PATIENCE):
                while poller.events[-1]["t"] != "closed":
                    await poller.poll(daemon, 1)
            events = poller.events[1:]
        sent = [event["message"]["text"] for event in events if event["t"] == "message.new"]
        assert sent == [str(number) for number in range(8)]
        assert (poller.events[0]["t"], events[-1]["t"]) == ("connected", "closed")
        assert not [event for event in events[:-1] if event["t"] in ("connected", "closed")]


async def test_a_writer_that_fails_ends_its_session_only(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = with_events(config, replay_frames=2, grace=60)
    async with running(broken) as daemon, daemon.person("alice") as alice:
        bob = await sign_up(daemon.addresses.http, name="bob")
        conversation = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        poller, other = Poller(bob.access_token), Poller((await sign_up(daemon.addresses.http)).access_token)
        await poller.poll(daemon)
        await other.poll(daemon)
        with monkeypatch.context() as patch:

            async def write(self: FrameLog, frames: Frames) -> int:
                raise RuntimeError("a bug")

            patch.setattr(FrameLog, "write", write)
            for number in range(8):
                await alice.send(conversation, str(number))
            await poll_until(lambda: sessions(daemon, "poll"), lambda count: count == 1)
        # The other session goes on, and the client begins a new one.
        assert await other.poll(daemon) == []
        assert [event["t"] for event in await poller.poll(daemon)] == ["connected"]


async def test_requests_and_sessions_are_limited(config: Config) -> None:
    limited = with_events(config, grace=60, max_requests=3)
    limited = replace(limited, limits=replace(config.limits, sessions_per_user=2, connections_per_address=100))
    async with running(limited) as daemon:
        bob, eve = await sign_up(daemon.addresses.http, name="bob"), await sign_up(daemon.addresses.http, name="eve")
        async with event_stream(daemon, bob.access_token), event_stream(daemon, bob.access_token):
            answer = await daemon.rest("GET", "/v1/events?wait=0", token=bob.access_token)
            assert (answer.status, answer.body["code"]) == (429, "rate_limited")
            async with event_stream(daemon, eve.access_token):
                answer = await daemon.rest("GET", "/v1/events?wait=0", token=eve.access_token)
                assert (answer.status, answer.body["code"]) == (503, "unavailable")
                assert answer.headers["retry-after"]
        # Sessions that nobody reads make room: two of Bob are left, and that of Eve.
        pollers = [Poller(bob.access_token) for _ in range(5)]
        for poller in pollers:
            await poller.poll(daemon)
        assert (await sessions(daemon, "sse"), await sessions(daemon, "poll")) == (1, 2)
        found = [[event["t"] for event in await poller.poll(daemon)] for poller in reversed(pollers)]
        assert found == [[], [], ["connected"], ["connected"], ["connected"]]


async def test_listed_origins_may_read_and_others_may_not(config: Config) -> None:
    async with running(with_events(config)) as daemon:
        bob = await sign_up(daemon.addresses.http, name="bob")
        for origin, granted in (("https://app.test", "https://app.test"), ("https://evil.test", None)):
            headers = {"Origin": origin, "Access_Control_Request_Method": "GET"}
            answer = await daemon.rest("OPTIONS", "/v1/events", **headers)
            assert answer.headers.get("access-control-allow-origin") == granted
            if granted:
                allowed = answer.headers["access-control-allow-headers"].lower()
                assert {"chatd-session", "last-event-id"} <= set(allowed.replace(" ", "").split(","))
        answer = await daemon.rest("GET", "/v1/events?wait=0", token=bob.access_token, Origin="https://app.test")
        assert "Chatd-Position" in answer.headers["access-control-expose-headers"]

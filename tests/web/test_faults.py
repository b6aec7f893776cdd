"""The fault scripts of the Python client, for the JavaScript client: in Node and in Chromium."""

from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import ClusterTimes, Config
from tests.client.line import line_to
from tests.client.test_restore import clean, dump
from tests.conftest import Servers
from tests.support import Daemon, restarted, running
from tests.web.clients import opened, start, status, texts
from tests.web.conftest import for_pages
from tests.web.programs import Make, Program, until

SEND = "kept[name].conversation(id).send(text)"
EVENTS = "return kept[name].events.filter(({ t }) => t === 'message.new').map(({ message }) => message.text)"


async def two_clients(program: Program, daemon: Daemon, socket: str) -> str:
    """The conversation of two clients of one program."""
    await start(program, daemon, "a", socket=socket)
    user = await start(program, daemon, "b", socket=socket)
    conversation: str = await program.run("return (await kept.a.open(user)).id", user=user)
    await program.run(
        "for (const one of [kept.a, kept.b]) {"
        "one.connection.backoff.mostMs = 50; kept.watch = one.conversation(id).subscribe(() => {}); }",
        id=conversation,
    )
    return conversation


async def test_unstable_connection_loses_and_repeats_nothing(daemon: Daemon, programs: Make) -> None:
    program = await programs()
    async with line_to(daemon) as line:
        conversation = await two_clients(program, daemon, line.url)
        wanted = [f"m{number}" for number in range(60)]
        await program.run(
            "kept.acks = texts.map((text) => kept.a.conversation(id).send(text).ack)", id=conversation, texts=wanted
        )
        for number in range(0, 60, 15):
            await program.run("await kept.acks[number]", number=number)
            line.cut()
        seqs = await program.run("return (await Promise.all(kept.acks)).map(({ seq }) => seq)")
        assert seqs == list(range(1, 61))
        assert await texts(program, conversation, 60, "b") == wanted
        assert await until(program, EVENTS, lambda found: len(found) >= 60, name="b") == wanted
        assert await texts(program, conversation, 60, "a") == wanted
        assert await program.run(EVENTS, name="a") == []


async def test_reader_that_stalls_and_resumes_misses_nothing(daemon: Daemon, programs: Make) -> None:
    """What was edited meanwhile arrives as it is now."""
    program = await programs()
    async with line_to(daemon) as line, daemon.person("alice") as alice:
        conversation = await opened(alice, await start(program, daemon, socket=line.url))
        await alice.send(conversation, "0")
        await texts(program, conversation, 1)
        line.stall()
        acks = [await alice.send(conversation, str(number)) for number in range(1, 40)]
        await alice.call("message.edit", conversation=conversation, message=acks[9]["message"], text="edited")
        line.cut()
        line.flow()
        wanted = [*map(str, range(10)), "edited", *map(str, range(11, 40))]
        assert await texts(program, conversation, 40) == wanted
        assert await program.run(EVENTS, name="client") == wanted
        code = "return kept.client.conversations.get().unread"
        assert await program.run(code) == 40


async def test_daemon_that_is_restarted(config: Config, programs: Make) -> None:
    """Messages that are written meanwhile are shown at once, and arrive in their order."""
    config, program = for_pages(config), await programs()
    async with running(config) as daemon:
        socket, http = (
            int(url.rpartition(":")[2].split("/")[0]) for url in (daemon.addresses.socket, daemon.addresses.http)
        )
        conversation = await two_clients(program, daemon, daemon.addresses.socket)
        await program.run(f"await {SEND}.ack", name="a", id=conversation, text="before")
        shown = "return kept.a.conversation(id).get().messages.map(({ text, state }) => [text, state])"
        await until(program, shown, lambda found: found == [["before", "delivered"]], id=conversation)
    for name in ("a", "b"):
        await status(program, "reconnecting", name)
    for text in ("one", "two"):
        await program.run(SEND, name="a", id=conversation, text=text)
    assert await program.run(shown, id=conversation) == [["before", "delivered"], ["one", "queued"], ["two", "queued"]]
    again = replace(
        restarted(config), gateway=replace(config.gateway, port=socket), http=replace(config.http, port=http)
    )
    async with running(again):
        assert await texts(program, conversation, 3, "b") == ["before", "one", "two"]
        for name in ("a", "b"):
            await status(program, "live", name)
        delivered = [[text, "delivered"] for text in ("before", "one", "two")]
        await until(program, shown, lambda found: found == delivered, id=conversation)
        assert (await program.run("return kept.a.states"))[-3:] == ["live", "reconnecting", "live"]


async def test_database_that_is_restored(config: Config, servers: Servers, tmp_path: Path, programs: Make) -> None:
    """A page that stays open drops lost messages, and shows what took their numbers."""
    config, program = for_pages(replace(config, cluster=ClusterTimes(heartbeat=0.2))), await programs()
    async with running(config) as daemon, daemon.person("alice") as alice:
        socket, http = (
            int(url.rpartition(":")[2].split("/")[0]) for url in (daemon.addresses.socket, daemon.addresses.http)
        )
        conversation = await opened(alice, await start(program, daemon))
        await program.run("kept.client.conversation(id).subscribe(() => {})", id=conversation)
        await alice.send(conversation, "kept")
        await texts(program, conversation, 1)
        await dump(config, folder := tmp_path / "backup")
        await alice.send(conversation, "lost")
        assert await texts(program, conversation, 2) == ["kept", "lost"]
    await clean(config, servers, folder)
    again = replace(config, gateway=replace(config.gateway, port=socket), http=replace(config.http, port=http))
    async with running(again) as daemon, daemon.connected(alice.account) as alice:
        await alice.send(conversation, "instead")
        wanted = ["kept", "instead"]
        code = "return kept.client.conversation(id).get().messages.map(({ text }) => text)"
        await until(program, code, lambda found: found == wanted, id=conversation)
        await alice.send(conversation, "live")
        assert await texts(program, conversation, 3) == [*wanted, "live"]


@pytest.mark.parametrize("days", [1, -1])
async def test_clock_of_the_device_that_is_wrong_by_a_day(daemon: Daemon, programs: Make, days: int) -> None:
    """Also when it jumps while the client runs. Times of messages are those of the server."""
    program = await programs()
    await program.run("const real = Date.now; Date.now = () => real() + (kept.ahead ?? 0)")
    await program.run("kept.ahead = days * 86400000", days=days)
    async with line_to(daemon) as line, daemon.person("alice") as alice:
        conversation = await opened(alice, await start(program, daemon, socket=line.url))
        for step in range(2):
            line.stall()
            sent = "return kept.client.conversation(id).get().messages.at(-1).created_at"
            await program.run(SEND, name="client", id=conversation, text=str(step))
            waiting = await program.run(sent, id=conversation)
            line.flow()
            await until(
                program, f"{sent.replace('created_at', 'state')}", lambda state: state != "queued", id=conversation
            )
            assert abs(waiting - await program.run(sent, id=conversation)) < 3_600_000
            assert (await alice.event("message.new"))["message"]["text"] == str(step)
            await program.run("kept.ahead = -kept.ahead / 2")
            line.cut()
        await alice.send(conversation, "back")
        assert await texts(program, conversation, 3) == ["0", "1", "back"]
        await alice.call("typing.start", conversation=conversation)
        typing = "return kept.client.conversation(id).get().typing.length"
        await until(program, typing, id=conversation)
        assert 20 * 3_600_000 > abs(await program.run("return kept.client.deviceClockAhead")) / 1.01 - 1 > 5 * 3_600_000


async def test_client_that_is_logged_out_elsewhere(daemon: Daemon, programs: Make) -> None:
    """It says so, keeps what was not sent, and goes on after the next sign-in."""
    program = await programs()
    async with daemon.person("alice") as alice:
        conversation = await opened(alice, await start(program, daemon))
        await program.run("await kept.client.call('auth.logout', { everywhere: true })")
        await status(program, "offline")
        assert await program.run("return kept.client.status.get().error.code") == "logged_out"
        await program.run(SEND, name="client", id=conversation, text="later")
        await trio.sleep(0.1)
        assert await program.run("return kept.client.outbox.get().map(({ state }) => state)") == ["queued"]

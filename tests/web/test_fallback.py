"""Where WebSockets are blocked: Server-Sent Events and long polling of a whole daemon, in Node and in Chromium."""

import pytest
from msgspec.structs import replace

from chatd.accounts.settings import AuthSettings
from chatd.core.config import Config
from tests.client.line import line_to
from tests.support import Daemon, restarted, running
from tests.web.browser import Browser
from tests.web.clients import opened, start, status, texts
from tests.web.conftest import for_pages
from tests.web.programs import FILES, Make, page, until

# Nobody listens there.
NO_SOCKET = "ws://127.0.0.1:1/v1/ws"
SEND = "await kept.client.conversation(id).send(text).ack"
TRANSPORT = "return kept.client.status.get().transport"
STATES = {"sse": "live", "poll": "polling"}


@pytest.mark.parametrize("kind", STATES)
async def test_the_client_works_without_a_socket(daemon: Daemon, programs: Make, kind: str) -> None:
    program = await programs()
    user = await start(program, daemon, socket=NO_SOCKET, transports=["socket", kind])
    assert await program.run(TRANSPORT) == kind
    await status(program, STATES[kind])
    async with daemon.person("bob") as bob:
        conversation = await opened(bob, user)
        await bob.send(conversation, "hello")
        assert await texts(program, conversation, 1) == ["hello"]
        await program.run(SEND, id=conversation, text="and you?")
        assert (await bob.event("message.new"))["message"]["text"] == "and you?"
        code = "kept.client.presence(bob).subscribe(() => {}); kept.client.conversation(id).typing()"
        await program.run(code, id=conversation, bob=bob.user)
        await bob.event("typing.start")
        await until(program, "return kept.client.presence(bob).get().status === 'online'", bob=bob.user)
        await bob.call("presence.set", status="away")
        await until(program, "return kept.client.presence(bob).get().status === 'away'", bob=bob.user)
        refused = "return kept.client.call('member.role', { conversation: id, user, role: 'admin' }).catch(({ code }) => code)"
        assert await program.run(refused, id=conversation, user=bob.user) in ("forbidden", "not_found")
        own = "return kept.client.events.filter(({ t, message }) => t === 'message.new').length"
        await bob.send(conversation, "last")
        assert await texts(program, conversation, 3) == ["hello", "and you?", "last"]
        assert await program.run(own) == 2


@pytest.mark.parametrize("programs", ["node"], indirect=True)
@pytest.mark.parametrize("kind", STATES)
async def test_an_unstable_connection_loses_and_repeats_nothing(daemon: Daemon, programs: Make, kind: str) -> None:
    program = await programs()
    async with line_to(daemon, daemon.addresses.http) as line, daemon.person("bob") as bob:
        user = await start(program, daemon, url=line.url, transports=[kind])
        conversation = await opened(bob, user)
        await program.run("kept.client.conversation(id).subscribe(() => {})", id=conversation)
        for number in range(30):
            await bob.send(conversation, str(number))
            if number % 10 == 5:
                line.cut()
        wanted = [str(number) for number in range(30)]
        assert await texts(program, conversation, 30) == wanted
        sent = "return kept.client.events.filter(({ t }) => t === 'message.new').map(({ message }) => message.text)"
        assert await program.run(sent) == wanted
        await program.run(
            "kept.acks = ['a', 'b', 'c'].map((text) => kept.client.conversation(id).send(text).ack)", id=conversation
        )
        line.cut()
        seqs = await program.run("return (await Promise.all(kept.acks)).map(({ seq }) => seq)")
        assert seqs == [31, 32, 33]


@pytest.mark.parametrize("programs", ["node"], indirect=True)
@pytest.mark.parametrize("kind", STATES)
async def test_a_daemon_that_is_restarted(config: Config, programs: Make, kind: str) -> None:
    """With tokens that are renewed meanwhile."""
    config = for_pages(config)
    config, program = config.using(replace(config.get(AuthSettings), access_ttl=3.0, leeway=0.0)), await programs()
    async with running(config) as daemon:
        http = int(daemon.addresses.http.rpartition(":")[2])
        async with daemon.person("bob") as bob:
            user = await start(program, daemon, transports=[kind])
            conversation = await opened(bob, user)
            await bob.send(conversation, "before")
            assert await texts(program, conversation, 1) == ["before"]
    await status(program, "reconnecting")
    await program.run("kept.client.conversation(id).send('meanwhile')", id=conversation)
    again = replace(restarted(config), http=replace(config.http, port=http))
    async with running(again) as daemon, daemon.person("carol"):
        await until(program, "return kept.client.outbox.get().length === 0")
        await status(program, STATES[kind])
        assert await texts(program, conversation, 2) == ["before", "meanwhile"]
        await program.run("await kept.client.logout()")
        assert await program.run("return kept.client.status.get().state") == "offline"
        refused = "return kept['client account'].token(await kept['client account'].token()).catch(({ name }) => name)"
        assert await program.run(refused) == "Refused"


async def test_a_stream_through_a_service_worker(daemon: Daemon, browser: Browser) -> None:
    worker = """
    self.addEventListener("install", () => self.skipWaiting());
    self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));
    self.addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));
    """
    tab = await page(browser, files={**FILES, "/worker.js": worker})
    await tab.run(
        """
        await navigator.serviceWorker.register("/worker.js");
        while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 20));
        """
    )
    async with daemon.person("bob") as bob:
        conversation = await opened(bob, await start(tab, daemon, transports=["sse"]))
        await tab.run(SEND, id=conversation, text="through")
        assert (await bob.event("message.new"))["message"]["text"] == "through"
        await bob.send(conversation, "back")
        assert await texts(tab, conversation, 2) == ["through", "back"]

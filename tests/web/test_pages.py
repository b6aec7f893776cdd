"""What only a browser has: tabs, reloads, storage that is full or denied, the network, a service worker, React."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.client.line import line_to
from tests.interop.tools import tool
from tests.support import Daemon
from tests.web.browser import Browser
from tests.web.clients import opened, start, status, texts
from tests.web.programs import FILES, SOURCES, STATIC, PageProgram, packages, page, until

SHARED = """
const account = chat.guest({ url });
await account.signUp("shared");
kept.client = chat.connect({ url, token: account.token, socket });
return account.signUp();
"""
OUTBOX = "return kept.client.outbox.get().map(({ fields }) => fields.text)"


async def reloaded(tab: PageProgram) -> None:
    def reload(page: Any) -> None:
        page.reload()
        page.wait_for_function("window.ready")

    await tab.do(reload)


async def test_two_tabs_and_reloads_send_each_message_once(daemon: Daemon, browser: Browser) -> None:
    """While nothing gets through, messages are written in both tabs; one is reloaded, the other closed."""
    first = await page(browser)
    second = await page(browser, beside=first)
    async with line_to(daemon) as line, daemon.person("bob") as bob:
        for tab in (first, second):
            user = await tab.run(SHARED, url=daemon.addresses.http, socket=line.url)
            await tab.run("await kept.client.connected()")
        conversation = await opened(bob, user)
        line.stall()
        await first.run("for (const n of [1, 2]) kept.client.conversation(id).send(`first ${n}`)", id=conversation)
        await second.run("for (const n of [1, 2]) kept.client.conversation(id).send(`second ${n}`)", id=conversation)
        await first.run("await kept.client.queue.writes")
        await second.run("await kept.client.queue.writes")
        await reloaded(first)
        line.cut()
        await first.run(SHARED, url=daemon.addresses.http, socket=line.url)
        # The tab that stays open takes over at once, also from a page that is reloaded.
        await until(second, OUTBOX, lambda found: len(found) == 4)
        await second.do(lambda tab: tab.close())
        await until(first, OUTBOX, lambda found: len(found) == 4)
        line.flow()
        line.cut()
        found = [(await bob.event("message.new"))["message"]["text"] for _ in range(4)]
        assert sorted(found) == ["first 1", "first 2", "second 1", "second 2"]
        assert found.index("first 1") < found.index("first 2")
        assert found.index("second 1") < found.index("second 2")
        await until(first, OUTBOX, lambda found: found == [])
        history = await bob.call("message.history", conversation=conversation)
        assert len(history["items"]) == 4
        await reloaded(first)
        await first.run(SHARED, url=daemon.addresses.http, socket=line.url)
        await first.run("await kept.client.connected()")
        assert await first.run(OUTBOX) == []


async def test_an_older_tab_sends_what_a_later_one_leaves_behind(daemon: Daemon, browser: Browser) -> None:
    first = await page(browser)
    async with line_to(daemon) as line, daemon.person("bob") as bob:
        user = await first.run(SHARED, url=daemon.addresses.http, socket=line.url)
        await first.run("await kept.client.connected()")
        second = await page(browser, beside=first)
        await second.run(SHARED, url=daemon.addresses.http, socket=line.url)
        await second.run("await kept.client.connected()")
        conversation = await opened(bob, user)
        line.stall()
        await second.run("kept.client.conversation(id).send('left behind')", id=conversation)
        await second.run("await kept.client.queue.writes")
        await second.do(lambda tab: tab.close())
        await until(first, OUTBOX, lambda found: found == ["left behind"])
        line.flow()
        line.cut()
        assert (await bob.event("message.new"))["message"]["text"] == "left behind"
        await until(first, OUTBOX, lambda found: found == [])


async def test_a_page_that_starts_offline_shows_the_conversations(daemon: Daemon, browser: Browser) -> None:
    """And after it the messages that were missed, once; nothing after the user has signed out."""
    online = {"url": daemon.addresses.http, "socket": daemon.addresses.socket}
    offline = {"url": "http://127.0.0.1:1", "socket": "ws://127.0.0.1:1"}
    events = "kept.seen = []; kept.client.on('message.new', ({ message }) => kept.seen.push(message.text))"
    names = "return kept.client.conversations.get().items.map(({ name }) => name)"
    keys = "return (await chat.indexedDBStorage().getAllKeys()).filter((key) => key.startsWith('chatd/cache/')).length"
    tab = await page(browser)
    async with daemon.person("bob") as bob:
        conversation = await opened(bob, await tab.run(SHARED, **online))
        for number in range(3):
            await bob.send(conversation, str(number))
        await tab.run("await kept.client.conversation(id).load()", id=conversation)
        assert await texts(tab, conversation, 3) == ["0", "1", "2"]
        await tab.run("await kept.client.stop()")
        await reloaded(tab)
        await tab.run(SHARED, **offline)
        assert await texts(tab, conversation, 3) == ["0", "1", "2"]
        assert await tab.run(names) == ["bob"]
        await bob.send(conversation, "3")
        await reloaded(tab)
        await tab.run(SHARED.replace("return", f"{events}; return"), **online)
        assert await texts(tab, conversation, 4) == ["0", "1", "2", "3"]
        assert await until(tab, "return kept.seen", lambda found: len(found) > 0) == ["3"]
        await tab.run("await kept.client.logout()")
        assert await tab.run(keys) == 0
        await reloaded(tab)
        await tab.run(SHARED, **offline)
        await until(tab, "return kept.client.status.get().state", lambda state: state == "reconnecting")
        assert await tab.run(names) == []


async def test_full_storage_is_shown_and_nothing_is_lost(daemon: Daemon, browser: Browser) -> None:
    tab = await page(browser)
    await tab.run(SHARED, url=daemon.addresses.http, socket=daemon.addresses.socket)

    async with daemon.person("bob") as bob:
        conversation = await opened(bob, await tab.run("await kept.client.connected(); return kept.client.user"))
        # Chromium gives a test no small quota: the store refuses to write as a full one does.
        await tab.run("IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }")
        await tab.run("await kept.client.conversation(id).send('x'.repeat(9000)).ack", id=conversation)
        assert len((await bob.event("message.new"))["message"]["text"]) == 9000
        found = await until(tab, "return kept.client.status.get()", lambda found: found["storage"] == "memory")
        assert found["storageError"] == "full"


async def test_denied_storage_is_shown(browser: Browser) -> None:
    """A frame without an origin of its own has no storage at all."""
    frame = """<iframe sandbox="allow-scripts" src="/frame"></iframe><script>
    window.addEventListener("message", ({ data }) => { window.told = data; window.ready = true; });</script>"""
    script = """<script type="module">
    import { connect } from "/chatd-client.js";
    const client = connect({ url: "http://127.0.0.1:1", token: () => "token" });
    const told = () => parent.postMessage([client.status.get().storage, client.outbox.get().length], "*");
    client.outbox.put({ conversation: "c", client_id: "1", text: "hello" });
    client.status.subscribe(({ storage }) => storage === "memory" && told());
    </script>"""
    tab = await page(browser, files={**FILES, "/": frame, "/frame": script})
    assert await tab.do(lambda page: page.evaluate("told")) == ["memory", 1]


async def test_a_browser_that_is_offline_says_so_and_comes_back_at_once(daemon: Daemon, browser: Browser) -> None:
    tab = await page(browser)
    async with daemon.person("bob") as bob, line_to(daemon) as line:
        conversation = await opened(bob, await start(tab, daemon, socket=line.url))
        line.stall()
        await tab.do(lambda page: page.context.set_offline(True))
        line.cut()
        await status(tab, "offline")
        await tab.run("kept.client.conversation(id).send('written offline')", id=conversation)
        line.flow()
        await tab.do(lambda page: page.context.set_offline(False))
        await status(tab, "live")
        assert (await bob.event("message.new"))["message"]["text"] == "written offline"


async def test_a_service_worker_of_the_app_in_between(daemon: Daemon, browser: Browser) -> None:
    worker = """
    self.addEventListener("install", () => self.skipWaiting());
    self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));
    self.addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));
    """
    tab = await page(browser, files={**FILES, "/worker.js": worker})
    await tab.run(
        """
        await navigator.serviceWorker.register("/worker.js");
        await navigator.serviceWorker.ready;
        while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 20));
        """
    )
    async with daemon.person("bob") as bob:
        conversation = await opened(bob, await start(tab, daemon))
        await tab.run("await kept.client.conversation(id).send('through').ack", id=conversation)
        assert (await bob.event("message.new"))["message"]["text"] == "through"
        await bob.send(conversation, "back")
        assert await texts(tab, conversation, 2) == ["through", "back"]


APP = """
import { createRoot } from "react-dom/client";
import { useState } from "react";
import { connect, guest } from "@chatd/client";
import { ChatProvider, useChat, useConnectionStatus, useConversation, useConversations, usePresence, useTyping } from "@chatd/client/react";

function Thread({ id }) {
  const { messages, handle, conversation } = useConversation(id);
  const [others, typing] = useTyping(id);
  return <section>
    <ol>{messages.map((message) => <li key={message.key} data-state={message.state}>{message.text}</li>)}</ol>
    <p id="typing">{others.length}</p>
    {conversation?.partner && <Presence user={conversation.partner.user} />}
    <input id="text" onInput={typing} onKeyDown={(event) => event.key === "Enter" && handle.send(event.currentTarget.value)} />
  </section>;
}

function Presence({ user }) {
  return <p id="presence">{usePresence(user).status}</p>;
}

function App() {
  const { items, unread } = useConversations();
  const { state } = useConnectionStatus();
  const [id, open] = useState(null);
  return <main>
    <p id="state">{state}</p><p id="unread">{unread}</p><p id="user">{useChat().user}</p>
    <nav>{items.map((one) => <button key={one.id} onClick={() => open(one.id)}>{one.name}</button>)}</nav>
    {id && <Thread id={id} />}
  </main>;
}

const url = new URLSearchParams(location.search).get("url");
const account = guest({ url });
await account.signUp("React");
const client = connect({ url, token: account.token });
await client.connected();
createRoot(document.getElementById("root")).render(<ChatProvider client={client}><App /></ChatProvider>);
window.ready = true;
"""


def bundled(folder: Path) -> str:
    """The app, as its developer would bundle it with the files that the daemon serves."""
    source = folder / "app.jsx"
    source.write_text(APP)
    command = [
        str(packages() / ".bin/esbuild"),
        str(source),
        "--bundle",
        "--format=esm",
        "--jsx=automatic",
        "--target=es2022",
        '--define:process.env.NODE_ENV="production"',
        f"--alias:@chatd/client={STATIC / 'chatd-client.js'}",
        f"--alias:@chatd/client/react={STATIC / 'chatd-react.js'}",
    ]
    tool("node", "nodejs")
    environment = {"NODE_PATH": str(SOURCES / "node_modules")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_an_app_in_react(daemon: Daemon, browser: Browser, tmp_path: Path) -> None:
    root = '<div id="root"></div><script type="module" src="/app.js"></script>'
    address = json.dumps(daemon.addresses.http)
    start_page = f'<script>history.replaceState(null, "", "/?url=" + encodeURIComponent({address}))</script>{root}'
    tab = await page(browser, files={"/": start_page, "/app.js": bundled(tmp_path)})

    async def shows(selector: str, text: str) -> None:
        await tab.do(lambda page: page.locator(selector, has_text=text).first.wait_for())

    await shows("#state", "live")
    user = await tab.do(lambda page: page.inner_text("#user"))
    async with daemon.person("Bob") as bob:
        conversation = await opened(bob, user)
        await bob.send(conversation, "hello from Bob")
        await shows("#unread", "1")
        await tab.do(lambda page: page.get_by_role("button", name="Bob").click())
        await shows("li", "hello from Bob")
        await shows("#presence", "online")
        await bob.call("typing.start", conversation=conversation)
        await shows("#typing", "1")

        def write(page: Any) -> None:
            page.locator("#text").press_sequentially("hi Bob")
            page.locator("#text").press("Enter")

        await tab.do(write)
        await bob.event("typing.start")
        assert (await bob.event("message.new"))["message"]["text"] == "hi Bob"
        await shows("li[data-state=sent], li[data-state=delivered]", "hi Bob")
        await bob.call("receipt.read", conversation=conversation, seq=2)
        await shows("li[data-state=read]", "hi Bob")

// Requests: how often they are repeated, what ends them, and what they leave.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { clock, run } from "./clients.mjs";
import { load } from "./load.mjs";
import { HELLO, refused, Server } from "./scripted.mjs";

mock.method(Math, "random", () => 0.1);
const { exchange, Rest, Tokens, upload, Disconnected } = await load("rest", "tokens", "upload", "errors");

const FAILURES = {
  "a network that fails": () => Promise.reject(new TypeError("fetch failed")),
  "a proxy that answers itself": async () => new Response("<html>", { status: 200 }),
  "a proxy that reports an error": async () => new Response("<html>", { status: 502 }),
  "a server that refuses": async () => Response.json(refused("unavailable"), { status: 503 }),
};

for (const kind of ["sse", "poll"])
  for (const [how, fails] of Object.entries(FAILURES))
    for (const from of ["the start", "later"])
      test(`commands over ${kind} with ${how} from ${from} are repeated with growing delays`, async (t) => {
        const time = clock(t);
        const server = new Server();
        server.rest = true;
        let isBroken = from === "the start";
        const counts = {};
        const fetch = (url, init) => {
          const { pathname } = new URL(url);
          counts[pathname] = (counts[pathname] ?? 0) + 1;
          return isBroken && !/events$/.test(pathname) ? fails() : server.fetch(url, init);
        };
        await run(server, { transports: [kind], fetch }, async (open) => {
          const client = open();
          await time.pass(2000);
          isBroken = true;
          client.conversation("c").subscribe(() => {});
          client.profile("you").subscribe(() => {});
          client.conversation("c").send("hello");
          client.call("me.get").catch(() => {});
          await time.pass(60_000);
          for (const [path, count] of Object.entries(counts)) assert.ok(count < 90, `${path}: ${count}`);
          isBroken = false;
          await time.pass(60_000);
          assert.equal(client.outbox.get().length, 0);
        });
      });

test("an answer that comes at once and without events is not asked for again at once", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.rest = true;
  let count = 0;
  server.onEvents = (query) => {
    count += 1;
    return Response.json(query.get("after") === null ? [[0, HELLO]] : [], { headers: { "Chatd-Position": "p" } });
  };
  await run(server, { transports: ["poll"] }, async (open) => {
    const client = open();
    await time.pass(30_000);
    assert.ok(count < 70, String(count));
    assert.equal(client.status.get().state, "polling");
  });
});

/** A response whose headers arrive, and whose body never ends. */
const endless = () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode("[")) }));

test("a body that never ends is a connection that has ended, over long polling and REST", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.rest = true;
  await run(server, { transports: ["poll"] }, async (open) => {
    const client = open();
    await time.pass(1000);
    server.onEvents = endless;
    server.streams.at(-1).answer();
    await time.pass(42_000);
    server.onEvents = () => "poll";
    await time.pass(5000);
    assert.equal(client.status.get().state, "polling");
  });
  const done = assert.rejects(exchange(async () => endless(), "/", {}, (response) => response.json(), 5000), Disconnected);
  await time.pass(5100);
  await done;
});

const BAD_FETCHES = {
  "that obeys": (_url, { signal }) => new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.onabort = () => reject(signal.reason);
  }),
  "that ignores its signal": () => new Promise(() => {}),
  "whose body never ends": async () => endless(),
};

for (const [how, fetch] of Object.entries(BAD_FETCHES))
  for (const size of [10, 3_000_000])
    for (const when of ["before", "in the middle", "while the token is awaited"])
      test(`an upload of ${size} bytes that the app aborts ${when} ends at once, with a fetch ${how}`, async () => {
        const controller = new AbortController();
        const { signal } = controller;
        const listeners = new Set();
        const [add, remove] = [signal.addEventListener, signal.removeEventListener];
        signal.addEventListener = (name, listener) => (listeners.add(listener), add.call(signal, name, listener));
        signal.removeEventListener = (name, listener) => (listeners.delete(listener), remove.call(signal, name, listener));
        const reason = new Error("enough");
        let asked = 0;
        const tokens = new Tokens(() => (when.startsWith("while") ? new Promise(() => {}) : "token"));
        const rest = new Rest("http://chat.test", (url, init) => ((asked += 1), fetch(url, init)), tokens);
        if (when === "before") controller.abort(reason);
        const done = upload(rest, tokens, new Blob([new Uint8Array(size)]), { signal });
        const ends = assert.rejects(done, reason);
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(asked > 0, when === "in the middle");
        controller.abort(reason);
        await ends;
        assert.equal(listeners.size, 0);
      });

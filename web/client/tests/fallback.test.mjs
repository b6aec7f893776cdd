// Where WebSockets are blocked: Server-Sent Events, then long polling, and commands over REST.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { clock, run } from "./clients.mjs";
import { news, refused, Server } from "./scripted.mjs";

mock.method(Math, "random", () => 0.5);
const stream = (server) => server.streams.at(-1);

function blocked() {
  const server = new Server();
  server.outcomes = Array(1000).fill("refuse");
  server.rest = true;
  server.handlers["message.send"] = ({ client_id }) => ({ t: "message.ack", client_id, message: "m1", seq: 1, rev: 1, created_at: 7, duplicate: false, status: "sent" });
  return server;
}

test("events come as a stream after two sockets have failed, and commands go by REST with the session", async (t) => {
  const time = clock(t);
  const server = blocked();
  await run(server, {}, async (open) => {
    const client = open();
    await time.pass(2000);
    assert.deepEqual([client.status.get().state, client.status.get().transport], ["live", "sse"]);
    assert.equal(server.sockets.length, 2);
    await client.conversation("c").send("hello").ack;
    assert.equal(server.askedFor("message.send")[0].session, "s");
    stream(server).push(news("c", 2));
    await time.settle();
    assert.deepEqual(client.conversation("c").get().messages.map(({ text }) => text), ["hello", "text 2"]);
    server.handlers["reaction.add"] = () => refused("forbidden");
    await assert.rejects(client.call("reaction.add", { conversation: "c", message: "m2", emoji: "👍/x" }), { code: "forbidden" });
  });
});

test("events of any slicing arrive once", async (t) => {
  const time = clock(t);
  const server = blocked();
  await run(server, { transports: ["sse"] }, async (open) => {
    const client = open();
    await time.settle();
    const events = [1, 2, 3].map((number) => `id: p${number}\ndata: ${JSON.stringify([0, news("c", number, { text: "ä€😀" })])}\n\n`);
    const bytes = new TextEncoder().encode(`:\n\n${events.join(":\n\n")}`);
    for (const byte of bytes) stream(server).write(Uint8Array.of(byte));
    await time.settle();
    assert.deepEqual(client.conversation("c").get().messages.map(({ text }) => text), ["ä€😀", "ä€😀", "ä€😀"]);
  });
});

test("a stream that breaks off goes on at its position, without another sync", async (t) => {
  const time = clock(t);
  const server = blocked();
  await run(server, { transports: ["sse"] }, async (open) => {
    const client = open();
    await time.settle();
    stream(server).push(news("c", 1));
    await time.settle();
    stream(server).break();
    await time.pass(1000);
    assert.equal(stream(server).after, "position-2");
    stream(server).push(news("c", 2));
    await time.settle();
    assert.equal(client.conversation("c").get().messages.length, 2);
    assert.equal(server.askedFor("session.sync").length, 1);
    assert.equal(client.status.get().state, "live");
  });
});

test("a stream that falls silent is asked for again", async (t) => {
  const time = clock(t);
  const server = blocked();
  await run(server, { transports: ["sse"] }, async (open) => {
    open();
    await time.settle();
    await time.pass(40_000);
    stream(server).write(":\n\n");
    await time.pass(40_000);
    assert.equal(server.streams.length, 1);
    await time.pass(11_000);
    assert.equal(server.streams.length, 2);
    assert.ok(server.streams[0].wasAborted);
  });
});

test("the last event of a session has the meaning of a close frame", async (t) => {
  const time = clock(t);
  const server = blocked();
  await run(server, { transports: ["sse"] }, async (open) => {
    const client = open();
    await time.settle();
    stream(server).push({ t: "closed", code: 1001, name: "going_away", reason: "retry_in_ms=5000", reconnect: true });
    await time.pass(4900);
    assert.equal(server.streams.length, 1);
    await time.pass(600);
    assert.equal(server.streams.length, 2);
    stream(server).push({ t: "closed", code: 4404, name: "logged_out", reason: "", reconnect: false });
    await time.pass(60_000);
    assert.equal(client.status.get().error?.code, "logged_out");
  });
});

test("behind a proxy that holds back streams, events come by long polling", async (t) => {
  const time = clock(t);
  const server = blocked();
  server.onEvents = () => "silent";
  await run(server, { transports: ["sse", "poll"] }, async (open) => {
    const client = open();
    await time.pass(34_000);
    assert.deepEqual([client.status.get().state, client.status.get().transport], ["polling", "poll"]);
    assert.deepEqual([stream(server).after, stream(server).wait], ["position-1", "25"]);
    stream(server).answer(news("c", 1), news("c", 2));
    await time.settle();
    assert.equal(stream(server).after, "position-2");
    stream(server).answer();
    await time.pass(1000);
    assert.equal(stream(server).after, "position-3");
    assert.equal(client.conversation("c").get().messages.length, 2);
    await client.conversation("c").send({ text: "hello", client_id: "1" }).ack;
  });
});

test("a refusal of the events is that of the server: it is obeyed, and no reason for another transport", async (t) => {
  const time = clock(t);
  const server = blocked();
  const answers = [[503, refused("unavailable", { retry_after: 4 })], [429, refused("rate_limited", { retry_after: 4 })], [503, refused("maintenance", { retry_after: 4 })]];
  server.onEvents = () => {
    const next = answers.shift();
    return next ? Response.json(next[1], { status: next[0] }) : "stream";
  };
  await run(server, { transports: ["sse", "poll"] }, async (open) => {
    const client = open();
    await time.pass(3900);
    assert.equal(server.requests.filter((path) => path === "/v1/events").length, 1);
    await time.pass(11_000);
    assert.equal(client.status.get().transport, "sse");
    server.onEvents = () => Response.json(refused("banned"), { status: 403 });
    stream(server).break();
    await time.pass(3000);
    assert.equal(client.status.get().error?.code, "banned");
  });
});

test("the client returns to a WebSocket when that works", async (t) => {
  const time = clock(t);
  const server = blocked();
  await run(server, {}, async (open) => {
    const client = open();
    await time.pass(2000);
    assert.equal(client.status.get().transport, "sse");
    server.outcomes = [];
    for (let minute = 0; minute < 6; minute++) {
      await time.pass(30_000);
      stream(server)?.write?.(":\n\n");
      await time.pass(30_000);
    }
    assert.equal(client.status.get().transport, "socket");
  });
});

test("a command whose request fails has an unknown outcome, and a message is sent again", async (t) => {
  const time = clock(t);
  const server = blocked();
  let failures = 1;
  const fetch = server.fetch;
  server.fetch = (url, init) => {
    if (init?.method === "POST" && failures-- > 0) return Promise.reject(new TypeError("fetch failed"));
    return fetch(url, init);
  };
  await run(server, { transports: ["sse"], fetch: (url, init) => server.fetch(url, init) }, async (open) => {
    const client = open();
    await time.settle();
    const { ack } = client.conversation("c").send("hello");
    await time.pass(200);
    assert.equal((await ack).seq, 1);
    failures = 1;
    await assert.rejects(client.call("report.create", { reason: "spam", user: "you" }), { name: "Disconnected" });
  });
});

test("a platform without streams, and without much else, polls", async (t) => {
  const time = clock(t);
  const server = blocked();
  const missing = ["crypto", "navigator", "structuredClone"];
  const before = missing.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  const fetch = async (url, init) => {
    const response = await server.fetch(url, init);
    return new Proxy(response, { get: (target, name) => (name === "body" ? undefined : typeof target[name] === "function" ? target[name].bind(target) : target[name]) });
  };
  await run(server, { fetch }, async (open) => {
    for (const name of missing) Object.defineProperty(globalThis, name, { value: undefined, configurable: true, writable: true });
    try {
      const client = open();
      await time.pass(5000);
      assert.equal(client.status.get().transport, "poll");
      await client.conversation("c").send("hello").ack;
      assert.equal(server.askedFor("message.send")[0].text, "hello");
    } finally {
      missing.forEach((name, index) => before[index] && Object.defineProperty(globalThis, name, before[index]));
    }
  });
});

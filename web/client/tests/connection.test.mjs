// Reconnecting: close codes, tokens, failed handshakes, the network. Timers are mocked, so that minutes take no time.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { clock, run } from "./clients.mjs";
import { changes, message, news, refused, Server, state } from "./scripted.mjs";

// Delays are as long as they can be.
mock.method(Math, "random", () => 0.999999);

for (const code of [1001, 1006, 1011, 4000, 4001, 4029, 4399])
  test(`the client comes back after ${code}`, async (t) => {
    const time = clock(t);
    const server = new Server();
    await run(server, { token: (stale) => (stale ? "token-2" : "token-1") }, async (open) => {
      const client = open();
      await time.settle();
      assert.equal(client.status.get().state, "live");
      server.last.end(code);
      await time.settle();
      assert.equal(client.status.get().state, "reconnecting");
      await time.pass(600);
      assert.equal(client.status.get().state, "live");
      assert.equal(server.tokens.at(-1), code === 4001 ? "token-2" : "token-1");
    });
  });

for (const [code, reason] of [[1009, "too_big"], [4002, "replaced"], [4400, "protocol_error"], [4403, "banned"], [4404, "logged_out"], [4999, "4999"]])
  test(`the client does not come back after ${code}`, async (t) => {
    const time = clock(t);
    const server = new Server();
    await run(server, {}, async (open) => {
      const client = open();
      await time.settle();
      server.last.end(code);
      await time.pass(120_000);
      assert.equal(server.sockets.length, 1);
      const { state, error } = client.status.get();
      assert.deepEqual([state, error.name, error.code], ["offline", "Ended", reason]);
      await assert.rejects(client.call("me.get"), { name: "Ended" });
      client.start();
      await time.settle();
      assert.equal(client.status.get().state, "live");
    });
  });

test("the client waits as long as the server asks it to", async (t) => {
  const time = clock(t);
  const server = new Server();
  await run(server, {}, async (open) => {
    open();
    await time.settle();
    server.last.end(1001, "retry_in_ms=7000");
    await time.pass(6900);
    assert.equal(server.sockets.length, 1);
    await time.pass(700);
    assert.equal(server.sockets.length, 2);
  });
});

test("a server that is away is tried with growing delays, and without another transport", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.outcomes = Array(100).fill("refuse");
  server.http = () => [0];
  await run(server, {}, async (open) => {
    const client = open();
    await time.pass(16_000);
    assert.ok(server.sockets.length >= 4 && server.sockets.length <= 6, String(server.sockets.length));
    await time.pass(120_000);
    assert.ok(server.sockets.length <= 11, String(server.sockets.length));
    assert.equal(client.status.get().state, "reconnecting");
    server.outcomes = [];
    await time.pass(31_000);
    assert.equal(client.status.get().transport, "socket");
  });
});

test("a refused token is replaced once, and then ends the client", async (t) => {
  const time = clock(t);
  const server = new Server();
  const asked = [];
  server.outcomes = ["refuse"];
  server.http = (path, { headers }) => (headers?.Authorization === "Bearer token-1" ? [401, refused("unauthenticated")] : [200, { t: "user" }]);
  const token = (stale) => {
    asked.push(stale);
    return stale ? "token-2" : "token-1";
  };
  await run(server, { token }, async (open) => {
    const client = open();
    await time.pass(1000);
    assert.deepEqual(server.tokens, ["token-1", "token-2"]);
    assert.deepEqual(asked, [undefined, "token-1"]);
    server.http = () => [401, refused("unauthenticated")];
    server.outcomes = ["refuse", "refuse"];
    server.last.end(1006);
    await time.pass(5000);
    assert.equal(client.status.get().error?.code, "unauthenticated");
  });
});

test("a provider that fails is asked again; one that ends the account ends the client", async (t) => {
  const time = clock(t);
  const server = new Server();
  let failures = 2;
  const token = () => {
    if (failures-- > 0) throw new Error("the backend is away");
    return "token-1";
  };
  await run(server, { token }, async (open) => {
    const client = open();
    await time.pass(4000);
    assert.equal(client.status.get().state, "live");
  });
});

test("a ban that shows in the handshake ends the client, and a full server is obeyed", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.outcomes = ["refuse", "refuse"];
  server.http = () => [503, refused("unavailable"), { "Retry-After": "9" }];
  await run(server, {}, async (open) => {
    const client = open();
    await time.pass(8900);
    assert.equal(server.sockets.length, 1);
    server.http = () => [403, refused("banned")];
    await time.pass(1000);
    assert.equal(client.status.get().error?.code, "banned");
  });
});

test("a token that is about to expire is renewed on the open connection", async (t) => {
  const time = clock(t);
  const server = new Server();
  await run(server, { token: (stale) => (stale ? "token-2" : "token-1") }, async (open) => {
    open();
    await time.settle();
    server.last.push({ t: "token.expiring", expires_at: 0 });
    await time.settle();
    assert.deepEqual(server.askedFor("auth.refresh"), [{ t: "auth.refresh", token: "token-2" }]);
    assert.equal(server.sockets.length, 1);
  });
});

test("a dead connection is found by a ping, and sooner after the device has changed its network", async (t) => {
  const time = clock(t);
  const server = new Server();
  const told = [];
  const network = { isOnline: () => true, isVisible: () => true, subscribe: (tell) => (told.push(tell), () => {}) };
  await run(server, { network }, async (open) => {
    open();
    await time.settle();
    await time.pass(30_000);
    assert.equal(server.askedFor("ping").length, 1);
    server.handlers.ping = () => "nothing";
    await time.pass(51_000);
    assert.equal(server.sockets.length, 2);
    assert.ok(server.sockets[0].wasClosed);
    await time.pass(2000);
    for (const tell of told) tell();
    await time.pass(6200);
    assert.equal(server.sockets.length, 3);
  });
});

test("a network that comes back ends the wait at once", async (t) => {
  const time = clock(t);
  const server = new Server();
  let online = true;
  const told = [];
  const network = { isOnline: () => online, isVisible: () => true, subscribe: (tell) => (told.push(tell), () => {}) };
  const changed = () => told.forEach((tell) => tell());
  await run(server, { network }, async (open) => {
    const client = open();
    await time.settle();
    server.outcomes = Array(50).fill("refuse");
    server.http = () => [0];
    online = false;
    server.last.end(1006);
    changed();
    await time.pass(20_000);
    assert.equal(client.status.get().state, "offline");
    assert.equal(server.sockets.length, 1);
    server.outcomes = [];
    online = true;
    changed();
    await time.pass(100);
    assert.equal(client.status.get().state, "live");
  });
});

test("a user who looks away is away, and online again when they are back", async (t) => {
  const time = clock(t);
  const server = new Server();
  let visible = true;
  const told = [];
  const network = { isOnline: () => true, isVisible: () => visible, subscribe: (tell) => (told.push(tell), () => {}) };
  await run(server, { network }, async (open) => {
    open();
    await time.settle();
    for (visible of [false, true]) told.forEach((tell) => tell());
    await time.settle();
    assert.deepEqual(server.askedFor("presence.set").map(({ status }) => status), ["away", "online"]);
  });
});

test("events that are lost, repeated or out of order arrive once and in order", async (t) => {
  const time = clock(t);
  const server = new Server();
  let top = 0;
  server.handlers["conversation.sync"] = ({ rev }) => changes(rev, top);
  await run(server, {}, async (open) => {
    const client = open();
    const seen = [];
    client.on("message.new", ({ message }) => seen.push(message.seq));
    await time.settle();
    for (const numbers of [[1, 2], [4, 5], [5, 3], [8, 6, 7], [9]]) {
      top = Math.max(top, ...numbers);
      for (const number of numbers) server.last.push(news("c", number));
      await time.settle();
    }
    server.last.push({ t: "behind", conversation: "c", rev: (top = 12) });
    await time.settle();
    top = 14;
    server.states = [state("c", 14)];
    server.last.end(1006);
    await time.pass(1000);
    assert.deepEqual(seen, Array.from({ length: 14 }, (_, index) => index + 1));
    const { messages } = client.conversation("c").get();
    assert.deepEqual(messages.map(({ seq }) => seq), seen);
  });
});

test("a message that is too long fails at once, and the next one is sent", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.handlers["message.send"] = ({ client_id }) => ({ t: "message.ack", client_id, message: "m1", seq: 1, rev: 1, created_at: 7, duplicate: false, status: "sent" });
  await run(server, {}, async (open) => {
    const client = open();
    const long = client.conversation("c").send("x".repeat(1000));
    const short = client.conversation("c").send("short");
    await time.settle();
    await assert.rejects(long.ack, { code: "too_large" });
    assert.equal((await short.ack).seq, 1);
    assert.deepEqual(client.conversation("c").get().messages.map(({ text, state }) => [text.length, state]), [[5, "sent"], [1000, "failed"]]);
  });
});

test("a conversation of a server that was restored is loaded again", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.states = [state("c", 3)];
  server.handlers["message.history"] = () => ({ t: "messages", items: [1, 2, 3].map((number) => message(number)), more: false });
  await run(server, {}, async (open) => {
    const client = open();
    client.conversation("c").subscribe(() => {});
    await time.settle();
    assert.equal(client.conversation("c").get().messages.length, 3);
    server.states = [state("c", 1)];
    server.handlers["message.history"] = () => ({ t: "messages", items: [message(1, { text: "instead" })], more: false });
    server.last.end(1001);
    await time.pass(1000);
    assert.deepEqual(client.conversation("c").get().messages.map(({ text }) => text), ["instead"]);
    server.last.push(news("c", 2));
    await time.settle();
    assert.equal(client.conversation("c").get().messages.length, 2);
  });
});

test("ten thousand conversations are counted, and the list begins with one page", async (t) => {
  const time = clock(t);
  const server = new Server();
  const all = Array.from({ length: 10_000 }, (_, index) => state(`c${index}`, 1, { unread: 1, delivered_seq: 1 }));
  const pages = Array.from({ length: 50 }, (_, index) => all.slice(200 * index, 200 * (index + 1)));
  server.handlers["session.sync"] = ({ cursor = "0" }) => ({ t: "session.state", conversations: pages[Number(cursor)], gone: [], marks: [], own: false, reset: false, cursor: String(Number(cursor) + 1), more: Number(cursor) < 49 });
  const list = server.handlers["conversation.list"];
  server.handlers["conversation.list"] = (body) => {
    server.states = all.slice(0, 50);
    const page = list(body);
    server.states = all;
    return { ...page, cursor: "next" };
  };
  await run(server, {}, async (open) => {
    const client = open();
    for (let turn = 0; turn < 20; turn++) await time.settle();
    assert.equal(client.conversations.get().items.length, 50);
    const { unread, hasMore } = client.conversations.get();
    assert.deepEqual([unread, hasMore], [10_000, true]);
    server.last.push(news("c9999", 2));
    await time.settle();
    assert.equal(client.conversations.get().items.length, 51);
    assert.equal(client.conversations.get().items[0].id, "c9999");
    assert.equal(client.conversations.get().unread, 10_001);
  });
});

test("a client is for one user", async (t) => {
  const time = clock(t);
  const server = new Server();
  let sub = "me";
  await run(server, { token: () => sub }, async (open) => {
    const client = open();
    await time.settle();
    server.hello = { user: "another" };
    client.outbox.put({ conversation: "c", client_id: "1", text: "of me" });
    server.handlers["message.send"] = () => "nothing";
    await time.settle();
    server.last.end(1006);
    await time.pass(1000);
    assert.equal(client.status.get().error?.code, "another_user");
    assert.deepEqual(server.askedFor("message.send").length, 1);
  });
});

test("a client that was stopped starts again", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.handlers["message.send"] = ({ client_id }) => ({ t: "message.ack", client_id, message: "m1", seq: 1, rev: 1, created_at: 7, duplicate: false, status: "sent" });
  await run(server, {}, async (open) => {
    const client = open();
    await time.settle();
    await client.stop();
    assert.equal(client.status.get().state, "offline");
    const { ack } = client.conversation("c").send("later");
    await time.pass(100);
    client.start();
    await time.pass(100);
    assert.equal((await ack).seq, 1);
  });
});

test("a socket that the platform does not allow is one that fails", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.http = () => [0];
  const WebSocket = class {
    constructor() {
      throw new DOMException("mixed content", "SecurityError");
    }
  };
  await run(server, { WebSocket }, async (open) => {
    const client = open();
    await time.pass(3000);
    assert.equal(client.status.get().state, "reconnecting");
    assert.ok(server.requests.filter((path) => path === "/v1/me").length >= 2);
  });
});

test("presence that is given up and looked at again is kept up to date", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.handlers["presence.watch"] = ({ users }) => ({ t: "presence.states", items: users.map((user) => ({ user, status: "online", last_seen: null })) });
  await run(server, {}, async (open) => {
    const client = open();
    await time.settle();
    const presence = client.presence("you");
    presence.subscribe(() => {})();
    const seen = [];
    presence.subscribe(({ status }) => seen.push(status));
    await time.pass(200);
    server.last.push({ t: "presence.update", user: "you", status: "away", last_seen: 1 });
    await time.settle();
    assert.deepEqual(seen, ["online", "away"]);
    server.last.end(1006);
    await time.pass(1000);
    assert.deepEqual(server.askedFor("presence.watch").map(({ users }) => users), [["you"], ["you"]]);
  });
});

test("an error in a function of the app is reported, and ends nothing", async (t) => {
  const time = clock(t);
  const server = new Server();
  const reported = t.mock.method(console, "error", () => {});
  await run(server, {}, async (open) => {
    const client = open();
    await time.settle();
    client.on("message.new", () => {
      throw new Error("of the app");
    });
    client.conversation("c").subscribe(() => {
      throw new Error("of the app");
    });
    server.last.push(news("c", 1));
    await time.settle();
    assert.equal(client.conversation("c").get().messages.length, 1);
    assert.equal(server.sockets.length, 1);
    assert.ok(reported.mock.callCount() >= 2);
  });
});

test("an end while something is loaded rejects what the app waits for, and nothing else", async (t) => {
  const time = clock(t);
  const server = new Server();
  const lost = [];
  const unhandled = (error) => lost.push(error);
  process.on("unhandledRejection", unhandled);
  for (const name of ["conversation.list", "message.history", "conversation.get", "user.query", "presence.watch"])
    server.handlers[name] = () => "nothing";
  await run(server, {}, async (open) => {
    const client = open();
    client.conversation("c").subscribe(() => {});
    client.profile("you").subscribe(() => {});
    client.presence("you").subscribe(() => {});
    await time.pass(200);
    const waiting = client.call("user.get", { user: "you" });
    client.conversation("c").send("hello");
    server.last.end(4404);
    await assert.rejects(Promise.all([waiting, time.pass(1000)]), { name: "Ended" });
    await time.pass(2000);
  });
  process.off("unhandledRejection", unhandled);
  assert.deepEqual(lost, []);
});

// Start and stop in any sequence, and doubt about a connection: never more than one connection, and nothing is left.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { clock, run } from "./clients.mjs";
import { refused, Server } from "./scripted.mjs";

mock.method(Math, "random", () => 0.9);

/** Counts what a client has: timers, listeners of signals, requests, sockets, subscriptions to the network. */
function counted(t, server) {
  const timers = new Set();
  const listeners = new Map();
  for (const [set, clear] of [["setTimeout", "clearTimeout"], ["setInterval", "clearInterval"]]) {
    const [begin, end] = [globalThis[set], globalThis[clear]];
    t.mock.method(globalThis, set, (act, ...more) => {
      const timer = begin((...given) => {
        if (set === "setTimeout") timers.delete(timer);
        act(...given);
      }, ...more);
      timers.add(timer);
      return timer;
    });
    t.mock.method(globalThis, clear, (timer) => (timers.delete(timer), end(timer)));
  }
  const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
  t.mock.method(EventTarget.prototype, "addEventListener", function (name, listener, options) {
    if (this instanceof AbortSignal) listeners.set(listener, this);
    return add.call(this, name, listener, options);
  });
  t.mock.method(EventTarget.prototype, "removeEventListener", function (name, listener, options) {
    listeners.delete(listener);
    return remove.call(this, name, listener, options);
  });
  let requests = 0;
  const { fetch } = server;
  server.fetch = async (url, init) => {
    requests += 1;
    try {
      return await fetch(url, init);
    } finally {
      requests -= 1;
    }
  };
  const network = { subscribers: new Set(), isOnline: () => true, isVisible: () => true };
  network.subscribe = (changed) => (network.subscribers.add(changed), () => network.subscribers.delete(changed));
  const sockets = () => server.sockets.filter((socket) => !socket.wasClosed && !socket.hasEnded).length;
  const streams = () => server.streams.filter((stream) => !stream.wasAborted && !stream.hasEnded).length;
  return { timers, network, left: () => ({ timers: timers.size, listeners: [...listeners.values()].filter((signal) => !signal.aborted).length, requests, sockets: sockets(), streams: streams(), subscribers: network.subscribers.size }) };
}

const NOTHING = { timers: 0, listeners: 0, requests: 0, sockets: 0, streams: 0, subscribers: 0 };
const KINDS = { socket: {}, sse: { transports: ["sse"] }, poll: { transports: ["poll"] } };

for (const [kind, options] of Object.entries(KINDS))
  for (const seed of Array.from({ length: 12 }, (_, index) => index + 1))
    test(`starts and stops in any sequence over ${kind} leave at most one connection, and at the end nothing (${seed})`, async (t) => {
      const time = clock(t);
      const server = new Server();
      server.rest = true;
      const { network, left } = counted(t, server);
      let state = seed * 7919;
      const dice = (count) => (state = (state * 48271) % 2147483647) % count;
      const slow = (token) => (dice(2) ? token : new Promise((resolve) => setTimeout(() => resolve(token), 300)));
      server.outcomes = Array.from({ length: 9 }, () => ["open", "refuse", "silent", "open"][dice(4)]);
      server.handlers["session.sync"] = ((sync) => () => (dice(4) ? sync() : refused("unavailable", { retry_after: 3 })))(server.handlers["session.sync"]);
      await run(server, { network, token: () => slow("token-1"), fetch: (...given) => server.fetch(...given), ...options }, async (open) => {
        const client = open();
        for (let step = 0; step < 25; step++) {
          const acts = [() => client.start(), () => void client.stop(), () => client.stop(), () => time.pass(100 * dice(30)), () => time.settle(), () => client.conversation("c").send("x"), () => client.profile("you").subscribe(() => {}), () => client.conversation("c").typing(), () => network.subscribers.forEach((changed) => changed())];
          await acts[dice(acts.length)]();
          const { sockets, streams, subscribers } = left();
          assert.ok(sockets + streams <= 1 && subscribers <= 1, JSON.stringify(left()));
        }
        await client.stop();
        await time.pass(500);
        assert.deepEqual(left(), NOTHING);
        server.outcomes = [];
        client.start();
        await time.pass(4000);
        assert.ok(["live", "polling"].includes(client.status.get().state), client.status.get().state);
        const { sockets, streams, subscribers } = left();
        assert.deepEqual([sockets + streams, subscribers], [1, 1]);
      });
      await time.pass(500);
      assert.deepEqual(left(), NOTHING);
    });

test("a handshake is not ended by a doubt at once, but sooner than without one, and that is no failure of the transport", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.outcomes = Array(4).fill("silent");
  const { network } = counted(t, server);
  const doubt = () => network.subscribers.forEach((changed) => changed());
  await run(server, { network }, async (open) => {
    const client = open();
    for (let round = 1; round <= 4; round++) {
      await time.pass(2000);
      for (let turn = 0; turn < 3; turn++) doubt();
      await time.settle();
      assert.equal(server.sockets.length, round);
      assert.ok(!server.last.wasClosed);
      await time.pass(4000);
      doubt();
      await time.pass(1100);
      assert.ok(server.sockets[round - 1].wasClosed);
      while (server.sockets.length === round) await time.pass(100);
    }
    await time.settle();
    assert.equal(client.status.get().transport, "socket");
    assert.deepEqual(server.askedFor("ping"), []);
  });
});

test("doubts that follow each other do not hide that the connection is dead", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.handlers.ping = () => "nothing";
  const { network } = counted(t, server);
  await run(server, { network }, async (open) => {
    open();
    await time.pass(2000);
    for (let second = 0; second < 7; second++) {
      network.subscribers.forEach((changed) => changed());
      await time.pass(1000);
    }
    assert.ok(server.sockets[0].wasClosed);
  });
});

for (const kind of ["sse", "poll"])
  test(`doubts that follow each other over ${kind} repeat the request, and do not end the session`, async (t) => {
    const time = clock(t);
    const server = new Server();
    server.rest = true;
    const { network } = counted(t, server);
    await run(server, { network, transports: [kind] }, async (open) => {
      const client = open();
      await time.pass(2000);
      const before = server.streams.length;
      for (let turn = 0; turn < 50; turn++) {
        network.subscribers.forEach((changed) => changed());
        await time.pass(100);
      }
      assert.ok(server.streams.length - before <= 5, String(server.streams.length));
      assert.ok(server.streams.length > before);
      assert.equal(server.askedFor("session.sync").length, 1);
      assert.ok(["live", "polling"].includes(client.status.get().state));
    });
  });

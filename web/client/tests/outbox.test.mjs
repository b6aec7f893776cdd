// The outbox: order, reload, refusals, two tabs, and a storage that fails.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load, until } from "./load.mjs";

const { Outbox, SafeStorage, memoryStorage, Refused, Disconnected, Ended, Lifetime } = await load("outbox", "storage", "errors", "lifetime");

/** Web Locks of several tabs: `close` is the end of one. */
function tabs() {
  const queues = new Map();
  const channels = new Set();
  const next = (name) => queues.get(name)?.[0]?.start();
  return {
    tab() {
      const mine = [];
      const locks = {
        hold(name, held) {
          const queue = queues.get(name) ?? [];
          queues.set(name, queue);
          const entry = { start: () => !entry.started && ((entry.started = true), queueMicrotask(held)) };
          const release = () => {
            if (queue.includes(entry)) queue.splice(queue.indexOf(entry), 1);
            next(name);
          };
          queue.push(entry);
          mine.push(release);
          next(name);
          return release;
        },
        held: async (prefix) => [...queues].filter(([name, queue]) => name.startsWith(prefix) && queue.length).map(([name]) => name),
        announce(prefix, name, found) {
          for (const told of channels) told(name);
          channels.add(found);
          const end = () => channels.delete(found);
          mine.push(end);
          return end;
        },
        areReal: true,
      };
      return { locks, close: () => mine.forEach((release) => release()) };
    },
  };
}

function world(storage = memoryStorage(), deliver = async ({ client_id }) => ({ client_id }), ready = async () => {}) {
  const sent = [];
  const states = [];
  const safe = new SafeStorage(storage, () => states.push(safe.state));
  const make = (locks) =>
    new Outbox(safe, locks, {
      deliver: async (fields) => {
        const ack = await deliver(fields);
        sent.push(fields.text);
        return ack;
      },
      ready,
      changed: () => {},
      acked: () => {},
    }, new Lifetime());
  return { sent, states, safe, storage, make };
}

let lastId = 0;
const message = (text, conversation = "c") => ({ conversation, client_id: `id-${++lastId}`, text });
const never = () => new Promise(() => {});
const texts = (outbox) => outbox.entries.get().map((entry) => entry.fields.text);

test("messages of a conversation are sent one after the other, those of others at the same time", async () => {
  let waiting = [];
  const { make, sent } = world(memoryStorage(), () => new Promise((resolve) => waiting.push(resolve)));
  const outbox = make(tabs().tab().locks);
  for (const text of ["1", "2"]) outbox.put(message(text), 0);
  outbox.put(message("other", "d"), 0);
  await until(() => waiting.length === 2);
  assert.deepEqual(texts(outbox), ["1", "2", "other"]);
  while (sent.length < 3) {
    for (const resolve of waiting.splice(0)) resolve({});
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert.deepEqual(sent.filter((text) => text !== "other"), ["1", "2"]);
  assert.deepEqual(texts(outbox), []);
});

test("a lost connection and a temporary refusal repeat the message under its id", async () => {
  const ids = [];
  const answers = [new Disconnected(), new Refused("unavailable", "", 0.001), new Refused("timeout", "", 0.001), null];
  const { make } = world(memoryStorage(), async ({ client_id }) => {
    ids.push(client_id);
    const error = answers.shift();
    if (error) throw error;
    return { seq: 1 };
  });
  assert.equal((await make(tabs().tab().locks).put(message("1"), 0)).seq, 1);
  assert.equal(ids.length, 4);
  assert.equal(new Set(ids).size, 1);
});

test("a refused message stays as failed and does not hold up the others; it can be retried and discarded", async () => {
  let refuses = true;
  const { make, sent } = world(memoryStorage(), async ({ text }) => {
    if (text === "bad" && refuses) throw new Refused("forbidden", "a filter refuses it");
  });
  const outbox = make(tabs().tab().locks);
  const bad = message("bad");
  await assert.rejects(outbox.put(bad, 0), { code: "forbidden" });
  await outbox.put(message("good"), 0);
  const [failed] = outbox.entries.get();
  assert.deepEqual([failed.state, failed.error], ["failed", { code: "forbidden", message: "a filter refuses it" }]);
  outbox.retry(bad.client_id);
  await until(() => outbox.entries.get()[0]?.state === "failed");
  refuses = false;
  outbox.retry(bad.client_id);
  await until(() => outbox.entries.get().length === 0);
  assert.deepEqual(sent, ["good", "bad"]);
  refuses = true;
  const again = message("bad");
  await assert.rejects(outbox.put(again, 0));
  outbox.discard(again.client_id);
  assert.deepEqual(texts(outbox), []);
});

test("what was not sent is sent after a reload, in its order and before newer messages", async () => {
  const { tab } = tabs();
  const before = world(memoryStorage(), never);
  const first = tab();
  const old = before.make(first.locks);
  await old.open("me");
  for (const text of ["1", "2", "3"]) old.put(message(text), 0);
  await old.stop();
  first.close();
  for (let reload = 0; reload < 3; reload++) {
    const one = tab();
    const idle = world(before.storage, never).make(one.locks);
    await idle.open("me");
    await until(() => idle.entries.get().length === 3);
    await idle.stop();
    one.close();
  }
  const after = world(before.storage);
  const outbox = after.make(tab().locks);
  outbox.put({ ...message("elsewhere", "d") }, 0);
  await outbox.open("me");
  await outbox.put(message("4"), 0);
  assert.deepEqual(after.sent.filter((text) => text !== "elsewhere"), ["1", "2", "3", "4"]);
  await until(() => outbox.entries.get().length === 0);
  await outbox.stop();
  assert.deepEqual(await before.safe.keys("chatd/outbox"), []);
});

test("messages of another account stay where they are", async () => {
  const before = world(memoryStorage(), never);
  const outbox = before.make(tabs().tab().locks);
  await outbox.open("me");
  outbox.put(message("mine"), 0);
  await outbox.stop();
  const other = world(before.storage);
  await other.make(tabs().tab().locks).open("another");
  assert.deepEqual(other.sent, []);
  assert.equal((await before.safe.keys("chatd/outbox/me/")).length, 1);
});

test("two tabs do not send a message twice; the second sends what the first leaves behind", async () => {
  const { tab } = tabs();
  const storage = memoryStorage();
  const [a, b] = [world(storage, never), world(storage)];
  const [tabA, tabB] = [tab(), tab()];
  const [first, second] = [a.make(tabA.locks), b.make(tabB.locks)];
  await first.open("me");
  first.put(message("of the first"), 0);
  await first.writes;
  await second.open("me");
  await second.put(message("of the second"), 0);
  assert.deepEqual(b.sent, ["of the second"]);
  tabA.close();
  await until(() => b.sent.length === 2);
  assert.deepEqual(b.sent, ["of the second", "of the first"]);
  await second.stop();
  assert.deepEqual(await b.safe.keys("chatd/outbox"), []);
});

for (const [how, fails] of Object.entries({
  full: { setItem: async () => Promise.reject(new Error("QuotaExceededError")) },
  denied: { ...memoryStorage(), setItem: async () => Promise.reject(new Error("denied")), getAllKeys: async () => Promise.reject(new Error("denied")), getItem: async () => Promise.reject(new Error("denied")), removeItem: async () => Promise.reject(new Error("denied")) },
}))
  test(`with a storage that is ${how}, messages are sent and the state says so`, async () => {
    const { make, sent, safe } = world({ ...memoryStorage(), ...fails });
    const outbox = make(tabs().tab().locks);
    assert.equal(safe.state, "persistent");
    await outbox.open("me");
    await outbox.put(message("1"), 0);
    await outbox.stop();
    assert.deepEqual(sent, ["1"]);
    assert.equal(safe.state, "memory");
    assert.match(safe.error, /Quota|denied/);
  });

test("a storage that has room again is used again", async () => {
  let full = true;
  const inner = memoryStorage();
  const setItem = (key, value) => (full ? Promise.reject(new Error("full")) : inner.setItem(key, value));
  const { safe, states } = world({ ...inner, setItem });
  await safe.set("a", "1");
  assert.equal(await safe.get("a"), "1");
  full = false;
  await safe.set("b", "2");
  assert.equal(safe.state, "memory");
  await safe.set("a", "3");
  assert.equal(safe.state, "persistent");
  assert.equal(await inner.getItem("a"), "3");
  assert.deepEqual(states, ["memory", "persistent"]);
});

test("an account that the server rejects pauses the outbox until the next start", async () => {
  let ended = true;
  const { make, sent } = world(memoryStorage(), async () => {
    if (ended) throw new Ended("logged_out", "");
  });
  const outbox = make(tabs().tab().locks);
  outbox.put(message("1"), 0);
  outbox.put(message("2"), 0);
  await until(() => outbox.stopped);
  ended = false;
  outbox.resume();
  await until(() => sent.length === 2);
  assert.deepEqual(sent, ["1", "2"]);
});

for (const when of ["before the old ones are found", "after that"])
  test(`what was queued first is sent first: a message that is written ${when}`, async () => {
    const { tab } = tabs();
    const storage = memoryStorage();
    // Two tabs wrote in turn, and are closed.
    const closed = [tab(), tab()];
    const writers = closed.map(({ locks }) => world(storage, never).make(locks));
    for (const writer of writers) await writer.open("me");
    for (const number of [1, 2, 3, 4]) writers[number % 2].put(message(String(number)), number);
    for (const writer of writers) await writer.stop();
    for (const one of closed) one.close();
    let connect;
    const after = world(storage, undefined, () => new Promise((resolve) => (connect = resolve)));
    const outbox = after.make(tab().locks);
    const early = when.startsWith("before") && outbox.put(message("5"), 5);
    await new Promise((resolve) => setTimeout(resolve));
    await outbox.open("me");
    if (!early) outbox.put(message("5"), 5);
    for (let sent = 0; sent < 5; sent++) {
      await until(() => connect);
      connect();
      connect = undefined;
      await until(() => after.sent.length === sent + 1);
    }
    assert.deepEqual(after.sent, ["1", "2", "3", "4", "5"]);
    await outbox.stop();
    assert.deepEqual(await after.safe.keys("chatd/outbox"), []);
  });

test("each tab takes over from each other one, whatever the order of their starts, also after a new start", async () => {
  const { tab } = tabs();
  const storage = memoryStorage();
  const [tabA, tabB] = [tab(), tab()];
  const a = world(storage);
  const first = a.make(tabA.locks);
  await first.open("me");
  const second = world(storage, never).make(tabB.locks);
  await second.open("me");
  // It has written nothing when the others look.
  second.put(message("of the second"), 0);
  await second.writes;
  tabB.close();
  await until(() => a.sent.length === 1);
  const tabC = tab();
  const third = world(storage, never).make(tabC.locks);
  await third.open("me");
  await third.stop();
  await third.open("me");
  third.put(message("of the third"), 0);
  await third.writes;
  await third.stop();
  await until(() => a.sent.length === 2);
  assert.deepEqual(a.sent, ["of the second", "of the third"]);
  await first.stop();
  assert.deepEqual(await a.safe.keys("chatd/outbox"), []);
});

test("a start during a stop leaves the locks to the new one, and sends", async () => {
  const { tab } = tabs();
  const one = tab();
  const { make, sent, storage } = world();
  const outbox = make(one.locks);
  for (let turn = 0; turn < 3; turn++) {
    const opening = outbox.open("me");
    void outbox.stop();
    outbox.resume();
    await outbox.open("me");
    void opening;
  }
  await outbox.put(message("1"), 0);
  const other = world(storage);
  await other.make(tab().locks).open("me");
  assert.deepEqual([sent, other.sent], [["1"], []]);
  await outbox.stop();
});

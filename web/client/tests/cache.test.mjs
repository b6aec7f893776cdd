// What an app shows when it starts without a network: the stored conversations, and how they become the present ones.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, run } from "./clients.mjs";
import { load } from "./load.mjs";
import { changes, message, news, Server, state } from "./scripted.mjs";

const { memoryStorage } = await load("storage");
const options = (storage) => ({ storage, account: "me" });
const texts = (client, id = "c") => client.conversation(id).get().messages.map(({ text }) => text);
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => `text ${from + index}`);
const keysOf = async (storage) => (await storage.getAllKeys()).filter((key) => key.startsWith("chatd/cache/"));

/** A server with `top` messages in "c". */
function serving(top) {
  const server = new Server();
  server.states = [state("c", top)];
  server.handlers["conversation.sync"] = ({ rev }) => changes(rev, top);
  server.handlers["message.history"] = ({ before = top + 1, after, limit }) => {
    const all = Array.from({ length: top }, (_, index) => message(index + 1)).filter(({ seq }) => seq < before && seq > (after ?? 0));
    const items = after === undefined ? all.slice(-limit) : all.slice(0, limit);
    return { t: "messages", items, more: items.length < all.length };
  };
  return server;
}

/** A storage in which a client has left the conversation with `top` messages. */
async function left(time, top, storage = memoryStorage()) {
  const server = serving(top);
  await run(server, options(storage), async (open) => {
    const client = open();
    client.conversation("c").subscribe(() => {});
    await time.pass(2000);
    assert.equal(texts(client).at(-1), `text ${top}`);
  });
  return storage;
}

function away() {
  const server = serving(0);
  server.outcomes = Array(100).fill("refuse");
  server.http = () => [0];
  return server;
}

test("an app that starts offline shows the latest messages, its own and others, in the list and the conversation", async (t) => {
  const time = clock(t);
  const storage = await left(time, 70);
  const server = away();
  const token = () => Promise.reject(new Error("no network"));
  await run(server, { ...options(storage), token }, async (open) => {
    const client = open();
    await time.pass(1000);
    assert.deepEqual(texts(client), numbers(21, 70));
    const { items } = client.conversations.get();
    assert.deepEqual(items.map(({ id, last }) => [id, last.text]), [["c", "text 70"]]);
    assert.ok(client.conversation("c").get().hasOlder);
    assert.ok(client.conversation("c").get().messages.every(({ own }) => !own));
  });
});

for (const [missed, shown] of [[0, numbers(21, 70)], [3, numbers(21, 73)], [500, numbers(521, 570)]])
  test(`after ${missed} missed messages the stored ones become the present ones, without a gap`, async (t) => {
    const time = clock(t);
    const storage = await left(time, 70);
    const server = serving(70 + missed);
    await run(server, options(storage), async (open) => {
      const client = open();
      const seen = [];
      client.on("message.new", ({ message }) => seen.push(message.seq));
      client.conversation("c").subscribe(() => {});
      await time.pass(2000);
      assert.deepEqual(texts(client).slice(-shown.length), shown);
      assert.deepEqual(seen, missed === 3 ? [71, 72, 73] : []);
      assert.ok(server.askedFor("conversation.sync").length <= 2);
      server.last.push(news("c", 71 + missed));
      await time.settle();
      assert.equal(texts(client).at(-1), `text ${71 + missed}`);
    });
  });

test("stored conversations that the server does not have any more, or has otherwise, are dropped", async (t) => {
  const time = clock(t);
  const storage = await left(time, 5);
  const restored = serving(2);
  await run(restored, options(storage), async (open) => {
    const client = open();
    client.conversation("c").subscribe(() => {});
    await time.pass(2000);
    assert.deepEqual(texts(client), numbers(1, 2));
  });
  const server = serving(2);
  server.states = [];
  await run(server, options(storage), async (open) => {
    const client = open();
    await time.pass(2000);
    assert.deepEqual(client.conversations.get().items, []);
    assert.equal(client.conversation("c").get().gone, "unknown");
  });
  assert.deepEqual(await keysOf(storage), []);
});

test("it is bounded, and the oldest conversations go first", async (t) => {
  const time = clock(t);
  const storage = memoryStorage();
  const server = new Server();
  server.states = Array.from({ length: 150 }, (_, index) => state(`c${index}`, 0));
  await run(server, options(storage), async (open) => {
    open();
    await time.pass(1000);
    for (let index = 0; index < 150; index++) server.last.push(news(`c${index}`, 1, { created_at: 1_000_000 + index, text: "x" }));
    await time.pass(3000);
  });
  const ids = (await keysOf(storage)).map((key) => key.split("/").at(-1)).sort();
  assert.deepEqual(ids, Array.from({ length: 100 }, (_, index) => `c${index + 50}`).sort());
});

for (const [how, end] of Object.entries({
  "signs out": (client) => client.logout(),
  "is logged out elsewhere": (_client, server) => server.last.end(4404),
}))
  test(`nothing is left of a user who ${how}, and another user sees nothing of it`, async (t) => {
    const time = clock(t);
    const storage = await left(time, 5);
    const server = serving(5);
    await run(server, options(storage), async (open) => {
      const client = open();
      await time.pass(1000);
      await end(client, server);
      server.last.push(news("c", 6));
      await time.pass(2000);
      assert.deepEqual(await keysOf(storage), []);
    });
    assert.deepEqual(await keysOf(storage), []);
  });

test("accounts are separate, and an option turns it off", async (t) => {
  const time = clock(t);
  const storage = await left(time, 5);
  for (const more of [{ account: "another" }, { account: "me", cache: false }])
    await run(away(), { storage, ...more }, async (open) => {
      const client = open();
      await time.pass(1000);
      assert.deepEqual(client.conversations.get().items, []);
    });
});

const no = () => Promise.reject(new Error("denied"));
for (const [how, make] of Object.entries({
  "is full": (inner) => ({ ...inner, setItem: (key, value) => (key.startsWith("chatd/cache") ? no() : inner.setItem(key, value)) }),
  "is denied": () => ({ getItem: no, setItem: no, removeItem: no, getAllKeys: no }),
  "has damaged items": (inner) => ({ ...inner, getItem: async (key) => (await inner.getItem(key))?.slice(0, 40) ?? null }),
}))
  test(`with a storage that ${how} everything else works`, async (t) => {
    const time = clock(t);
    const inner = await left(time, 5);
    const storage = make(inner);
    const server = serving(7);
    await run(server, options(storage), async (open) => {
      const client = open();
      client.conversation("c").subscribe(() => {});
      await time.pass(2000);
      assert.deepEqual(texts(client), numbers(1, 7));
      if (how === "is full") {
        assert.equal(client.status.get().storage, "persistent");
        assert.deepEqual(await keysOf(inner), []);
      }
    });
  });

test("two tabs of one account store one after the other, and the next start is right, whichever was last", async (t) => {
  const time = clock(t);
  const storage = await left(time, 3);
  const [ahead, behind] = [serving(9), serving(6)];
  await run(ahead, options(storage), async (open) => {
    open();
    await run(behind, options(storage), async (openOther) => {
      openOther();
      await time.pass(2000);
      ahead.last.push(news("c", 10));
      await time.pass(100);
      behind.last.push(news("c", 7));
      await time.pass(2000);
    });
  });
  await run(serving(12), options(storage), async (open) => {
    const client = open();
    client.conversation("c").subscribe(() => {});
    await time.pass(2000);
    assert.deepEqual(texts(client), numbers(1, 12));
  });
});

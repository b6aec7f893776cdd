// What thousands of conversations and users cost: requests and memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, run } from "./clients.mjs";
import { member, news, Server, state } from "./scripted.mjs";

const COUNT = 3000;
const user = (id, version = 1) => ({ id, name: id, handle: null, avatar: null, picture_url: null, profile_version: version });

test("an event in each of thousands of conversations needs a few pages of the list, and none is lost", async (t) => {
  const time = clock(t);
  const server = new Server();
  const all = Array.from({ length: COUNT }, (_, index) => state(`c${index}`, 1, { delivered_seq: 1 }));
  server.states = all;
  server.handlers["conversation.list"] = ({ limit, cursor = "0" }) => {
    assert.ok(limit <= 200);
    const from = Number(cursor);
    const items = all.slice(from, from + limit).map((one) => ({ ...one, created_at: 5, members: [member("me"), member("you")], last_message: null }));
    return { t: "conversations", items, cursor: from + limit < COUNT ? String(from + limit) : null };
  };
  await run(server, {}, async (open) => {
    const client = open();
    await time.pass(500);
    client.conversation(`c${COUNT - 1}`).subscribe(() => {});
    for (let index = 0; index < COUNT; index++) server.last.push(news(`c${index}`, 2));
    await time.pass(2000);
    assert.ok(server.askedFor("conversation.get").length < 50, String(server.askedFor("conversation.get").length));
    assert.ok(server.askedFor("conversation.list").length < 5);
    assert.ok(client.conversation(`c${COUNT - 1}`).get().conversation);
    while (client.conversations.get().hasMore) await client.conversations.more();
    assert.equal(client.conversations.get().items.length, COUNT);
  });
});

test("profiles are queried in the batches of the server, one after the other, and kept up to a bound", async (t) => {
  const time = clock(t);
  const server = new Server();
  let running = 0;
  server.handlers["user.query"] = ({ users }) => {
    assert.ok(users.length <= 100);
    assert.equal(++running, 1);
    queueMicrotask(() => running--);
    return { t: "users", items: users.map((id) => user(id)) };
  };
  await run(server, {}, async (open) => {
    const client = open();
    await time.settle();
    for (let index = 0; index < COUNT; index++) server.last.push({ t: "user.updated", user: user(`stranger-${index}`) });
    for (let index = 0; index < COUNT; index++) client.profile(`seen-${index}`).get();
    await time.settle();
    assert.equal(client.users.known.size, 0);
    assert.ok(client.users.cells.size <= 1001);
    const ends = Array.from({ length: COUNT }, (_, index) => client.profile(`u${index}`).subscribe(() => {}));
    await time.pass(100 * COUNT / 100 + 1000);
    assert.equal(server.askedFor("user.query").length, COUNT / 100);
    assert.equal(client.profile(`u${COUNT - 1}`).get().name, `u${COUNT - 1}`);
    server.last.push({ t: "user.updated", user: { ...user("u5", 2), name: "renamed" } });
    await time.settle();
    assert.equal(client.profile("u5").get().name, "renamed");
    for (const end of ends) end();
    for (let index = 0; index < COUNT; index++) client.profile(`other-${index}`).get();
    assert.ok(client.users.known.size <= 1001);
  });
});

test("a profile that the app looks at while there is no connection is loaded with the next one", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.handlers["user.query"] = ({ users }) => ({ t: "users", items: users.map((id) => user(id)) });
  await run(server, {}, async (open) => {
    const client = open();
    await time.settle();
    await client.stop();
    client.profile("you").subscribe(() => {});
    client.start();
    await time.pass(500);
    assert.equal(client.profile("you").get().name, "you");
  });
});

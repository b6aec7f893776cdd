// Sign-in again after an end: which token the next start uses.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, run } from "./clients.mjs";
import { refused, Server } from "./scripted.mjs";
import { load } from "./load.mjs";

const { Tokens } = await load("tokens");

for (const [how, end] of Object.entries({
  "was logged out": (server) => server.last.end(4404),
  "was banned": (server) => server.last.end(4403),
  "had its tokens refused": (server) => {
    server.http = (path, { headers }) => (headers?.Authorization === "Bearer new" ? [200, { t: "user" }] : [401, refused("unauthenticated")]);
    server.outcomes = ["refuse", "refuse"];
    server.last.end(1006);
  },
}))
  test(`a client that ${how} starts again with the token of the next sign-in`, async (t) => {
    const time = clock(t);
    const server = new Server();
    let current = "old";
    const token = (stale) => (stale === "old" && current === "old" ? "old-2" : current);
    await run(server, { token }, async (open) => {
      const client = open();
      await time.settle();
      end(server);
      await time.pass(5000);
      assert.equal(client.status.get().error?.name, "Ended");
      current = "new";
      client.start();
      await time.pass(1000);
      assert.equal(server.tokens.at(-1), "new");
      assert.equal(client.status.get().state, "live");
    });
  });

for (const code of [1009, 4002, 4400])
  test(`a start after ${code}, and one after stop, asks for no other token`, async (t) => {
    const time = clock(t);
    const server = new Server();
    const asked = [];
    await run(server, { token: (stale) => (asked.push(stale), "token-1") }, async (open) => {
      const client = open();
      await time.settle();
      server.last.end(code);
      await time.settle();
      client.start();
      await time.settle();
      await client.stop();
      client.start();
      await time.settle();
      assert.equal(client.status.get().state, "live");
      assert.deepEqual(asked, [undefined]);
    });
  });

test("a token that was given after the end of a login is kept, and one on its way from before is not", async () => {
  const answers = [];
  const tokens = new Tokens((stale) => new Promise((resolve) => answers.push([stale, resolve])));
  const first = tokens.get();
  answers[0][1]("old");
  assert.equal(await first, "old");
  const late = tokens.renew("old");
  tokens.forget();
  const next = tokens.get();
  assert.deepEqual(answers.map(([stale]) => stale), [undefined, "old", "old"]);
  answers[2][1]("new");
  assert.equal(await next, "new");
  answers[1][1]("older");
  assert.equal(await late, "older");
  assert.equal(await tokens.get(), "new");
});

// React Native: a program with only the globals that it has, the adapter of docs/web-client.md, and its modules
// replaced by ones of the same shape.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mock, test } from "node:test";
import vm from "node:vm";
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { clock } from "./clients.mjs";
import { news, Server, state } from "./scripted.mjs";

mock.method(Math, "random", () => 0.5);
const root = fileURLToPath(new URL("../../..", import.meta.url));
const text = readFileSync(`${root}/docs/web-client.md`, "utf8");
const EXAMPLE = /## React Native\n.*?```js\n(.*?)```/s.exec(text)[1];

/** The example as a module whose packages are globals of the program. */
async function bundled() {
  const packages = { "@react-native-async-storage/async-storage": "export default AsyncStorage", "@react-native-community/netinfo": "export default NetInfo", "react-native": "export const AppState = ReactNative.AppState" };
  const { outputFiles } = await build({
    stdin: { contents: `import { connect } from "@chatd/client";\n${EXAMPLE}\nglobalThis.client = client;`, resolveDir: root },
    bundle: true,
    write: false,
    format: "iife",
    target: "es2022",
    plugins: [{
      name: "packages",
      setup(builder) {
        builder.onResolve({ filter: /^@chatd\/client$/ }, () => ({ path: `${root}/web/client/src/index.ts` }));
        builder.onResolve({ filter: /^(@react-native|react-native)/ }, ({ path }) => ({ path, namespace: "native" }));
        builder.onLoad({ filter: /.*/, namespace: "native" }, ({ path }) => ({ contents: packages[path] }));
      },
    }],
  });
  return outputFiles[0].text;
}

/** The AbortController of React Native has no reasons, and its responses have no body. */
class BareController {
  constructor() {
    const listeners = new Set();
    this.signal = { aborted: false, onabort: null, addEventListener: (_, listener) => listeners.add(listener), removeEventListener: (_, listener) => listeners.delete(listener) };
    this.abort = () => {
      if (this.signal.aborted) return;
      this.signal.aborted = true;
      this.signal.onabort?.();
      for (const listener of [...listeners]) listener({ type: "abort" });
    };
  }
}

function device(server) {
  server.http = () => [200, { t: "user", url: "ws://chat.test/v1/ws" }];
  const items = new Map();
  const network = new Set();
  const app = new Set();
  const AppState = { currentState: "active", addEventListener: (_name, changed) => (app.add(changed), { remove: () => app.delete(changed) }) };
  const globals = {
    AsyncStorage: { getItem: async (key) => items.get(key) ?? null, setItem: async (key, value) => void items.set(key, value), removeItem: async (key) => void items.delete(key), getAllKeys: async () => [...items.keys()] },
    NetInfo: { addEventListener: (changed) => (network.add(changed), () => network.delete(changed)) },
    ReactNative: { AppState },
    url: "http://chat.test",
    account: { token: () => "token-1" },
    WebSocket: server.WebSocket,
    fetch: async (url, init) => {
      const response = await server.fetch(url, init);
      return { ok: response.ok, status: response.status, headers: response.headers, json: () => response.json(), text: () => response.text() };
    },
    AbortController: BareController,
    setTimeout: (...given) => setTimeout(...given),
    clearTimeout: (...given) => clearTimeout(...given),
    setInterval: (...given) => setInterval(...given),
    clearInterval: (...given) => clearInterval(...given),
    queueMicrotask,
    performance: { now: () => performance.now() },
    console,
    atob,
    btoa,
  };
  return {
    globals,
    items,
    app: (state) => ((AppState.currentState = state), app.forEach((changed) => changed(state))),
    network: (isConnected) => network.forEach((changed) => changed({ isConnected })),
    subscribers: () => network.size + app.size,
  };
}

async function started(server, globals) {
  const context = vm.createContext(globals);
  for (const name of ["window", "document", "EventSource", "BroadcastChannel", "navigator", "ReadableStream", "indexedDB", "crypto", "TextDecoder", "XMLHttpRequest", "structuredClone"])
    assert.equal(vm.runInContext(`typeof ${name}`, context), "undefined", name);
  new vm.Script(await bundled()).runInContext(context);
  return globals.client;
}

const acked = (number) => ({ client_id }) => ({ t: "message.ack", client_id, message: "m9", seq: number, rev: number, created_at: 7, duplicate: false, status: "sent" });

test("the example connects, follows the network and the app, stores what it needs, and stops", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.handlers["message.send"] = acked(2);
  const phone = device(server);
  const client = await started(server, phone.globals);
  await time.pass(200);
  assert.equal(client.status.get().transport, "socket");
  server.last.push(news("c", 1));
  server.states = [state("c", 1)];
  await time.settle();
  phone.app("background");
  phone.app("active");
  await time.settle();
  assert.deepEqual(server.askedFor("presence.set").map(({ status }) => status), ["away", "online"]);
  phone.network(false);
  server.last.end(1006);
  await time.pass(20_000);
  assert.equal(client.status.get().state, "offline");
  client.conversation("c").send("hello");
  await time.pass(1000);
  assert.ok([...phone.items.keys()].some((key) => key.startsWith("chatd/outbox/")));
  phone.network(true);
  await time.pass(1000);
  assert.equal(client.status.get().state, "live");
  assert.equal(server.askedFor("message.send")[0].text, "hello");
  await time.pass(1000);
  await client.stop();
  assert.equal(phone.subscribers(), 0);
  assert.ok(![...phone.items.keys()].some((key) => key.startsWith("chatd/outbox/")));
  // The next start of the app, without a network.
  server.outcomes = Array(100).fill("refuse");
  server.http = () => [0];
  const again = await started(server, { ...phone.globals });
  await time.pass(1000);
  assert.deepEqual(Array.from(again.conversation("c").get().messages, ({ text }) => text), ["text 1", "hello"]);
  await again.stop();
});

test("without WebSockets it polls, because responses have no streams, and no request is left after stop", async (t) => {
  const time = clock(t);
  const server = new Server();
  server.rest = true;
  server.handlers["message.send"] = acked(1);
  server.outcomes = Array(1000).fill("refuse");
  const phone = device(server);
  const client = await started(server, phone.globals);
  await time.pass(10_000);
  assert.equal(client.status.get().transport, "poll");
  await client.conversation("c").send("hello").ack;
  server.streams.at(-1).answer(news("c", 2));
  await time.settle();
  assert.deepEqual(Array.from(client.conversation("c").get().messages, ({ text }) => text), ["hello", "text 2"]);
  await client.stop();
  assert.ok(server.streams.filter((stream) => !stream.hasEnded).every((stream) => stream.wasAborted));
});

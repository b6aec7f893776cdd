// Clients of a scripted server, with timers that a test advances: minutes take no time.
import { load } from "./load.mjs";

const { connect, memoryStorage, steadyNetwork } = await load("index");

/** Calls `body` with a function that opens clients; stops them at the end. */
export async function run(server, options, body) {
  const clients = [];
  const token = options.token ?? (() => "token-1");
  const open = (more = {}) => {
    const given = { url: "http://chat.test", socket: "ws://chat.test/v1/ws", WebSocket: server.WebSocket, fetch: server.fetch };
    const client = connect({ ...given, storage: memoryStorage(), network: steadyNetwork, ...options, token, ...more });
    clients.push(client);
    return client;
  };
  try {
    await body(open);
  } finally {
    for (const client of clients) await client.stop();
  }
}

/** Takes over the timers and the monotonic clock. */
export function clock(t) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.mock.method(performance, "now", () => now);
  let now = 0;
  const settle = async () => {
    for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    settle,
    /** Advances the time, step by step. */
    async pass(ms) {
      await settle();
      for (let passed = 0; passed < ms; passed += 100) {
        now += 100;
        t.mock.timers.tick(100);
        await settle();
      }
    },
  };
}

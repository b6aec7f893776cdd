// A Node program that a test drives: it reads lines of JSON with code to run, and answers each with a line.
// Arguments: the path of the client.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [client, packages] = process.argv.slice(2);
const { WebSocket } = createRequire(packages)("ws");
const chat = await import(pathToFileURL(client));
const platform = { WebSocket };
const kept = {};
const AsyncFunction = (async () => {}).constructor;
process.on("unhandledRejection", (error) => console.log(JSON.stringify({ id: 0, error: `unhandled: ${error?.stack}` })));

for await (const line of createInterface({ input: process.stdin })) {
  const { id, code, values } = JSON.parse(line);
  // The next line is read before this one is answered.
  new AsyncFunction("chat", "platform", "kept", ...Object.keys(values), code)(chat, platform, kept, ...Object.values(values)).then(
    (result) => console.log(JSON.stringify({ id, result: result ?? null })),
    (error) => console.log(JSON.stringify({ id, error: String(error?.stack ?? error) })),
  );
}
process.exit(0);

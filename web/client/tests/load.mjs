// The modules of the client for tests, compiled in memory.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const sources = join(dirname(fileURLToPath(import.meta.url)), "..", "src");

/** The exports of several modules together, such as load("outbox", "locks"). */
export async function load(...names) {
  const contents = names.map((name) => `export * from "./${name}.js";`).join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: sources, loader: "ts" },
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

/** Waits until the condition holds. */
export async function until(holds, what = String(holds)) {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > 30_000) throw new Error(`it never held: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

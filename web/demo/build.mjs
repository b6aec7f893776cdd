// Builds the demo page: `node build.mjs FOLDER`. With `--check`, the types are checked as well.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const client = join(here, "..", "client");
const { build } = createRequire(join(client, "build.mjs"))("esbuild");
const folder = resolve(process.argv[2] ?? join(here, "dist"));

if (process.argv.includes("--check"))
  execFileSync(join(client, "node_modules", ".bin", "tsc"), ["-p", here], { stdio: "inherit" });
mkdirSync(folder, { recursive: true });
await build({
  entryPoints: [join(here, "src", "main.ts")],
  outfile: join(folder, "demo.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  // The file of the client that every daemon has, as an app without a build step would import it.
  alias: { "@chatd/client": "/demo/chatd-client.js" },
  external: ["/demo/chatd-client.js"],
  logLevel: "warning",
});
await build({
  entryPoints: [join(here, "demo.css")],
  outfile: join(folder, "demo.css"),
  bundle: true,
  minify: true,
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) copyFileSync(join(here, name), join(folder, name));

// Builds the package: `node build.mjs [FOLDER]`, by default into dist/.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? join(here, "dist"));
const { scripts, devDependencies, files, exports, ...manifest } = JSON.parse(
  readFileSync(join(here, "package.json"), "utf8"),
);
const { name, version, license } = manifest;

async function bundle(source, target) {
  await build({
    entryPoints: [join(here, "src", source)],
    outfile: join(folder, target),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["react"],
    banner: { js: `/*! ${name} ${version}, ${license} */` },
    logLevel: "warning",
  });
}

/** One declaration file for each module; the types of the wire are those of docs/chatd.d.ts. */
function declarations() {
  const emitted = join(here, "build", "types");
  rmSync(emitted, { recursive: true, force: true });
  execFileSync(join(here, "node_modules", ".bin", "tsc"), ["-p", here], { stdio: "inherit" });
  const types = join(folder, "types");
  rmSync(types, { recursive: true, force: true });
  mkdirSync(types, { recursive: true });
  const modules = join(emitted, "web", "client", "src");
  for (const file of readdirSync(modules)) {
    const text = readFileSync(join(modules, file), "utf8");
    writeFileSync(join(types, file), text.replaceAll("../../../docs/chatd.js", "./protocol.js"));
  }
  copyFileSync(join(here, "..", "..", "docs", "chatd.d.ts"), join(types, "protocol.d.ts"));
  writeFileSync(join(folder, "chatd-client.d.ts"), 'export * from "./types/index.js";\n');
  writeFileSync(join(folder, "chatd-react.d.ts"), 'export * from "./types/react.js";\n');
}

/** The folder by itself is a package too. */
function describe() {
  const own = JSON.parse(JSON.stringify(exports).replaceAll("./dist/", "./"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ ...manifest, exports: own }, null, 2) + "\n");
}

await Promise.all([bundle("index.ts", "chatd-client.js"), bundle("react.ts", "chatd-react.js")]);
declarations();
describe();

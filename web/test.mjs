// Bundles test/*.test.ts with esbuild (Node reads no TypeScript) and runs them with node --test.
import { spawn } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const out = join(root, "node_modules/.cache/tests");
await rm(out, { recursive: true, force: true });
const tests = (await readdir(join(root, "test"))).filter(
  (name) => name.endsWith(".test.ts") || name.endsWith(".test.tsx"),
);
await build({
  absWorkingDir: root,
  entryPoints: tests.map((name) => join("test", name)),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  jsx: "automatic",
  jsxImportSource: "preact",
  sourcemap: "inline",
  logLevel: "warning",
});
const files = tests.map((name) => join(out, name.replace(/\.tsx?$/, ".mjs")));
const env = { ...process.env, UPDATE: process.argv.includes("--update") ? "1" : "" };
const run = spawn(process.execPath, ["--enable-source-maps", "--test", "--test-reporter=spec", ...files], {
  cwd: root,
  stdio: "inherit",
  env,
});
run.on("exit", (code) => process.exit(code ?? 1));

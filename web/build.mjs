// Builds the pages into dist: one script and one style sheet a page, named after their content, and the HTML that
// refers to them. Fails when a page outgrows its budget: a patient's phone pays for every byte.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, "dist");
/** Page → most kilobytes of compressed script. */
const budgets = { join: 60, consultations: 60, consultation: 150, live: 60 };
const pages = Object.keys(budgets);

for (const name of await readdir(dist)) {
  if (name !== ".gitkeep") await rm(join(dist, name), { recursive: true });
}
await mkdir(join(dist, "assets"), { recursive: true });

const options = {
  absWorkingDir: root,
  outdir: "dist/assets",
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022", "safari15.4", "firefox115", "chrome109"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none", // licences.txt has them
  metafile: true,
  logLevel: "warning",
};
/** Pages with parts that are loaded later. The others stay whole: what they would share would be one more file to wait for. */
const divided = ["consultation"];
const entries = (names) => names.map((page) => `src/pages/${page}.tsx`);
const built = await Promise.all([
  build({ ...options, entryPoints: entries(pages.filter((page) => !divided.includes(page))) }),
  build({ ...options, entryPoints: entries(divided), splitting: true, chunkNames: "[name]-[hash]" }),
]);
const result = {
  inputs: Object.assign({}, ...built.map(({ metafile }) => metafile.inputs)),
  outputs: Object.assign({}, ...built.map(({ metafile }) => metafile.outputs)),
};

// The licences of what is bundled travel with it.
const inputs = Object.keys(result.inputs).map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
const licences = [];
for (const name of [...new Set(inputs)].filter(Boolean).sort()) {
  const file = (await readdir(join(root, "node_modules", name))).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} has no licence file`);
  licences.push(`${name}\n\n${await readFile(join(root, "node_modules", name, file), "utf8")}`);
}
await writeFile(join(dist, "assets/licences.txt"), licences.join(`\n${"-".repeat(72)}\n\n`));

const icon = await readFile(join(root, "src/pages/icon.svg"));
const iconName = `assets/icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8)}.svg`;
await writeFile(join(dist, iconName), icon);

const template = await readFile(join(root, "src/pages/page.html"), "utf8");
let failed = false;
for (const page of pages) {
  const [path, output] = Object.entries(result.outputs).find(
    ([, candidate]) => candidate.entryPoint === `src/pages/${page}.tsx`,
  );
  const address = (file) => `/assets/${basename(file)}`;
  const html = template
    .replace("{{page.js}}", address(path))
    .replace("{{page.css}}", address(output.cssBundle))
    .replace("{{icon.svg}}", `/${iconName}`);
  await writeFile(join(dist, `${page}.html`), html);
  const { first, later } = await weights(path);
  const kilobytes = first + later;
  const of = later > 0 ? ` (${later.toFixed(1)} of it later)` : "";
  console.log(`${page}.html: script ${kilobytes.toFixed(1)} kB compressed${of}, at most ${budgets[page]}`);
  failed ||= kilobytes > budgets[page];
}

// Kilobytes, compressed, of what a page loads at once and of what it loads when it is needed.
async function weights(entry) {
  const seen = new Set();
  const sum = { first: 0, later: 0 };
  const add = async (path, when) => {
    if (seen.has(path)) return;
    seen.add(path);
    sum[when] += gzipSync(await readFile(join(root, path))).length / 1000;
    for (const { path: other, kind } of result.outputs[path].imports) {
      if (result.outputs[other]) await add(other, kind === "dynamic-import" ? "later" : when);
    }
  };
  await add(entry, "first");
  return sum;
}

if (failed) {
  console.error("A page is over its budget.");
  process.exit(1);
}

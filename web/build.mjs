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

const result = await build({
  absWorkingDir: root,
  entryPoints: pages.map((page) => `src/pages/${page}.tsx`),
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
});

// The licences of what is bundled travel with it.
const inputs = Object.keys(result.metafile.inputs).map(
  (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1],
);
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
  const [path, output] = Object.entries(result.metafile.outputs).find(
    ([, candidate]) => candidate.entryPoint === `src/pages/${page}.tsx`,
  );
  const address = (file) => `/assets/${basename(file)}`;
  const html = template
    .replace("{{page.js}}", address(path))
    .replace("{{page.css}}", address(output.cssBundle))
    .replace("{{icon.svg}}", `/${iconName}`);
  await writeFile(join(dist, `${page}.html`), html);
  const kilobytes = gzipSync(await readFile(join(root, path))).length / 1000;
  console.log(`${page}.html: script ${kilobytes.toFixed(1)} kB compressed, at most ${budgets[page]}`);
  failed ||= kilobytes > budgets[page];
}
if (failed) {
  console.error("A page is over its budget.");
  process.exit(1);
}

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

// Tests are run from web/.
const folder = join(process.cwd(), "../internal/signaling/testdata");

/** The examples of all messages, by type: the same files that the Go tests read. */
export function examples(): Map<string, Record<string, unknown>> {
  const found = new Map<string, Record<string, unknown>>();
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".json"))) {
    found.set(name.replace(/\.json$/, ""), JSON.parse(readFileSync(join(folder, name), "utf8")));
  }
  return found;
}

export function example<T>(type: string): T {
  const found = examples().get(type);
  if (!found) throw new Error(`no example of ${type}`);
  return found as T;
}

// The repository's own files. Git is not asked: a check must work on an unpacked archive too.
import { readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

const NOT_OURS = new Set(["node_modules", "dist", ".git", ".tap", ".nx", "coverage", "tmp", ".iot-topology"]);

/** Paths relative to the root, with forward slashes, that match the pattern, in order. */
export function sources(pattern, folder = "") {
  const found = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory() && !NOT_OURS.has(entry.name)) found.push(...sources(pattern, path));
    else if (entry.isFile() && pattern.test(path)) found.push(path);
  }
  return found.sort();
}

/** Ends a check: prints what is wrong, or what was looked at. */
export function conclude(name, problems, looked) {
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.stdout.write(problems.length === 0 ? `${name}: ${looked}, nothing wrong\n` : `${name}: ${problems.length} wrong\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

// The repository's files as git sees them: tracked, and new ones that are not ignored.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** Paths relative to the root that match the pattern, in order. */
export function sources(pattern) {
  return execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8" })
    .split("\n").filter((path) => pattern.test(path) && existsSync(join(root, path))).sort();
}

/** Ends a check: prints what is wrong, or what was looked at. */
export function conclude(name, problems, looked) {
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.stdout.write(problems.length === 0 ? `${name}: ${looked}, nothing wrong\n` : `${name}: ${problems.length} wrong\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

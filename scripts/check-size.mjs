// A file that defines one noun is short. More than 300 lines is told, more than 400 is refused.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { conclude, root, sources } from "./sources.mjs";

const LINES_WARN = 300;
const LINES_MAX = 400;
const problems = [];
const files = sources(/^packages\/[^/]+\/src\/.*\.ts$|^scripts\/.*\.mjs$/);
for (const path of files) {
  const lines = readFileSync(join(root, path), "utf8").split("\n").length - 1;
  if (lines > LINES_MAX) problems.push(`${path}: ${lines} lines, the limit is ${LINES_MAX}: it holds more than one thing`);
  else if (lines > LINES_WARN) process.stdout.write(`note: ${path}: ${lines} lines, ${LINES_WARN} is the aim\n`);
}
conclude("size", problems, `${files.length} files`);

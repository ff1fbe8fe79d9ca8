// Runs every check and prints a summary. `npm run check -- lint size` runs only those.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { root } from "./sources.mjs";

const scripts = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts;
const all = Object.keys(scripts).filter((name) => name.startsWith("check:")).map((name) => name.slice("check:".length));
const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (all.includes(name)) continue;
  process.stderr.write(`check: there is no check "${name}". There are: ${all.join(", ")}\n`);
  process.exit(2);
}

const results = [];
for (const name of wanted.length > 0 ? wanted : all) {
  const startedAt = performance.now();
  // The scripts are run as npm would run them, without npm's 0.3 s each.
  const { status, stdout, stderr } = spawnSync(scripts[`check:${name}`], {
    cwd: root, shell: true, encoding: "utf8", maxBuffer: 64e6,
    env: { ...process.env, PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH ?? ""}` },
  });
  const ok = status === 0;
  results.push(ok);
  const text = `${stdout ?? ""}${stderr ?? ""}`.trim();
  process.stdout.write(`${ok ? "ok      " : "NOT OK  "}${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)\n`);
  if (!ok) process.stdout.write(`${text.split("\n").map((line) => `        ${line}`).join("\n")}\n`);
}
const failed = results.filter((ok) => !ok).length;
process.stdout.write(`check: ${results.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

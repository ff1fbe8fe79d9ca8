// Runs the tests and says little: a line a file, the whole story of what failed, and one last line with the counts.
//   node scripts/test.mjs [files and options for tap]
// A test is a `t.test` block (or a file) that asserts something itself; each counts once, however many assertions it has.
import { spawn } from "node:child_process";
import { delimiter, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const FAILURE_LINES_MAX = 400; // a file
const POINT = /^( *)(not )?ok(?: \d+)?(?: - (.*?))?(?: # (?:time=([\d.]+)ms|(SKIP|TODO)\b ?(.*)))?$/i;

/**
 * Reads the runner's output, which nests by four blanks a level and closes a level with the result of its parent:
 *
 *     # Subtest: file            level 0
 *         # Subtest: name        level 1
 *             ok 1 - an assertion        counted into level 1's test
 *         ok 1 - name            closes level 2
 *     ok 1 - file
 */
class Counter {
  passed = 0;
  failed = 0;
  skipped = 0;
  #levels = [];
  /** @type {number | null} */
  #yamlIndent = null;
  #fileLines = [];
  #file = null;

  constructor(onFile) {
    this.onFile = onFile;
  }

  line(text) {
    if (text.startsWith("# Subtest: ")) this.end();
    this.#fileLines.push(text);
    if (this.#fileLines.length > FAILURE_LINES_MAX * 50) this.#fileLines.splice(0, FAILURE_LINES_MAX * 25);
    const indent = text.length - text.trimStart().length;
    if (this.#yamlIndent !== null) {
      if (indent === this.#yamlIndent && text.trim() === "...") this.#yamlIndent = null;
      return;
    }
    if (text.trim() === "---") {
      this.#yamlIndent = indent;
      return;
    }
    const point = POINT.exec(text);
    if (point === null) return;
    const depth = Math.floor(indent / 4);
    if (indent % 4 !== 0) return;
    this.#point(depth, { ok: point[2] === undefined, name: point[3] ?? "", ms: point[4], directive: point[5]?.toUpperCase(), reason: point[6] });
  }

  #level(depth) {
    return (this.#levels[depth] ??= { assertions: 0, failures: 0, failedBelow: false, seen: false });
  }

  #point(depth, point) {
    const below = this.#levels[depth + 1];
    const level = this.#level(depth);
    level.seen = true;
    if (below !== undefined && below.seen) this.#close(depth, point, below);
    else if (depth === 0) this.#closeEmptyFile(point);
    else if (point.directive !== undefined) this.#skip(point);
    else {
      level.assertions += 1;
      if (!point.ok) level.failures += 1;
    }
    this.#levels.length = depth + 1;
    if (depth > 0) return;
    if (this.#file !== null) this.end();
    this.#file = point;
    this.#levels = [];
  }

  /** The end of a file: its result has been read, and so have the details that follow the result. */
  end() {
    if (this.#file !== null) this.onFile(this.#file, this.#fileLines);
    this.#file = null;
    this.#fileLines = [];
  }

  /** A parent's result: what it asserted itself makes one test. */
  #close(depth, point, below) {
    const failedBelow = below.failedBelow || below.failures > 0;
    if (below.failures > 0) this.failed += 1;
    else if (!point.ok && point.directive === undefined && !below.failedBelow) this.failed += 1; // it crashed, or ran out of time
    else if (below.assertions > 0) this.passed += 1;
    this.#level(depth).failedBelow ||= failedBelow || (!point.ok && point.directive === undefined);
  }

  #closeEmptyFile(point) {
    if (point.directive !== undefined) this.#skip(point);
    else if (!point.ok) this.failed += 1;
  }

  #skip(point) {
    this.skipped += 1;
    skips.push(`${point.name}${point.reason ? ` (${point.reason})` : ""}`);
  }
}

const skips = [];

function tapScript() {
  const manifest = createRequire(join(root, "package.json")).resolve("tap/package.json");
  return join(dirname(manifest), JSON.parse(readFileSync(manifest, "utf8")).bin.tap);
}

function report(point, lines) {
  const time = point.ms === undefined ? "" : ` (${(Number(point.ms) / 1000).toFixed(1)} s)`;
  if (point.ok) {
    process.stdout.write(`ok      ${point.name}${time}\n`);
    return;
  }
  const shown = lines.filter((text) => !/^ *ok |^ *$|^ *1\.\.\d+$|^    - --|^  (stdio|cwd|externalID|command|args|jobId):/.test(text)).slice(0, FAILURE_LINES_MAX);
  process.stdout.write(`NOT OK  ${point.name}${time}\n${shown.join("\n")}\n`);
}

const counter = new Counter(report);
const child = spawn(process.execPath, [tapScript(), "--reporter=tap", ...process.argv.slice(2)], {
  cwd: root,
  env: { ...process.env, PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH ?? ""}` },
  stdio: ["ignore", "pipe", "inherit"],
});
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => child.kill(signal));
createInterface({ input: child.stdout }).on("line", (text) => counter.line(text));
child.on("error", (error) => {
  process.stderr.write(`test: the runner could not be started: ${error.message}\n  cure: node scripts/setup.mjs\n`);
  process.exitCode = 1;
});
child.on("close", (code, signal) => {
  counter.end();
  if (counter.passed + counter.failed === 0) {
    process.stderr.write("test: no tests ran\n");
    process.exitCode = 1;
  }
  // The runner's own verdict stands beside the count: neither alone can turn a failure into a success.
  if (code !== 0 || signal !== null || counter.failed > 0) process.exitCode = 1;
  if (code !== 0 && counter.failed === 0) counter.failed += 1;
  for (const skip of skips) process.stdout.write(`skipped ${skip}\n`);
  process.stdout.write(`${counter.passed} passed, ${counter.failed} failed, ${counter.skipped} skipped\n`);
});

// Sets the repository up: installs the dependencies when they are missing or when the lockfile has changed since.
// Runs under whatever Node the system has (20 or newer) with nothing installed, so: Node's own modules only, no TypeScript.
// With `--print-node` the path of the Node that everything else runs under is printed on standard output; all else goes to standard error.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const lockfile = join(root, "package-lock.json");
const stampFile = join(modules, ".iot-topology-setup");
const nodeBin = join(modules, ".bin", process.platform === "win32" ? "node.cmd" : "node");

/** @type {[number, number]} */
const NODE_MINIMUM = [22, 18];
const DISK_BYTES_MINIMUM = 1.5e9; // installed: 1.2 GB, almost half of it the embedded ClickHouse engine

const OUT_OF_STEP = /can only install packages when your package\.json and package-lock\.json/;

/** What npm printed -> what to do about it. The first that matches is shown. */
/** @type {[RegExp, string][]} */
const CURES = [
  [/ENOSPC/, "The disk is full. The dependencies need 1.5 GB here and about as much in npm's cache: free some space and run it again."],
  [/EROFS|EACCES|EPERM/, `Something under ${root} (or npm's cache) cannot be written by this user: change its owner or mode and run it again.`],
  [OUT_OF_STEP, "package.json and package-lock.json disagree: run `npm install` and commit the lockfile."],
  [/EINTEGRITY/, "A downloaded package is damaged: run `npm cache verify` and try again."],
  [/E401|E403/, "The package registry refused the request: check the registry and its token in your npm configuration (`npm config list`)."],
  [/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|network/i,
    "The package registry cannot be reached: check the network and proxy settings (`npm config get registry`, `npm config get proxy`). The network is needed for the first setup only."],
  [/node-gyp|gyp ERR/, "A native dependency has no prebuilt binary for this platform. Linux and macOS on x64 and arm64 (glibc) are supported."],
];

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text, cure) {
  process.stderr.write(`setup: error: ${text}\n${cure === undefined ? "" : `  cure: ${cure}\n`}`);
  process.exit(1);
}

function atLeast(version, [major, minor]) {
  const [a, b] = version.replace(/^v/, "").split(".").map(Number);
  return a > major || (a === major && b >= minor);
}

function lockfileHash() {
  return existsSync(lockfile) ? createHash("sha256").update(readFileSync(lockfile)).digest("hex") : "no lockfile";
}

function readStamp() {
  return existsSync(stampFile) ? readFileSync(stampFile, "utf8").trim() : null;
}

/** Whether what is installed is what the lockfile says, judged by npm's own record in node_modules. It spares those who ran npm themselves a second install. */
function installedMatchesLockfile() {
  const record = join(modules, ".package-lock.json");
  if (!existsSync(record) || !existsSync(lockfile)) return false;
  try {
    const installed = JSON.parse(readFileSync(record, "utf8")).packages ?? {};
    const wanted = JSON.parse(readFileSync(lockfile, "utf8")).packages ?? {};
    for (const [path, entry] of Object.entries(wanted)) {
      if (path === "" || entry.optional || entry.devOptional || entry.peer) continue;
      if (installed[path] === undefined || installed[path].version !== entry.version) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** npm is run by the system's Node, not by the one in node_modules, which `npm ci` removes. */
function findNpm() {
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.startsWith(modules)).join(delimiter);
  const env = { ...process.env, PATH: path };
  const script = process.env.npm_execpath;
  const systemNode = process.execPath.startsWith(modules) ? "node" : process.execPath;
  /** @type {[string, string[]][]} */
  const candidates = script !== undefined && /npm-cli\.[cm]?js$/.test(script) ? [[systemNode, [script]], ["npm", []]] : [["npm", []]];
  for (const [command, args] of candidates) {
    const probe = spawnSync(command, [...args, "--version"], { env, encoding: "utf8", shell: process.platform === "win32" });
    if (probe.status === 0) return { command, args, env };
  }
  return fail("npm was not found.", "Install Node.js 20 or newer together with npm (https://nodejs.org) and run it again.");
}

function runNpm(npm, args) {
  return new Promise((done) => {
    const child = spawn(npm.command, [...npm.args, ...args], {
      cwd: root, env: npm.env, stdio: ["ignore", "pipe", "pipe"], shell: process.platform === "win32",
    });
    let tail = "";
    const pass = (chunk) => {
      process.stderr.write(chunk);
      tail = (tail + chunk.toString()).slice(-20_000);
    };
    child.stdout.on("data", pass);
    child.stderr.on("data", pass);
    const forward = (signal) => child.kill(signal);
    process.on("SIGTERM", forward);
    child.on("error", (error) => done({ code: 1, tail: String(error) }));
    child.on("close", (code) => {
      process.off("SIGTERM", forward);
      done({ code: code ?? 1, tail });
    });
  });
}

function checkDisk() {
  let free;
  try {
    const disk = statfsSync(root);
    free = disk.bavail * disk.bsize;
  } catch {
    return; // a file system that cannot tell
  }
  if (free < DISK_BYTES_MINIMUM) {
    fail(`Only ${(free / 1e9).toFixed(1)} GB are free on the disk of ${root}; the dependencies need ${(DISK_BYTES_MINIMUM / 1e9).toFixed(1)} GB.`, "Free some space and run it again.");
  }
}

async function install() {
  const npm = findNpm();
  const verb = existsSync(lockfile) ? "ci" : "install";
  checkDisk();
  say(`installing the dependencies with \`npm ${verb}\` (1.2 GB, a few minutes the first time) ...`);
  const startedAt = Date.now();
  // Development tools are wanted whatever NODE_ENV says. The warnings about engines would be about the system's Node, which runs nothing here.
  const flags = ["--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"];
  let { code, tail } = await runNpm(npm, [verb, ...flags]);
  if (code !== 0 && OUT_OF_STEP.test(tail)) {
    // Some npm versions count an optional package of another platform as a disagreement. The versions are the lockfile's this way too.
    say("`npm ci` finds the lockfile out of step; trying `npm install --no-save` ...");
    ({ code, tail } = await runNpm(npm, ["install", "--no-save", ...flags]));
  }
  if (code !== 0) {
    const cure = CURES.find(([pattern]) => pattern.test(tail))?.[1] ?? "npm's own message is above; `npm ci` shows it again.";
    fail(`\`npm ${verb}\` failed (exit code ${code}).`, cure);
  }
  say(`installed in ${Math.round((Date.now() - startedAt) / 1000)} s`);
}

/** The Node to run everything under: the one installed beside the dependencies, or else the system's when it is new enough. */
function nodeVersion(command) {
  const probe = spawnSync(command, ["--version"], { encoding: "utf8", shell: process.platform === "win32" });
  return probe.status === 0 ? probe.stdout.trim() : null;
}

async function findNode() {
  let version = existsSync(nodeBin) ? nodeVersion(nodeBin) : null;
  if (version === null) {
    // The package `node` brings its binary by an install script; a user's `ignore-scripts` leaves it out.
    say("the Node that belongs to the project is missing: asking npm for it ...");
    await runNpm(findNpm(), ["rebuild", "node", "classic-level", "--ignore-scripts=false", "--no-audit", "--no-fund", "--loglevel=error"]);
    version = existsSync(nodeBin) ? nodeVersion(nodeBin) : null;
  }
  if (version !== null && atLeast(version, NODE_MINIMUM)) return nodeBin;
  if (atLeast(process.version, NODE_MINIMUM)) {
    say(`the project's own Node does not run on this machine; using the system's Node ${process.version}`);
    return process.execPath;
  }
  return fail(`The project's own Node could not be installed, and the system's is ${process.version}.`,
    `Install Node ${NODE_MINIMUM.join(".")} or newer, or allow install scripts for the package "node" (\`npm config get ignore-scripts\` should say false).`);
}

async function main() {
  if (!atLeast(process.version, [20, 0])) fail(`Node ${process.version} is too old.`, "Install Node.js 20 or newer.");
  if (!existsSync(join(root, "package.json"))) fail(`${root} holds no package.json.`, "Run it from a clone of the repository.");
  const wanted = lockfileHash();
  const printNode = process.argv.includes("--print-node");
  if (readStamp() === wanted && existsSync(nodeBin)) {
    if (printNode) process.stdout.write(`${nodeBin}\n`);
    return; // the common case: nothing is started, nothing is printed
  }
  if (!installedMatchesLockfile()) {
    say(existsSync(modules) ? "the dependencies do not match package-lock.json" : "the dependencies are not installed");
    await install();
  }
  const node = await findNode();
  mkdirSync(modules, { recursive: true });
  // Without a lockfile the install has just made one.
  if (node === nodeBin) writeFileSync(stampFile, `${lockfileHash()}\n`);
  say(`ready, with Node ${node === nodeBin ? nodeVersion(node) : process.version}`);
  if (printNode) process.stdout.write(`${node}\n`);
}

await main();

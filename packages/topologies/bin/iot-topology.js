#!/usr/bin/env node
// Plain JavaScript that Node 18 can parse: it has to run before we know that Node is new enough.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import module from "node:module";
import os from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const sources = join(here, "..", "src", "cli", "main.ts");

if (isNewEnough()) await run();
else useOwnNode();

/** Node 22.18 is the first that runs erasable TypeScript without a flag, which a user's topology file needs. */
function isNewEnough() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 18);
}

async function run() {
  module.enableCompileCache?.();
  dieWithParent();
  if (existsSync(sources)) {
    // A checkout: workspace packages resolve to their sources, in this very process.
    module.registerHooks({
      resolve: (specifier, context, next) => next(specifier, { ...context, conditions: [...context.conditions, "@iot-topology/source"] }),
    });
    await import("../src/cli/main.ts").then((cli) => cli.main(process.argv));
  } else {
    await import("../dist/cli/main.js").then((cli) => cli.main(process.argv));
  }
}

/** Under an older Node's {@link useOwnNode} the channel closes when the parent ends, however it ends. */
function dieWithParent() {
  if (process.env.IOT_TOPOLOGY_REEXEC === undefined) return;
  delete process.env.IOT_TOPOLOGY_REEXEC;
  if (process.channel === undefined) return;
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel.unref();
}

/** The npm package `node` puts a Node of its own into node_modules/.bin; it is looked for from this package upwards. */
function useOwnNode() {
  const found = process.env.IOT_TOPOLOGY_REEXEC === undefined ? findNode(here) : undefined;
  if (found === undefined) {
    process.stderr.write(
      `error USAGE: iot-topology needs Node 22.18 or newer, and this is ${process.version}\n` +
        "  cure: install a newer Node, or run `npm install --save-dev node@24`, which puts one into node_modules\n",
    );
    process.exitCode = 2;
    return;
  }
  const child = spawn(found, [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, IOT_TOPOLOGY_REEXEC: "1" },
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  // A terminal sends Ctrl-C to both of us; the child takes signals in quick succession for one.
  const forward = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, forward);
  child.on("error", (error) => {
    process.stderr.write(`error USAGE: cannot start ${found}: ${error.message}\n  cure: run \`npm rebuild node\`, or install Node 22.18 or newer\n`);
    process.exitCode = 2;
  });
  child.on("exit", (code, signal) => {
    for (const name of signals) process.off(name, forward);
    if (signal === null) process.exit(code ?? 1);
    process.exitCode = 128 + (os.constants.signals[signal] ?? 0);
    process.kill(process.pid, signal);
  });
}

function findNode(from) {
  for (let folder = from; ; folder = dirname(folder)) {
    for (const name of process.platform === "win32" ? ["node/bin/node.exe"] : [".bin/node", "node/bin/node"]) {
      const path = join(folder, "node_modules", name);
      if (existsSync(path)) return path;
    }
    if (dirname(folder) === folder) return undefined;
  }
}

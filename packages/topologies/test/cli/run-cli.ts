import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../bin/iot-topology.js", import.meta.url));

/** How a run of the command ended. */
export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment without what a developer's shell may have set for the command. */
export function cleanEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("IOT_TOPOLOGY_") && !name.startsWith("NODE_") && !name.startsWith("TAP"));
  return { ...Object.fromEntries(kept), NO_COLOR: "1", ...more };
}

/** A running command: lines of JSON that it wrote so far, and how it ends. */
export interface Running {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the first JSON line of standard output whose `msg` it is; rejects where the command ends before. */
  line(msg: string): Promise<Record<string, unknown>>;
  readonly ended: Promise<Ran>;
}

/** Starts the command as a user's shell would. */
export function startCli(args: readonly string[], options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> }): Running {
  const child = spawn(process.execPath, [BIN, ...args], { cwd: options.cwd, env: cleanEnvironment(options.env), stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
    for (const look of waiting) look();
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  const ended = new Promise<Ran>((resolve) => child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr })));
  return {
    pid: child.pid ?? 0,
    kill: (signal) => void child.kill(signal),
    ended,
    line: (msg) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = jsonLines(stdout).find((line) => line["msg"] === msg);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
        void ended.then((ran) => reject(new Error(`ended before ${JSON.stringify(msg)}: ${JSON.stringify(ran)}`)));
      }),
  };
}

/** Runs the command to its end. */
export function runCli(args: readonly string[], options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> }): Promise<Ran> {
  return startCli(args, options).ended;
}

/** The whole lines of a text that are JSON objects. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .slice(0, -1)
    .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as Record<string, unknown>] : []));
}

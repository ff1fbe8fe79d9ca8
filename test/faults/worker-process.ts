import type { InstanceStatus } from "@iot-topology/core";
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { WorkerSetup, WorkerWord } from "./worker.ts";

const WORKER = fileURLToPath(new URL("./worker.ts", import.meta.url));
const STATUS_DEADLINE_MS = 5_000;

/** A worker seen from outside. */
export interface WorkerProcess {
  readonly setup: WorkerSetup;
  readonly pid: number;
  readonly isAlive: boolean;
  /** The failpoint that killed it, once it has. */
  readonly failpoint: string | undefined;
  /** What it said that it should not have. */
  readonly unhandled: readonly string[];
  /** Why the instance failed for good, if it has. */
  readonly failure: { readonly code: string; readonly message: string } | undefined;
  /** Warnings and errors whose text holds this. */
  said(text: string): readonly string[];
  /** Resolves once the instance runs, or the process has ended. */
  readonly started: Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Undefined where it does not answer (stopped, dead, busy). */
  status(): Promise<InstanceStatus | undefined>;
  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void;
  /** Asks it to stop, and resolves when it has ended. */
  stop(): void;
}

/** Starts a worker; `logFile` gets what it logs. */
export function startWorker(setup: WorkerSetup, logFile: string, failpoint?: string): WorkerProcess {
  const env = { ...process.env, ...(failpoint === undefined ? {} : { IOT_TOPOLOGY_FAILPOINT: failpoint }) };
  const child: ChildProcess = spawn(process.execPath, ["--conditions=@iot-topology/source", "--disable-warning=ExperimentalWarning", WORKER, JSON.stringify(setup)], { env, stdio: ["pipe", "pipe", "pipe"] });
  const file = createWriteStream(logFile, { flags: "a" });
  const logged: string[] = [];
  const unhandled: string[] = [];
  let hit: string | undefined;
  let failure: { code: string; message: string } | undefined;
  let waiting: ((status: InstanceStatus | undefined) => void)[] = [];
  let isAlive = true;
  let begin = (): void => {};
  const started = new Promise<void>((resolve) => (begin = resolve));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("close", (code, signal) => {
      isAlive = false;
      for (const answer of waiting) answer(undefined);
      begin();
      file.end();
      resolve({ code, signal });
    });
  });
  child.stdin?.on("error", () => {});
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on("line", (line) => {
      file.write(`${line}\n`);
      hit ??= /^failpoint (\S+)$/.exec(line)?.[1];
      if (/ (warn|error) /.test(line) || !/^\d{4}-/.test(line)) logged.push(line);
    });
  }
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const word = JSON.parse(line) as WorkerWord;
      if (word.type === "running") begin();
      else if (word.type === "unhandled") unhandled.push(word.message);
      else if (word.type === "failed") failure ??= word;
      else if (word.type === "status") waiting.shift()?.(word.status);
    });
  }
  return {
    setup,
    pid: child.pid ?? 0,
    get isAlive() {
      return isAlive;
    },
    get failpoint() {
      return hit;
    },
    get failure() {
      return failure;
    },
    unhandled,
    said: (text) => logged.filter((line) => line.includes(text)),
    started,
    ended,
    async status() {
      if (!isAlive) return undefined;
      let late: NodeJS.Timeout | undefined;
      const answer = await new Promise<InstanceStatus | undefined>((resolve) => {
        waiting.push(resolve);
        late = setTimeout(() => {
          waiting = waiting.filter((other) => other !== resolve);
          resolve(undefined);
        }, STATUS_DEADLINE_MS);
        child.stdin?.write("status\n");
      });
      clearTimeout(late);
      return answer;
    },
    signal(signal) {
      if (isAlive) child.kill(signal);
    },
    stop() {
      child.stdin?.write("stop\n");
    },
  };
}

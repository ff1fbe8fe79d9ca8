import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Logger, silentLogger, TopologyError } from "@iot-topology/core";
import { engineLibraryPath } from "./library.ts";
import { LineTail } from "./line-tail.ts";
import { freePort } from "./port.ts";
import { memoryBytesMax, serverConfigXml } from "./server-config.ts";

const LOG_LINES_MAX = 100;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
/** How long a folder may stay taken by a server whose parent was killed: it is closing its tables. */
const FOLDER_WAIT_MS = 15_000;
const PORT_ATTEMPTS_MAX = 5;

/** Options of {@link startEmbeddedClickHouse}. */
export interface EmbeddedClickHouseOptions {
  /** The server's data folder; made where absent. One server a folder. */
  readonly dataDir: string;
  /** HTTP port on 127.0.0.1; 0 (the default) takes any free one. */
  readonly httpPort?: number;
  /** Native protocol's port on 127.0.0.1; 0 (the default) takes any free one. */
  readonly tcpPort?: number;
  readonly logger?: Logger;
  /** Aborts the start; afterwards it has no effect: use `stop()`. */
  readonly signal?: AbortSignal;
  /** Whether acknowledged inserts survive a power cut. True by default. */
  readonly fsync?: boolean;
  /** The most memory the server may use, in bytes; half of the machine's, between 1 and 8 GiB, by default. */
  readonly memoryBytesMax?: number;
  /** How long the folder's previous server may take to end. 15 s by default. */
  readonly folderWaitMs?: number;
}

/** How the server's process ended. */
export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** True after `stop()`. */
  readonly expected: boolean;
  /** The last lines it logged. */
  readonly log: readonly string[];
}

/** A running embedded server. */
export interface EmbeddedClickHouse {
  /** `http://127.0.0.1:PORT`, for any ClickHouse client; `/play` is served too. */
  readonly url: string;
  readonly httpPort: number;
  readonly tcpPort: number;
  readonly pid: number;
  /** Resolves when the process has ended, however it ended. */
  readonly exited: Promise<ExitInfo>;
  /** Ends the server cleanly (within 20 s, else by SIGKILL) and resolves when it is gone. May be called again. */
  stop(): Promise<void>;
}

interface Attempt {
  readonly child: ChildProcess;
  readonly tail: LineTail;
  readonly exited: Promise<ExitInfo>;
  expected: boolean;
}

/**
 * Starts a real ClickHouse server as a child process, on 127.0.0.1 only, and resolves once it answers.
 * The child ends with its parent, even if that is killed: it runs until its standard input is closed.
 *
 * @throws TopologyError PLATFORM_UNSUPPORTED, PORT_IN_USE, FOLDER_IN_USE (another server has the folder), DISK_FULL, DISK_READ_ONLY,
 *   CLICKHOUSE_CRASHED (it ended while starting; the message has its last log lines).
 *
 * @example
 * const server = await startEmbeddedClickHouse({ dataDir: "./data/clickhouse" });
 * console.log(server.url);
 * await server.stop();
 */
export async function startEmbeddedClickHouse(options: EmbeddedClickHouseOptions): Promise<EmbeddedClickHouse> {
  const library = engineLibraryPath();
  const dataDir = resolve(options.dataDir);
  const logger = options.logger ?? silentLogger;
  const deadline = Date.now() + (options.folderWaitMs ?? FOLDER_WAIT_MS);
  let portAttempts = 0;
  let told = false;
  for (;;) {
    options.signal?.throwIfAborted();
    const httpPort = await freePort(options.httpPort ?? 0);
    const tcpPort = await freePort(options.tcpPort ?? 0);
    writeConfig(dataDir, options, httpPort, tcpPort);
    const attempt = launch(library, dataDir, logger);
    const failed = await answers(attempt, `http://127.0.0.1:${httpPort}/ping`, options.signal);
    if (failed === undefined) return running(attempt, httpPort, tcpPort, logger);
    const text = failed.log.join("\n");
    if (isFolderTaken(text)) {
      const pid = folderOwner(dataDir);
      if (Date.now() > deadline) {
        throw new TopologyError("FOLDER_IN_USE", `another ClickHouse server${pid === undefined ? "" : ` (process ${pid})`} has the data folder open`, {
          place: dataDir,
          cure: "stop the process that uses it, or name another data folder",
        });
      }
      if (!told) logger.warn({ dataDir, pid }, "the data folder is still held by an earlier server: waiting for it to end");
      told = true;
      await sleep(250);
      continue;
    }
    const portsAreFree = (options.httpPort ?? 0) === 0 && (options.tcpPort ?? 0) === 0;
    if (/Address already in use/.test(text) && portsAreFree && ++portAttempts < PORT_ATTEMPTS_MAX) continue;
    throw startFailure(text, failed, dataDir);
  }
}

function isFolderTaken(text: string): boolean {
  return /Another server instance in same directory is already running|Cannot lock file/i.test(text);
}

function startFailure(text: string, exit: ExitInfo, dataDir: string): TopologyError {
  const log = exit.log.slice(-12).join("\n  ");
  if (/No space left on device/i.test(text)) {
    return new TopologyError("DISK_FULL", "the embedded ClickHouse found no space for its data", { place: dataDir, cure: "free some space, or name another data folder" });
  }
  if (/Read-only file system|Permission denied/i.test(text)) {
    return new TopologyError("DISK_READ_ONLY", "the embedded ClickHouse cannot write its data folder", { place: dataDir, cure: "make the folder writable, or name another" });
  }
  if (/Address already in use/i.test(text)) {
    return new TopologyError("PORT_IN_USE", "a port of the embedded ClickHouse is in use", { place: dataDir, cure: "choose another port, or 0 for any free one" });
  }
  return new TopologyError("CLICKHOUSE_CRASHED", `the embedded ClickHouse ended while starting (${exitText(exit)})${log === "" ? "" : `; it said:\n  ${log}`}`, {
    place: dataDir,
    cure: "see the lines above; a server of your own works too: --clickhouse http://HOST:8123",
  });
}

/** `code 3` or `signal SIGKILL`. */
export function exitText(exit: ExitInfo): string {
  return exit.signal === null ? `exit code ${exit.code ?? "unknown"}` : `signal ${exit.signal}`;
}

function configPath(dataDir: string): string {
  return join(dataDir, "iot-topology.xml");
}

function writeConfig(dataDir: string, options: EmbeddedClickHouseOptions, httpPort: number, tcpPort: number): void {
  try {
    mkdirSync(dataDir, { recursive: true });
    const xml = serverConfigXml({ httpPort, tcpPort, memoryBytesMax: options.memoryBytesMax ?? memoryBytesMax(), fsync: options.fsync ?? true });
    writeFileSync(configPath(dataDir), xml);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOSPC") throw new TopologyError("DISK_FULL", "no space for the data folder", { place: dataDir, cure: "free some space, or name another data folder", cause });
    throw new TopologyError("DISK_READ_ONLY", `the data folder cannot be written (${code ?? "unknown"})`, { place: dataDir, cure: "make the folder writable, or name another", cause });
  }
}

/** The process named in the server's status file; it may be gone. */
function folderOwner(dataDir: string): number | undefined {
  try {
    const match = /PID:\s*(\d+)/.exec(readFileSync(join(dataDir, "status"), "utf8"));
    return match?.[1] === undefined ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}

const SERVE = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT count() FROM file(0, LineAsString, 'line String') FORMAT Null";

function launch(library: string, dataDir: string, logger: Logger): Attempt {
  // From sources the entry is TypeScript, which Node strips itself; from the build it is JavaScript.
  const entry = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./entry.ts" : "./entry.js", import.meta.url));
  const child = spawn(process.execPath, [entry, library, "--config-file", configPath(dataDir), "--path", dataDir, "--log-level", "warning", "--query", SERVE], {
    stdio: ["pipe", "pipe", "pipe"],
    cwd: dataDir,
    // In its own process group: a Ctrl-C on the terminal must reach us only, or the server would end before we have delivered.
    detached: true,
    env: withoutNodeOptions(process.env),
  });
  const tail = new LineTail(LOG_LINES_MAX, (line) => logger.debug({ pid: child.pid, line }, "embedded ClickHouse"));
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (chunk: string) => tail.write(chunk));
  child.stdin?.on("error", () => {}); // EPIPE when the child is gone: `exited` tells.
  const exited = new Promise<ExitInfo>((done) => {
    child.once("error", (error) => tail.write(`${error.message}\n`));
    child.once("close", (code, signal) => {
      tail.end();
      done({ code, signal, expected: attempt.expected, log: tail.lines });
    });
  });
  const attempt: Attempt = { child, tail, exited, expected: false };
  return attempt;
}

function withoutNodeOptions(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...rest } = env;
  return rest;
}

/** Resolves with nothing once the server answers, or with how it ended. */
async function answers(attempt: Attempt, pingUrl: string, signal: AbortSignal | undefined): Promise<ExitInfo | undefined> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  let ended: ExitInfo | undefined;
  void attempt.exited.then((exit) => (ended = exit));
  let waitMs = 20;
  for (;;) {
    if (ended !== undefined) return ended;
    if (signal?.aborted === true) {
      await end(attempt);
      signal.throwIfAborted();
    }
    try {
      const response = await fetch(pingUrl, { signal: AbortSignal.timeout(2_000), headers: { connection: "close" } });
      if ((await response.text()).startsWith("Ok") && ended === undefined) return undefined;
    } catch {
      // Not listening yet.
    }
    if (Date.now() > deadline) {
      attempt.tail.write(`no answer within ${START_TIMEOUT_MS / 1_000} s\n`);
      attempt.child.kill("SIGKILL");
      return attempt.exited;
    }
    await Promise.race([sleep(waitMs), attempt.exited]);
    waitMs = Math.min(200, waitMs * 1.5);
  }
}

async function end(attempt: Attempt): Promise<boolean> {
  attempt.expected = true;
  attempt.child.stdin?.end();
  const timer = setTimeout(() => attempt.child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  const exit = await attempt.exited;
  clearTimeout(timer);
  return exit.signal !== "SIGKILL";
}

function running(attempt: Attempt, httpPort: number, tcpPort: number, logger: Logger): EmbeddedClickHouse {
  const pid = attempt.child.pid ?? 0;
  const url = `http://127.0.0.1:${httpPort}`;
  logger.info({ pid, url, tcpPort }, "embedded ClickHouse started");
  return Object.freeze({
    url,
    httpPort,
    tcpPort,
    pid,
    exited: attempt.exited,
    async stop(): Promise<void> {
      const clean = await end(attempt);
      logger[clean ? "info" : "warn"]({ pid }, clean ? "embedded ClickHouse stopped" : "embedded ClickHouse had to be killed");
    },
  });
}

/**
 * One Kafka process (KRaft, broker and controller in one), as a child of this process. It ends with its parent whatever happens to that: a shell stands
 * between the two, reads from a pipe that closes with the parent, then kills the broker and removes its folder.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type KafkaDistribution, underLock } from "./distribution.ts";

const run = promisify(execFile);
const START_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 15_000;
const CLUSTER_ID = "aW90LXRvcG9sb2d5LWthZg";
const LAUNCH = `dir=$1; shift; exec 3<&0
"$@" </dev/null >>"$dir/broker.log" 2>&1 3<&- & pid=$!
echo $pid
(cat <&3 >/dev/null; trap '' TERM; kill -KILL $pid; sleep 1; rm -rf "$dir"; rmdir "\${dir%/*}") >/dev/null 2>&1 & watch=$!
exec 3<&-
wait $pid
kill $watch`;

/** Where a broker is and how it is set up. */
export interface BrokerSetup {
  readonly nodeId: number;
  readonly dir: string;
  readonly port: number;
  /** What clients are told to connect to: the port itself, or a proxy's. */
  readonly advertisedPort: number;
  readonly properties: Readonly<Record<string, string>>;
  readonly heapMb: number;
  readonly jit: "quick" | "full";
}

/** A broker that can be killed and started again on its data. */
export interface Broker {
  readonly setup: BrokerSetup;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  start(): Promise<void>;
  /** A clean shutdown; SIGKILL if that takes longer than 15 s. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

const claimed = new Set<number>();

/** A free port outside the range from which the system takes the ports of outgoing connections, so that a broker that was killed finds its port free again. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (claimed.has(port)) continue;
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (!free) continue;
    claimed.add(port);
    return port;
  }
  throw new Error("no free port between 12000 and 32000");
}

/** Whether a broker answers an ApiVersions request. */
export async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.on("error", () => end(false));
    socket.on("close", () => end(false));
    socket.on("connect", () => {
      const request = Buffer.alloc(15);
      request.writeInt32BE(11, 0);
      request.writeInt16BE(18, 4); // ApiVersions, version 0
      request.writeInt32BE(1, 8);
      request.writeInt16BE(1, 12);
      request.write("t", 14);
      socket.write(request);
    });
    socket.on("data", () => end(true));
  });
}

const java = (heapMb: number, jit: "quick" | "full"): string[] => [`-Xms${Math.min(heapMb, 128)}m`, `-Xmx${heapMb}m`, ...(jit === "quick" ? ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"] : ["-XX:+UseG1GC"]), "-Xshare:auto", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"];

/**
 * A formatted data folder of a node, made once a user and copied from then on: formatting is a Java process of its own, and its outcome depends on nothing but the
 * node's id and the version.
 */
async function formatted({ java: program, libs }: KafkaDistribution, { nodeId, properties }: BrokerSetup): Promise<string> {
  const made = `${libs}-formatted-${nodeId}`;
  if (existsSync(made)) return made;
  await underLock(`${made}.lock`, async () => {
    if (existsSync(made)) return;
    const work = await mkdtemp(`${made}-`);
    try {
      const file = join(work, "server.properties");
      await writeFile(file, propertiesText({ ...properties, "log.dirs": join(work, "log") }));
      await run(program, [...java(64, "quick"), "-cp", join(libs, "*"), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", file], { timeout: START_DEADLINE_MS });
      await rename(join(work, "log"), made);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
  return made;
}

const propertiesText = (properties: Readonly<Record<string, string>>): string => Object.entries(properties).map(([name, value]) => `${name}=${value}\n`).join("");

/** Writes the properties and a formatted data folder, unless there is a broker's data already. */
async function prepare(distribution: KafkaDistribution, setup: BrokerSetup): Promise<string> {
  const file = join(setup.dir, "server.properties");
  const data = join(setup.dir, "log");
  if (existsSync(join(data, "meta.properties"))) return file;
  await mkdir(setup.dir, { recursive: true });
  await writeFile(file, propertiesText({ ...setup.properties, "log.dirs": data }));
  await cp(await formatted(distribution, setup), data, { recursive: true });
  return file;
}

/** The last lines of a broker's log, for the message of an error. */
async function lastLines(dir: string): Promise<string> {
  const text = await readFile(join(dir, "broker.log"), "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-20).join("\n");
}

interface Running {
  readonly pid: number;
  /** Resolves once the process is gone. */
  ended(): Promise<void>;
  readonly isEnded: boolean;
}

/** Starts the program under the shell. Neither keeps this process from ending. */
async function launch(dir: string, command: readonly string[]): Promise<Running> {
  const shell = spawn("sh", ["-c", LAUNCH, "sh", dir, ...command], { stdio: ["pipe", "pipe", "ignore"] });
  let isEnded = false;
  const exit = new Promise<void>((resolve) => {
    shell.once("exit", () => {
      isEnded = true;
      shell.stdin.destroy();
      resolve();
    });
  });
  shell.stdin.on("error", () => {});
  const pid = Number(await new Promise<string>((resolve, reject) => {
    shell.once("error", reject);
    createInterface({ input: shell.stdout }).once("line", resolve).once("close", () => reject(new Error("the shell ended")));
  }));
  shell.unref();
  for (const stream of [shell.stdin, shell.stdout]) (stream as unknown as Socket).unref();
  return {
    pid,
    ended() {
      shell.ref();
      return exit;
    },
    get isEnded() {
      return isEnded;
    },
  };
}

/** A broker that does not run yet. */
export function broker(distribution: KafkaDistribution, setup: BrokerSetup): Broker {
  let running: Running | undefined;

  async function start(): Promise<void> {
    if (running !== undefined && !running.isEnded) return;
    const file = await prepare(distribution, setup);
    const started = await launch(setup.dir, [distribution.java, ...java(setup.heapMb, setup.jit), "-cp", join(distribution.libs, "*"), "kafka.Kafka", file]);
    running = started;
    const deadline = Date.now() + START_DEADLINE_MS;
    while (!(await answers(setup.port))) {
      if (started.isEnded || Date.now() > deadline) {
        const why = started.isEnded ? "ended" : "does not answer";
        await end("SIGKILL");
        throw new Error(`the broker on port ${setup.port} ${why}:\n${await lastLines(setup.dir)}`);
      }
      await sleep(50);
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = running;
    running = undefined;
    if (ending === undefined || ending.isEnded) return;
    process.kill(ending.pid, signal);
    const late = setTimeout(() => {
      if (!ending.isEnded) process.kill(ending.pid, "SIGKILL");
    }, STOP_DEADLINE_MS);
    await ending.ended();
    clearTimeout(late);
  }

  return {
    setup,
    get pid() {
      return running?.isEnded === false ? running.pid : undefined;
    },
    start,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
  };
}

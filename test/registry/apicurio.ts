/**
 * A real schema registry for tests: Apicurio from Maven Central, with its data in memory, spoken to through Confluent's API. `const registry = await apicurio(t)`.
 * Without Java or Maven the answer is undefined, and the test is counted as skipped. It ends with this process, whatever happens to that.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "../kafka/broker.ts";
import { cacheFolder, findJava, underLock } from "../kafka/distribution.ts";
import type { TestHandle } from "../kafka/kafka-brokers.ts";

const run = promisify(execFile);
const VERSION = "2.6.13.Final";
const DOWNLOAD_DEADLINE_MS = 300_000;
const START_DEADLINE_MS = 60_000;
// The shell ends the registry when its own standard input closes, which it does with the process that started it.
const LAUNCH = `exec 3<&0
"$@" </dev/null 3<&- & pid=$!
echo "pid $pid"
(cat <&3 >/dev/null; kill -KILL $pid) >/dev/null 2>&1 & watch=$!
exec 3<&-
wait $pid
kill $watch`;

export interface Apicurio {
  /** Where Confluent's API is. */
  readonly url: string;
  /** The same behind a proxy that can be cut. */
  readonly proxied: string;
  /** Requests that came through the proxy; a kept connection counts each. */
  readonly requests: () => number;
  /** From now on the proxy closes connections at once, or serves again. */
  readonly setDown: (isDown: boolean) => void;
}

/** The folder of the unpacked registry. */
async function distribution(): Promise<string> {
  const folder = join(cacheFolder(), `apicurio-${VERSION}`);
  if (existsSync(folder)) return folder;
  await mkdir(cacheFolder(), { recursive: true });
  await underLock(`${folder}.lock`, async () => {
    if (existsSync(folder)) return;
    const work = await mkdtemp(`${folder}-`);
    try {
      await run("mvn", ["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy", `-Dartifact=io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`, `-DoutputDirectory=${work}`], { timeout: DOWNLOAD_DEADLINE_MS });
      const [archive] = (await readdir(work)).filter((name) => name.endsWith(".tar.gz"));
      await mkdir(join(work, "app"));
      await run("tar", ["xzf", join(work, archive ?? ""), "-C", join(work, "app")]);
      await rename(join(work, "app"), folder);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
  return folder;
}

/** Starts one and resolves once it answers. */
async function start(java: string, folder: string, port: number): Promise<() => Promise<void>> {
  const options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1", `-Dquarkus.http.port=${port}`, "-Dquarkus.log.level=WARN"];
  const [jar] = (await readdir(folder)).filter((name) => name.endsWith("-runner.jar"));
  const shell = spawn("sh", ["-c", LAUNCH, "sh", java, ...options, "-jar", join(folder, jar ?? "")], { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  let pid = 0;
  const keep = (chunk: Buffer): void => void (said = (said + chunk.toString()).slice(-4_000));
  createInterface({ input: shell.stdout }).on("line", (line) => {
    if (line.startsWith("pid ")) pid = Number(line.slice(4));
    else keep(Buffer.from(`${line}\n`));
  });
  shell.stderr.on("data", keep);
  shell.stdin.on("error", () => {});
  const exit = new Promise<void>((resolve) => shell.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    if (shell.exitCode === null && pid > 0) process.kill(pid, "SIGKILL");
    await exit;
    shell.stdin.destroy();
  };
  const deadline = Date.now() + START_DEADLINE_MS;
  while (!(await fetch(`http://127.0.0.1:${port}/apis/ccompat/v7/subjects`).then((answer) => answer.ok, () => false))) {
    if (shell.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`the schema registry did not start:\n${said}`);
    }
    await sleep(100);
  }
  return stop;
}

/** A proxy that passes bytes on, and counts requests by their first lines. */
async function proxy(target: number): Promise<{ readonly port: number; readonly requests: () => number; readonly setDown: (isDown: boolean) => void; readonly close: () => Promise<void> }> {
  let isDown = false;
  let requests = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    if (isDown) return void client.destroy();
    const upstream = connect(target, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (chunk: Buffer) => void (requests += chunk.toString("latin1").match(/^(GET|POST|PUT) /gm)?.length ?? 0));
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const end = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    requests: () => requests,
    setDown(down) {
      isDown = down;
      if (down) end();
    },
    async close() {
      end();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A registry of the test's own, or undefined after the test has been skipped with a line on stderr. */
export async function apicurio(t: TestHandle): Promise<Apicurio | undefined> {
  const skip = (missing: string): undefined => {
    process.stderr.write(`SKIPPED: this test needs a schema registry, which needs ${missing}\n`);
    t.pass("a test with a schema registry", { skip: `needs ${missing}` });
    return undefined;
  };
  const found = await findJava();
  if ("missing" in found) return skip(found.missing);
  let folder: string;
  try {
    folder = await distribution();
  } catch (error) {
    return skip(`Maven with access to Maven Central (${String((error as Error).message).split("\n").slice(0, 2).join(" ")})`);
  }
  const port = await freePort();
  const stop = await start(found.java, folder, port);
  t.teardown(stop);
  const way = await proxy(port);
  t.teardown(() => way.close());
  const path = "/apis/ccompat/v7";
  return { url: `http://127.0.0.1:${port}${path}`, proxied: `http://127.0.0.1:${way.port}${path}`, requests: way.requests, setDown: way.setDown };
}


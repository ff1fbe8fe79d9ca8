/** Apache Kafka's jars, from Maven Central, once a user: `kafkaDistribution()`. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

export const KAFKA_VERSION = "4.3.1";
const JAVA_LEAST = 17;
const DOWNLOAD_DEADLINE_MS = 300_000;

const run = promisify(execFile);

/** What a broker and Apache's tools run with. */
export interface KafkaDistribution {
  readonly java: string;
  /** A folder of jars. */
  readonly libs: string;
}

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>iot-topology.test</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

/** The user's cache folder for what is downloaded once. */
export function cacheFolder(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "iot-topology");
}

/** The path of a Java that is new enough, or why there is none. */
export async function findJava(): Promise<{ readonly java: string } | { readonly missing: string }> {
  const home = process.env["JAVA_HOME"];
  const java = home === undefined ? "java" : join(home, "bin", "java");
  try {
    const { stderr } = await run(java, ["-version"]);
    const version = Number(/version "(?:1\.)?(\d+)/.exec(stderr)?.[1] ?? 0);
    return version >= JAVA_LEAST ? { java } : { missing: `Java ${JAVA_LEAST} or newer (found ${version})` };
  } catch {
    return { missing: `Java ${JAVA_LEAST} or newer` };
  }
}

/** Runs `work` while no other process does, by a file that names who is at it; a dead owner's file is taken away. */
export async function underLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const deadline = Date.now() + DOWNLOAD_DEADLINE_MS;
  for (;;) {
    const file = await open(path, "wx").catch(() => undefined);
    if (file !== undefined) {
      await file.writeFile(String(process.pid));
      await file.close();
      break;
    }
    const owner = Number(await readFile(path, "utf8").catch(() => ""));
    if (owner > 0 && !isAlive(owner)) await rm(path, { force: true });
    if (Date.now() > deadline) throw new Error(`${path} is held by process ${owner}`);
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

/** Whether a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Copies a POM's runtime jars into a folder of the cache, unless it is there already. Answers the folder. */
export async function mavenJars(name: string, pom: string): Promise<string> {
  const libs = join(cacheFolder(), name);
  if (existsSync(libs)) return libs;
  await underLock(`${libs}.lock`, async () => {
    if (existsSync(libs)) return;
    const work = await mkdtemp(`${libs}-`);
    try {
      await writeFile(join(work, "pom.xml"), pom);
      await run("mvn", ["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${join(work, "libs")}`], { cwd: work, timeout: DOWNLOAD_DEADLINE_MS });
      await rename(join(work, "libs"), libs);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
  return libs;
}

/** Java and Kafka's jars, downloaded if need be, or what is missing. */
export async function kafkaDistribution(): Promise<KafkaDistribution | { readonly missing: string }> {
  const found = await findJava();
  if ("missing" in found) return found;
  try {
    return { java: found.java, libs: await mavenJars(`kafka-${KAFKA_VERSION}`, POM) };
  } catch (error) {
    return { missing: `Maven with access to Maven Central (${String((error as Error).message).split("\n").slice(0, 2).join(" ")})` };
  }
}

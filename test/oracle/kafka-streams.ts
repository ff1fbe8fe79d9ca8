/** Kafka Streams itself, in Java: cases in, the same with its answers out. Built with Maven, once for a state of its sources. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { cacheFolder, findJava } from "../kafka/distribution.ts";
import type { OracleCase } from "./case.ts";
import type { UnansweredCase } from "./generate/generate.ts";

const project = fileURLToPath(new URL("./java/", import.meta.url));

export interface KafkaStreams {
  readonly java: string;
  readonly classPath: string;
}

function hasMaven(): boolean {
  try {
    execFileSync("mvn", ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Builds the program, or tells what is missing. Throws where the build itself fails. */
export async function buildKafkaStreams(): Promise<KafkaStreams | { readonly missing: string }> {
  const found = await findJava();
  if ("missing" in found) return found;
  const sources = join(project, "src/main/java/oracle");
  const digest = createHash("sha256").update(readFileSync(join(project, "pom.xml")));
  for (const name of readdirSync(sources).sort()) digest.update(readFileSync(join(sources, name)));
  const target = join(cacheFolder(), `kafka-streams-oracle-${digest.digest("hex").slice(0, 12)}`);
  if (!existsSync(target)) {
    if (!hasMaven()) return { missing: "Maven (mvn)" };
    mkdirSync(cacheFolder(), { recursive: true });
    const work = mkdtempSync(`${target}-`);
    try {
      const goals = ["compile", "dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${join(work, "libs")}`];
      execFileSync("mvn", ["-q", "-B", "-Dstyle.color=never", "-f", join(project, "pom.xml"), `-Dtarget=${work}`, ...goals], { stdio: ["ignore", "ignore", "inherit"] });
      // Another process may have built the same meanwhile.
      if (!existsSync(target)) renameSync(work, target);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return { java: found.java, classPath: `${join(target, "classes")}:${join(target, "libs", "*")}` };
}

type Answer = OracleCase | { readonly case: string; readonly failure: string };

/** What Kafka Streams makes of each case, in their order. A case on which it fails itself has its failure for an answer. */
export async function* answers({ java, classPath }: KafkaStreams, cases: Iterable<UnansweredCase>): AsyncGenerator<Answer> {
  const state = mkdtempSync(join(tmpdir(), "oracle-"));
  const child = spawn(java, ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", `-Doracle.state=${state}`, "-cp", classPath, "oracle.Main"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    for (const test of cases) {
      child.stdin.write(`${JSON.stringify(test)}\n`);
      const line = await lines.next();
      if (line.done === true) throw new Error(`Kafka Streams ended with ${await ended} at case ${test.case}`);
      yield JSON.parse(line.value) as Answer;
    }
    child.stdin.end();
    await ended;
  } finally {
    child.kill("SIGKILL");
    rmSync(state, { recursive: true, force: true });
  }
}

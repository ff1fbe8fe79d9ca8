/** Builds the Java programs of kafka-streams/ with Maven, once for a state of their sources. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, findJava } from "../../test/kafka/distribution.ts";

const project = fileURLToPath(new URL("./kafka-streams/", import.meta.url));

export interface PeerBuild {
  readonly java: string;
  readonly classPath: string;
}

/** Java and the class path of the peer and of the meter. Throws with what is missing. */
export async function buildPeer(): Promise<PeerBuild> {
  const found = await findJava();
  if ("missing" in found) throw new Error(`the peers need ${found.missing}`);
  const sources = join(project, "src/main/java/peer");
  const digest = createHash("sha256").update(readFileSync(join(project, "pom.xml")));
  for (const name of readdirSync(sources).sort()) digest.update(readFileSync(join(sources, name)));
  const target = join(cacheFolder(), `kafka-streams-peer-${digest.digest("hex").slice(0, 12)}`);
  if (!existsSync(target)) {
    const work = mkdtempSync(`${target}-`);
    try {
      execFileSync("mvn", ["-q", "-B", "-Dstyle.color=never", "-f", join(project, "pom.xml"), `-Dtarget=${work}`, "compile", "dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${join(work, "libs")}`], { stdio: ["ignore", "inherit", "inherit"] });
      renameSync(work, target);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return { java: found.java, classPath: `${join(target, "classes")}:${join(target, "libs", "*")}` };
}

// Finds helm, which renders and lints the chart: HELM, the PATH, or what `node scripts/helm.mjs --install` built with Go.
// Without helm and without Go the chart's checks are skipped, loudly.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const VERSION = "3.18.6";
const INSTALL_LIMIT_MS = 1_200_000;
const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "iot-topology", `helm-${VERSION}`);
const built = join(folder, "helm");
const works = (command) => spawnSync(command, ["version", "--short"], { encoding: "utf8" }).status === 0;

/** The command that runs helm, or undefined where there is none. */
export function findHelm() {
  return [process.env.HELM, "helm", built].find((command) => command !== undefined && command !== "" && works(command));
}

/** Builds helm from Go's module proxy into the user's cache, once. Tells what is missing where that cannot be. */
export function installHelm() {
  const found = findHelm();
  if (found !== undefined) return { helm: found };
  if (spawnSync("go", ["version"]).status !== 0) return { missing: "helm, or Go to build it" };
  const work = `${folder}-${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    const { status, stderr } = spawnSync("go", ["install", `helm.sh/helm/v3/cmd/helm@v${VERSION}`], { env: { ...process.env, GOBIN: work, CGO_ENABLED: "0" }, encoding: "utf8", timeout: INSTALL_LIMIT_MS, killSignal: "SIGKILL" });
    if (status !== 0) return { missing: `helm (go install failed: ${stderr.trim().split("\n").slice(-2).join(" ")})` };
    if (!existsSync(folder)) renameSync(work, folder);
    return { helm: built };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (resolve(process.argv[1] ?? "") === fileURLToPath(import.meta.url)) {
  const result = process.argv.includes("--install") ? installHelm() : { helm: findHelm(), missing: "helm" };
  process.stdout.write(result.helm === undefined ? `SKIPPED: the chart is not rendered, which needs ${result.missing}\n` : `helm: ${result.helm}\n`);
}

// Renders and lints what deploys: the chart with helm, the compose file with docker compose, as far as either is at hand. What is not is told as skipped.
// What must hold of the files whatever tools there are is tested in test/deploy.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { findHelm } from "./helm.mjs";
import { conclude, root } from "./sources.mjs";

const problems = [];
const done = [];
const chart = join(root, "deploy/helm/iot-topology");
// A helm built with Go takes the cluster for a very old one, unless told.
const kubernetes = ["--kube-version", "1.31.0"];
const run = (command, args, env = {}) => spawnSync(command, args, { cwd: root, encoding: "utf8", env: { ...process.env, ...env } });

const helm = findHelm();
if (helm === undefined) process.stdout.write("SKIPPED: helm lint and helm template (no helm: `node scripts/helm.mjs --install` builds it with Go)\n");
else {
  for (const args of [["lint", "--strict", chart], ["template", "release", chart], ["template", "release", chart, "--set", "podDisruptionBudget.enabled=false,replicas=1,persistence.storageClass=fast"]]) {
    const { status, stdout, stderr } = run(helm, [...args, ...kubernetes]);
    if (status !== 0) problems.push(`helm ${args.slice(0, 2).join(" ")}: ${stderr}${stdout}`);
    else done.push(`helm ${args[0]}`);
  }
  // The schema of the values refuses what it should.
  for (const wrong of ["image.tag=latest", "replicas=0", "persistence.size=big", "unknown=1"]) {
    if (run(helm, ["template", "release", chart, "--set", wrong, ...kubernetes]).status === 0) problems.push(`values.schema.json lets ${wrong} pass`);
  }
}

if (run("docker", ["compose", "version"]).status !== 0) process.stdout.write("SKIPPED: docker compose config (no docker compose)\n");
else {
  const { status, stderr } = run("docker", ["compose", "--env-file", ".env.example", "config", "--quiet"]);
  if (status !== 0) problems.push(`docker compose config: ${stderr}`);
  else done.push("docker compose config");
}
conclude("deploy", problems, done.length === 0 ? "nothing at hand to render with" : done.join(", "));

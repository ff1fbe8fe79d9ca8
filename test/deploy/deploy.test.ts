/** What deploys: the compose file, the Dockerfile, the chart, the dashboard and the alerts, held to what must be true of them and to the command that they run. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { parse, parseAllDocuments } from "yaml";
import { runCli } from "../iot/cli.ts";

t.setTimeout(120_000);
const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const work = mkdtempSync(join(tmpdir(), "iot-topology-deploy-"));
t.teardown(() => rmSync(work, { recursive: true, force: true }));

interface Service {
  readonly image?: string;
  readonly build?: unknown;
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly security_opt?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly read_only?: boolean;
  readonly stop_grace_period?: string;
}
interface Compose {
  readonly services: Readonly<Record<"kafka" | "clickhouse" | "topology", Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly environment?: string }>>;
}

/** `${NAME:-default}` with an environment. */
const interpolate = (text: string, env: Readonly<Record<string, string>>): string => text.replace(/\$\{([A-Z_]+)(?::-([^}]*))?\}/g, (_all, name: string, otherwise: string | undefined) => env[name] ?? otherwise ?? "");

/** The variables of an env file. */
function envFile(path: string): Record<string, string> {
  const lines = read(path).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

/** The command takes exactly these variables: an unknown one, or a wrong value, ends it with an error. */
async function configOf(variables: Readonly<Record<string, string>>): Promise<{ code: number | null; stderr: string; values: Readonly<Record<string, { value: unknown; from: string }>> }> {
  const files: Record<string, string> = {};
  for (const [name, value] of Object.entries(variables)) {
    files[name] = value;
    if (!value.startsWith("/run/secrets/")) continue;
    files[name] = join(work, name);
    writeFileSync(files[name], "secret\n");
  }
  const { code, stdout, stderr } = await runCli(["config", "print", "--json"], files);
  return { code, stderr, values: code === 0 ? (JSON.parse(stdout) as { values: Record<string, { value: unknown; from: string }> }).values : {} };
}

t.test("docker-compose.yml", async (t) => {
  const compose = parse(read("docker-compose.yml")) as Compose;
  const services = Object.entries(compose.services);
  t.same(services.map(([name]) => name), ["kafka", "clickhouse", "topology"]);
  for (const [name, service] of services) {
    t.match(service.image, /^[\w./-]+:\d+\.\d+(\.\d+)?$/, `${name}: the image's version is pinned`);
    for (const port of service.ports ?? []) t.match(port, /^127\.0\.0\.1:/, `${name}: ${port} is published on loopback`);
    t.match(service.security_opt, ["no-new-privileges:true"]);
    t.ok(service.stop_grace_period, `${name}: has time to stop`);
    for (const volume of service.volumes ?? []) {
      const [source = ""] = volume.replace(/\$\{[^}]*\}/, "./path").split(":");
      t.ok(source.startsWith("./") || source in compose.volumes, `${name}: ${volume} is declared`);
    }
    for (const secret of service.secrets ?? []) t.ok(compose.secrets[secret], `${name}: the secret ${secret} is declared`);
    for (const [variable, value] of Object.entries(service.environment ?? {})) t.notMatch(`${variable}=${value}`, /(PASSWORD|TOKEN)=(?!\/run\/secrets\/)/, `${name}: ${variable} holds no secret`);
  }
  const { kafka, clickhouse, topology } = compose.services;
  t.ok(kafka.healthcheck && clickhouse.healthcheck, "what is waited for says when it is ready");
  t.same(topology.depends_on, { kafka: { condition: "service_healthy" }, clickhouse: { condition: "service_healthy" } });
  t.ok(topology.read_only, "the root is read-only");
  t.match(topology.volumes, ["topology-data:/data"], "state outlives the container");
  t.same(topology.cap_drop, ["ALL"]);

  const example = envFile(".env.example");
  const text = read("docker-compose.yml");
  const used = new Set([...text.matchAll(/\$\{([A-Z_]+)/g)].map((match) => match[1]).concat(Object.values(compose.secrets).map((secret) => secret.environment)));
  t.same(Object.keys(example).sort(), [...used].sort(), ".env.example has the variables that are used, and no other");
  const variables = Object.fromEntries(Object.entries(topology.environment ?? {}).map(([name, value]) => [name, interpolate(String(value), example)]));
  const { code, stderr, values } = await configOf(variables);
  t.equal(code, 0, `the command knows every variable: ${stderr}`);
  t.same(values["kafka.brokers"]?.value, ["kafka:9092"]);
  t.equal(values["clickhouse.url"]?.value, "http://clickhouse:8123");
  t.equal((await configOf({ ...variables, IOT_TOPOLOGY_KAFKA_BROKER: "x" })).code, 2, "and would refuse another");
});

/** A Dockerfile's instructions, continued lines joined. */
function instructions(text: string): readonly { readonly name: string; readonly rest: string }[] {
  const lines = text.replace(/\\\n/g, " ").split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => ({ name: line.split(/\s/)[0] ?? "", rest: line.slice(line.indexOf(" ") + 1) }));
}

t.test("Dockerfile", (t) => {
  const all = instructions(read("Dockerfile"));
  const named = new Set(["ARG", "FROM", "WORKDIR", "ENV", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"]);
  t.same(all.filter(({ name }) => !named.has(name)), [], "only instructions that there are, and no ADD");
  t.match(all[0], { name: "ARG", rest: /^NODE_IMAGE=node:24\.\d+\.\d+-bookworm-slim$/ }, "the base image's version is pinned");
  const last = all.findLastIndex(({ name }) => name === "FROM");
  const runtime = all.slice(last);
  const user = runtime.findIndex(({ name }) => name === "USER");
  t.equal(runtime[user]?.rest, "1000:1000", "a number, so that an orchestrator can see that it is not root");
  t.same(runtime.slice(user).filter(({ name }) => name === "RUN" || name === "COPY"), [], "nothing is made after it");
  t.ok(all.filter(({ name, rest }) => name === "RUN" && rest.includes("npm ci")).length === 2 && runtime.every(({ rest }) => !rest.includes("npm")), "what is installed is the lockfile's, and npm is not used where it runs");
  t.match(all.find(({ rest }) => rest.includes("--omit=dev")), { name: "RUN" });
  for (const name of ["ENTRYPOINT", "CMD"]) t.match(runtime.find((each) => each.name === name)?.rest, /^\[/, `${name} has no shell that would keep signals`);
  t.match(runtime.find(({ name }) => name === "HEALTHCHECK")?.rest, /readyz/);
  t.ok(runtime.some(({ name, rest }) => name === "VOLUME" && rest.includes("/data")));

  const copied = all.filter(({ name, rest }) => name === "COPY" && !rest.startsWith("--from")).flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1));
  for (const path of copied) t.ok(existsSync(join(root, path)), `${path} exists`);
  const workspaces = ["packages", "examples"].flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}/package.json`)).concat("bench/package.json", "test/package.json");
  for (const path of workspaces.filter((each) => existsSync(join(root, each)))) t.ok(copied.includes(path), `${path} is there for npm ci`);
  const compose = parse(read("docker-compose.yml")) as Compose;
  t.match(compose.services.topology.environment?.["IOT_TOPOLOGY_PORT"], /^8080$/);
  t.ok(runtime.some(({ name, rest }) => name === "EXPOSE" && rest === "8080"));
  t.match(read(".dockerignore").split("\n").filter((line) => !line.startsWith("#"))[0], /^\*$/, "what is not named stays out of the build");
  t.end();
});

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: never;
  readonly data?: Readonly<Record<string, string>>;
}

function render(helm: string, ...args: readonly string[]): readonly Manifest[] {
  const { status, stdout, stderr } = spawnSync(helm, ["template", "release", join(root, "deploy/helm/iot-topology"), "--kube-version", "1.31.0", ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest | null).filter((manifest): manifest is Manifest => manifest !== null);
}

t.test("the chart", async (t) => {
  const helm = spawnSync(process.execPath, [join(root, "scripts/helm.mjs")], { encoding: "utf8" }).stdout;
  const command = /^helm: (.+)$/m.exec(helm)?.[1];
  if (command === undefined) {
    process.stderr.write("SKIPPED: the chart is not rendered, which needs helm (node scripts/helm.mjs --install)\n");
    return void t.pass("a rendered chart", { skip: "needs helm" });
  }
  const manifests = render(command, "--set", "config.kafka.tls.enabled=true,secrets.kafka\\.sasl\\.password.secretName=kafka,secrets.kafka\\.sasl\\.password.key=password,replicas=3,config.stopTimeoutMs=45000");
  t.same(manifests.map(({ kind }) => kind).sort(), ["ConfigMap", "PodDisruptionBudget", "Service", "StatefulSet"]);
  const [set] = manifests.filter(({ kind }) => kind === "StatefulSet");
  const spec = set?.spec as unknown as {
    replicas: number; serviceName: string; volumeClaimTemplates: { metadata: { name: string } }[];
    template: { spec: { terminationGracePeriodSeconds: number; automountServiceAccountToken: boolean; securityContext: object; containers: { image: string; env: { name: string; value?: string }[]; securityContext: object; volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[]; livenessProbe: object; readinessProbe: object; startupProbe: object }[]; volumes: { name: string }[] } };
  };
  const pod = spec.template.spec;
  const [container] = pod.containers;
  t.equal(spec.replicas, 3);
  t.match(manifests.find(({ kind }) => kind === "Service"), { metadata: { name: spec.serviceName }, spec: { clusterIP: "None", publishNotReadyAddresses: true } });
  t.match(pod.securityContext, { runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000, seccompProfile: { type: "RuntimeDefault" } });
  t.match(container?.securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } });
  t.equal(pod.automountServiceAccountToken, false);
  t.equal(pod.terminationGracePeriodSeconds, 55, "longer than the stop it leaves time for");
  t.match(container, { livenessProbe: { httpGet: { path: "/livez" } }, startupProbe: { httpGet: { path: "/livez" } }, readinessProbe: { httpGet: { path: "/readyz" } } });
  t.match(spec.volumeClaimTemplates, [{ metadata: { name: "data" } }]);
  const mounted = new Set([...pod.volumes.map(({ name }) => name), ...spec.volumeClaimTemplates.map(({ metadata }) => metadata.name)]);
  for (const { name } of container?.volumeMounts ?? []) t.ok(mounted.has(name), `the volume ${name} is there`);
  t.match(container?.volumeMounts.find(({ mountPath }) => mountPath === "/data"), { name: "data" });
  t.ok(container?.volumeMounts.every(({ name, readOnly }) => readOnly === true || name === "data" || name === "tmp"), "nothing else is written to");
  t.match(manifests.find(({ kind }) => kind === "PodDisruptionBudget"), { spec: { maxUnavailable: 1 } });

  const config = join(work, "config.json");
  writeFileSync(config, manifests.find(({ kind }) => kind === "ConfigMap")?.data?.["config.json"] ?? "");
  const variables = Object.fromEntries((container?.env ?? []).filter(({ name }) => name.startsWith("IOT_")).map(({ name, value = "" }) => [name, name === "IOT_TOPOLOGY_CONFIG" ? config : value.replace(/\$\(\w+\)/g, "x").replace("/run/secrets/iot-topology/", "/run/secrets/")]));
  const { code, stderr, values } = await configOf(variables);
  t.equal(code, 0, `the command knows the file and every variable: ${stderr}`);
  t.same(values["kafka.brokers"]?.value, ["kafka:9092"]);
  t.match(values["kafka.tls.enabled"], { value: true });
  t.match(values["kafka.sasl.password"]?.from, /^IOT_TOPOLOGY_KAFKA_SASL_PASSWORD_FILE/);
  t.match(values["token"]?.from, /^IOT_TOPOLOGY_TOKEN_FILE/);
  t.match(values["advertisedUrl"]?.value, `http://x.${spec.serviceName}.x.svc:8080`);
  t.equal(values["stopTimeoutMs"]?.value, 45_000);
});

t.test("each value of the chart is in its schema, and told", (t) => {
  const values = parse(read("deploy/helm/iot-topology/values.yaml")) as Record<string, unknown>;
  const schema = JSON.parse(read("deploy/helm/iot-topology/values.schema.json")) as { properties: Record<string, unknown>; required: string[] };
  for (const name of Object.keys(values)) t.ok(name in schema.properties, name);
  for (const name of schema.required) t.ok(name in values, name);
  const chart = parse(read("deploy/helm/iot-topology/Chart.yaml")) as { version: string; appVersion: string };
  const { version } = JSON.parse(read("packages/topologies/package.json")) as { version: string };
  t.equal(chart.appVersion, version, "the chart's version is that of the command");
  t.equal((values["image"] as { tag: string }).tag, version);
  t.end();
});

t.test("dashboard and alerts ask for metrics that there are", (t) => {
  const known = new Set([...read("packages/topologies/src/cli/run/metrics.ts").matchAll(/name: "([a-z_]+)"/g)].map((match) => `iot_topology_${match[1]}`));
  t.ok(known.size > 10);
  const dashboard = JSON.parse(read("deploy/grafana/iot-topology.json")) as { panels: { id: number; title: string; targets: { expr: string }[] }[] };
  const { groups } = parse(read("deploy/prometheus/alerts.yml")) as { groups: { rules: { alert: string; expr: string; for: string; labels: { severity: string }; annotations: { summary: string; description: string } }[] }[] };
  const rules = groups.flatMap((group) => group.rules);
  const expressions = [...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)), ...rules.map(({ expr }) => expr)];
  for (const expression of expressions) {
    const asked = expression.match(/iot_topology_[a-z_]+/g) ?? [];
    t.ok(asked.length > 0, expression);
    for (const name of asked) t.ok(known.has(name), name);
    t.equal(expression.split("(").length, expression.split(")").length, `brackets match: ${expression}`);
  }
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  for (const rule of rules) t.ok(rule.for !== "" && rule.labels.severity !== "" && rule.annotations.summary !== "" && rule.annotations.description !== "", rule.alert);
  t.end();
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import t from "tap";
import { type ConfigInput, loadConfig } from "../../src/cli/config/config.ts";
import { CONFIG_NAMES, environmentName } from "../../src/cli/config/keys.ts";
import { nearest } from "../../src/cli/config/nearest.ts";
import { Secret } from "../../src/cli/config/secret.ts";

const folder = mkdtempSync(join(tmpdir(), "iot-topology-config-"));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const write = (content: unknown, name = "iot-topology.config.json") => writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
const load = (input: Partial<ConfigInput> = {}) => loadConfig({ environment: {}, flags: {}, folder, ...input });
const problems = (input: Partial<ConfigInput>): string => {
  try {
    load(input);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};

t.test("later sources win: defaults, file, its section, environment, flags", async (t) => {
  write({ default: { port: 1_001, generator: { rate: 5, devices: 6 }, partitions: 2 }, env: { dev: { generator: { devices: 7 }, "log.level": "debug" } } });
  const { config, origins } = load({ env: "dev", environment: { IOT_TOPOLOGY_GENERATOR_RATE: "8.5", IOT_TOPOLOGY_PORT: "1002" }, flags: { port: "1003" } });
  t.equal(config.port, 1_003);
  t.equal(config["generator.rate"], 8.5);
  t.equal(config["generator.devices"], 7);
  t.equal(config.partitions, 2);
  t.equal(config["log.level"], "debug");
  t.equal(config["generator.seed"], 42);
  t.match([origins.port, origins["generator.rate"], origins["generator.devices"], origins.partitions, origins["generator.seed"]], [
    "flag",
    "IOT_TOPOLOGY_GENERATOR_RATE",
    "iot-topology.config.json: env.dev.generator.devices",
    "iot-topology.config.json: default.partitions",
    "default",
  ]);
  t.equal(load({ environment: { IOT_TOPOLOGY_ENV: "dev" } }).config["generator.devices"], 7);
});

t.test("all problems of all sources are reported together, unknown names with the nearest known one", async (t) => {
  write({ default: { prot: 1, generator: { seeds: 2, rate: "fast" }, clickhouse: 7 }, enviroment: {} });
  const text = problems({ environment: { IOT_TOPOLOGY_PARTITION: "3", IOT_TOPOLOGY_MIGRATE: "perhaps" }, flags: { port: "70000", "clickhouse.url": "ftp://x" } });
  for (const expected of [
    '10 problems',
    'default.prot is not a key, did you mean "port"?',
    'default.generator.seeds is not a key, did you mean "generator.seed"?',
    'default.generator.rate is "fast", but must be a number from 0.1 to 10000',
    "default.clickhouse must be an object",
    'enviroment is not a section',
    'IOT_TOPOLOGY_PARTITION is not a variable that iot-topology knows, did you mean "IOT_TOPOLOGY_PARTITIONS"?',
    'IOT_TOPOLOGY_MIGRATE is "perhaps", but must be true or false',
    'flag is "70000", but must be a whole number from 0 to 65535',
    'flag is "ftp://x", but must be a URL',
  ]) {
    t.match(text, expected.replace("10 problems", "9 problems"));
  }
  write({ env: { dev: {} } });
  t.match(problems({ env: "prod" }), 'has no section "prod" (it has dev)');
  t.match(problems({ env: "dve" }), 'did you mean "dev"?');
});

t.test("a broken or missing file is named, and the parser's quote of it is not shown", async (t) => {
  write('{ "default": { "clickhouse": { "password": "hunter2" "x"');
  const text = problems({});
  t.match(text, "is not valid JSON");
  t.notMatch(text, "hunter2");
  t.throws(() => load({ file: "other.json" }), { code: "FILE_NOT_FOUND" });
  write([]);
  t.match(problems({}), "must hold a JSON object");
});

t.test("secrets come from the environment, a file or a reference, and show nowhere", async (t) => {
  const revealed = (input: Partial<ConfigInput>) => load(input).config["clickhouse.password"]?.reveal();
  write({ default: { clickhouse: { password: "hunter2" } } });
  const refused = problems({});
  t.match(refused, "is a secret and must not stand in a file");
  t.notMatch(refused, "hunter2");
  const reference = (name: string) => ["$", `{env:${name}}`].join("");
  write({ default: { clickhouse: { password: reference("THE_PASSWORD"), username: `u-${reference("WHO")}` } } });
  const environment = { THE_PASSWORD: "hunter2", WHO: "me" };
  t.equal(revealed({ environment }), "hunter2");
  t.equal(load({ environment }).config["clickhouse.username"], "u-me");
  t.match(problems({ environment: { WHO: "me" } }), "refers to the variable THE_PASSWORD, which is not set");
  writeFileSync(join(folder, "password"), "from-file\n");
  const byFile = { ...environment, IOT_TOPOLOGY_CLICKHOUSE_PASSWORD_FILE: join(folder, "password") };
  t.equal(revealed({ environment: byFile }), "from-file");
  t.match(problems({ environment: { ...byFile, IOT_TOPOLOGY_CLICKHOUSE_PASSWORD: "x" } }), "are both set");
  t.match(problems({ environment: { ...environment, IOT_TOPOLOGY_CLICKHOUSE_PASSWORD_FILE: join(folder, "nowhere") } }), "which cannot be read");
  const loaded = load({ environment });
  for (const text of [inspect(loaded, { depth: 9, showHidden: true }), JSON.stringify(loaded), String(loaded.config["clickhouse.password"]), `${new Secret("hunter2")}`]) {
    t.notMatch(text, "hunter2");
  }
  t.match(problems({ environment, flags: { "clickhouse.url": "http://u:hunter2@h:1" } }), "holds a user or password");
  t.notMatch(problems({ environment, flags: { "clickhouse.url": "http://u:hunter2@h:1" } }), "hunter2");
});

t.test("names of variables are those of the keys, each once", async (t) => {
  t.equal(environmentName("clickhouse.httpPort"), "IOT_TOPOLOGY_CLICKHOUSE_HTTP_PORT");
  t.equal(new Set(CONFIG_NAMES.map(environmentName)).size, CONFIG_NAMES.length);
  t.equal(nearest("prot", ["port", "data"]), "port");
  t.equal(nearest("zzzzzzzz", ["port", "data"]), undefined);
});

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import t from "tap";
import { silentLogger, TopologyError } from "@iot-topology/core";
import { loadConfig } from "../../src/cli/config/config.ts";
import { addresses, isLoopback } from "../../src/cli/config/parse.ts";
import { isKafka, kafkaOptions } from "../../src/cli/run/kafka.ts";

const folder = mkdtempSync(join(tmpdir(), "iot-topology-kafka-options-"));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const PEM = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";
const load = (environment: Readonly<Record<string, string>>) => loadConfig({ environment, flags: {}, folder }).config;
const options = (environment: Readonly<Record<string, string>>) => kafkaOptions(load(environment), silentLogger);

t.test("brokers come as a list, a text or an array, and are addresses", async (t) => {
  t.same(load({ IOT_TOPOLOGY_KAFKA_BROKERS: "a.example:9092, [::1]:9093" })["kafka.brokers"], ["a.example:9092", "[::1]:9093"]);
  t.same(load({ IOT_KAFKA_BROKERS: "k:1" })["kafka.brokers"], ["k:1"], "the short name of the variable");
  t.equal(isKafka(load({})), false);
  for (const wrong of ["a", "a:", "a:0", "a:70000", "a:1,,b:2", "http://a:1", "a b:1", "", 7, []]) t.match(addresses(wrong), { problem: /HOST:PORT/ }, JSON.stringify(wrong));
  t.throws(() => options({}), { code: "CONFIG_INVALID", message: /no brokers are named/ });
});

t.test("variables that only we can mean are checked under the short prefix too, and each may be set once", async (t) => {
  t.throws(() => load({ IOT_KAFKA_BROKER: "a:1" }), { message: /IOT_KAFKA_BROKER is not a variable that iot-topology knows, did you mean "IOT_TOPOLOGY_KAFKA_BROKERS"/ });
  t.throws(() => load({ IOT_KAFKA_BROKERS: "a:1", IOT_TOPOLOGY_KAFKA_BROKERS: "b:1" }), { message: /are both set/ });
  t.doesNotThrow(() => load({ IOT_EDGE_DEVICE: "x" }), "other programs' variables are theirs");
});

t.test("without anything else the connection is plain, under our name, with the default client", async (t) => {
  t.same(options({ IOT_KAFKA_BROKERS: "a:1" }), { brokers: ["a:1"], client: "platformatic", clientId: "iot-topology", logger: silentLogger });
  t.match(options({ IOT_KAFKA_BROKERS: "a:1", IOT_KAFKA_CLIENT: "kafkajs", IOT_KAFKA_CLIENT_ID: "me", IOT_KAFKA_RACK: "z1", IOT_KAFKA_TRANSACTION_TIMEOUT_MS: "30000" }), { client: "kafkajs", clientId: "me", rack: "z1", transactionTimeoutMs: 30_000 });
});

t.test("TLS takes its certificates from files, by either name of the variable", async (t) => {
  const ca = file("ca.pem", PEM);
  const key = file("key.pem", PEM.replace("CERTIFICATE", "PRIVATE KEY"));
  const base = { IOT_KAFKA_BROKERS: "a:1", IOT_KAFKA_TLS_ENABLED: "true" };
  t.same(options(base).tls, {}, "the system's authorities");
  t.same(options({ ...base, IOT_KAFKA_TLS_CA_FILE: ca, IOT_KAFKA_TLS_CERT: ca, IOT_KAFKA_TLS_KEY_FILE: key, IOT_KAFKA_TLS_PASSPHRASE: "p" }).tls, { ca: PEM, cert: PEM, key: PEM.replace("CERTIFICATE", "PRIVATE KEY"), passphrase: "p" });
  t.throws(() => options({ ...base, IOT_KAFKA_TLS_CERT: ca }), { code: "CONFIG_INVALID", message: /belong together/ });
  t.throws(() => options({ ...base, IOT_KAFKA_TLS_CA: join(folder, "nowhere") }), { code: "FILE_NOT_FOUND", message: /kafka\.tls\.ca/ });
  const secretText = file("not.pem", "hunter2");
  t.throws(() => options({ ...base, IOT_KAFKA_TLS_CA: secretText }), { code: "FILE_INVALID" });
  try {
    options({ ...base, IOT_KAFKA_TLS_CA: secretText });
  } catch (error) {
    t.notMatch(inspect(error, { depth: 9 }), "hunter2");
  }
  t.throws(() => options({ IOT_KAFKA_BROKERS: "a:1", IOT_KAFKA_TLS_CA: ca }), { code: "CONFIG_INVALID", message: /kafka\.tls\.enabled is false/ });
});

t.test("logins are whole or refused, and none goes over a network unencrypted that shows its secret", async (t) => {
  const plain = { IOT_KAFKA_SASL_MECHANISM: "PLAIN", IOT_KAFKA_SASL_USERNAME: "u", IOT_KAFKA_SASL_PASSWORD: "hunter2" };
  const far = { IOT_KAFKA_BROKERS: "127.0.0.1:1,k.example:1" };
  const near = { IOT_KAFKA_BROKERS: "localhost:1,127.0.0.1:2,[::1]:3" };
  t.throws(() => options({ ...far, ...plain }), { code: "CONFIG_INVALID", message: /the password would go over the network as it is \(k\.example:1\)/ });
  t.same(options({ ...near, ...plain }).sasl, { mechanism: "plain", username: "u", password: "hunter2" });
  t.same(options({ ...far, ...plain, IOT_KAFKA_TLS_ENABLED: "1" }).sasl, { mechanism: "plain", username: "u", password: "hunter2" });
  t.same(options({ ...far, ...plain, IOT_KAFKA_SASL_MECHANISM: "SCRAM-SHA-512" }).sasl, { mechanism: "scram-sha-512", username: "u", password: "hunter2" });
  const { IOT_KAFKA_SASL_PASSWORD: _, ...without } = plain;
  t.throws(() => options({ ...near, ...without }), { message: /plain needs kafka\.sasl\.username and kafka\.sasl\.password/ });
  t.throws(() => options({ ...near, IOT_KAFKA_SASL_USERNAME: "u" }), { message: /no kafka\.sasl\.mechanism/ });
  t.throws(() => load({ ...near, IOT_KAFKA_SASL_MECHANISM: "GSSAPI" }), { message: /must be one of plain, scram-sha-256/ });
  for (const text of [inspect(load({ ...near, ...plain }), { depth: 9, showHidden: true }), JSON.stringify(load({ ...near, ...plain }))]) t.notMatch(text, "hunter2");
});

t.test("a token's file is read at each login", async (t) => {
  const tokenFile = file("token", "first\n");
  const base = { IOT_KAFKA_BROKERS: "localhost:1", IOT_KAFKA_SASL_MECHANISM: "oauthbearer" };
  const { sasl } = options({ ...base, IOT_KAFKA_SASL_TOKEN_FILE: tokenFile });
  if (sasl?.mechanism !== "oauthbearer") throw new Error("it is oauthbearer");
  t.equal(await sasl.token(), "first");
  file("token", "second");
  t.equal(await sasl.token(), "second");
  t.throws(() => options({ ...base, IOT_KAFKA_SASL_TOKEN_FILE: tokenFile, IOT_KAFKA_SASL_TOKEN: "x" }), TopologyError);
  t.throws(() => options(base), { message: /needs one of kafka\.sasl\.token and kafka\.sasl\.tokenFile/ });
  t.throws(() => options({ ...base, IOT_KAFKA_BROKERS: "k.example:1", IOT_KAFKA_SASL_TOKEN: "x" }), { message: /the token would go over the network/ });
});

t.test("loopback is what stays on this machine", async (t) => {
  t.same(["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"].map(isLoopback), [true, true, true, true, true]);
  t.same(["0.0.0.0", "127.evil.example", "localhost.example", "10.0.0.1", ""].map(isLoopback), [false, false, false, false, false]);
});

t.test("no library that speaks to Kafka is loaded before brokers are spoken to", async (t) => {
  const script = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    for (const name of ["main", "run/session", "command/start", "command/offsets", "command/replay"]) await import(new URL(name + ".ts", process.argv[1]).href);
    const { silentLogger } = await import("@iot-topology/core");
    const { openKafka, LOOK } = await import(new URL("run/kafka.ts", process.argv[1]).href);
    const before = loaded.filter((url) => /kafka/.test(url) && /node_modules|connectors/.test(url)).length;
    await openKafka({ "kafka.brokers": ["127.0.0.1:1"], "kafka.client": "kafkajs", "kafka.tls.enabled": false }, silentLogger, { deadlineMs: 200 }).catch(() => {});
    const has = (name) => loaded.some((url) => url.includes("node_modules/" + name + "/"));
    console.log(JSON.stringify({ before, kafkajs: has("kafkajs"), platformatic: has("@platformatic/kafka") }));`;
  const cli = new URL("../../src/cli/", import.meta.url).href;
  const said = execFileSync(process.execPath, ["--conditions=@iot-topology/source", "--input-type=module", "-e", script, cli], { cwd: new URL("../..", import.meta.url), encoding: "utf8" });
  t.same(JSON.parse(said), { before: 0, kafkajs: true, platformatic: false }, "and then only the one that was chosen");
});

import { readFileSync } from "node:fs";
import { type Logger, TopologyError } from "@iot-topology/core";
import type { KafkaLog, KafkaLogOptions } from "@iot-topology/connectors/kafka";
import type { Config } from "../config/keys.ts";
import { isLoopback } from "../config/parse.ts";

type Tls = NonNullable<KafkaLogOptions["tls"]>;
type Sasl = NonNullable<KafkaLogOptions["sasl"]>;

/** A person waits for the answers of commands that only look. */
export const LOOK: Pick<KafkaLogOptions, "deadlineMs"> = { deadlineMs: 10_000 };

/** Whether the configuration says Kafka. */
export function isKafka(config: Config): boolean {
  return config["kafka.brokers"] !== undefined;
}

/**
 * Connects to the configured brokers. The client libraries are loaded here and nowhere else, so that nobody waits for them who runs without Kafka.
 *
 * @throws TopologyError CONFIG_INVALID, FILE_NOT_FOUND, KAFKA_UNREACHABLE, KAFKA_AUTHENTICATION.
 */
export async function openKafka(config: Config, logger: Logger, limits: Pick<KafkaLogOptions, "deadlineMs"> = {}): Promise<KafkaLog> {
  const options = { ...kafkaOptions(config, logger), ...limits };
  const { openKafkaLog } = await import("@iot-topology/connectors/kafka");
  return openKafkaLog(options);
}

/** The log's options, checked: what could only fail later, or would show a secret to the network, fails here. */
export function kafkaOptions(config: Config, logger: Logger): KafkaLogOptions {
  const brokers = config["kafka.brokers"];
  if (brokers === undefined) throw invalid("no brokers are named", "add --kafka HOST:PORT, or set kafka.brokers");
  const tls = tlsOf(config);
  const sasl = saslOf(config, brokers, tls !== undefined);
  const rack = config["kafka.rack"];
  const transactionTimeoutMs = config["kafka.transactionTimeoutMs"];
  return {
    brokers,
    client: config["kafka.client"],
    clientId: config["kafka.clientId"] ?? "iot-topology",
    logger,
    ...(rack === undefined ? {} : { rack }),
    ...(tls === undefined ? {} : { tls }),
    ...(sasl === undefined ? {} : { sasl }),
    ...(transactionTimeoutMs === undefined ? {} : { transactionTimeoutMs }),
  };
}

function tlsOf(config: Config): Tls | undefined {
  const given = (["kafka.tls.ca", "kafka.tls.cert", "kafka.tls.key", "kafka.tls.passphrase"] as const).filter((name) => config[name] !== undefined);
  if (!config["kafka.tls.enabled"]) {
    if (given.length > 0) throw invalid(`${given.join(" and ")} ${given.length === 1 ? "is" : "are"} given, but kafka.tls.enabled is false`, "set kafka.tls.enabled to true, or leave them out");
    return undefined;
  }
  const [cert, key] = [config["kafka.tls.cert"], config["kafka.tls.key"]];
  if ((cert === undefined) !== (key === undefined)) throw invalid("kafka.tls.cert and kafka.tls.key belong together, and one is missing", "give both, or neither");
  const ca = config["kafka.tls.ca"];
  const passphrase = config["kafka.tls.passphrase"];
  return {
    ...(ca === undefined ? {} : { ca: pem("kafka.tls.ca", ca) }),
    ...(cert === undefined ? {} : { cert: pem("kafka.tls.cert", cert) }),
    ...(key === undefined ? {} : { key: pem("kafka.tls.key", key) }),
    ...(passphrase === undefined ? {} : { passphrase: passphrase.reveal() }),
  };
}

/** The text of a PEM file. What it holds is in no message: it may be a private key. */
function pem(name: string, path: string): string {
  const text = fileText(name, path);
  if (text.includes("-----BEGIN ")) return text;
  throw new TopologyError("FILE_INVALID", `the file of ${name} holds no PEM`, { place: path, cure: "give a file that begins with -----BEGIN" });
}

function fileText(name: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new TopologyError(isMissing ? "FILE_NOT_FOUND" : "FILE_INVALID", `the file of ${name} ${isMissing ? "does not exist" : "cannot be read"}`, { place: path, cure: `correct ${name}`, cause });
  }
}

function saslOf(config: Config, brokers: readonly string[], isEncrypted: boolean): Sasl | undefined {
  const mechanism = config["kafka.sasl.mechanism"];
  const given = (["kafka.sasl.username", "kafka.sasl.password", "kafka.sasl.token", "kafka.sasl.tokenFile"] as const).filter((name) => config[name] !== undefined);
  if (mechanism === undefined) {
    if (given.length > 0) throw invalid(`${given.join(" and ")} ${given.length === 1 ? "is" : "are"} given, but no kafka.sasl.mechanism`, "name the mechanism: plain, scram-sha-256, scram-sha-512 or oauthbearer");
    return undefined;
  }
  const far = brokers.find((address) => !isLoopback(address.slice(0, address.lastIndexOf(":"))));
  if ((mechanism === "plain" || mechanism === "oauthbearer") && !isEncrypted && far !== undefined) {
    const what = mechanism === "plain" ? "the password" : "the token";
    throw new TopologyError("CONFIG_INVALID", `with ${mechanism} and without TLS ${what} would go over the network as it is`, { place: far, cure: "set kafka.tls.enabled to true, or use scram-sha-512" });
  }
  return mechanism === "oauthbearer" ? oauth(config) : withPassword(config, mechanism);
}

function withPassword(config: Config, mechanism: "plain" | "scram-sha-256" | "scram-sha-512"): Sasl {
  const [username, password] = [config["kafka.sasl.username"], config["kafka.sasl.password"]];
  if (username === undefined || password === undefined) throw invalid(`${mechanism} needs kafka.sasl.username and kafka.sasl.password`, "give both; the password by the environment or a file");
  return { mechanism, username, password: password.reveal() };
}

function oauth(config: Config): Sasl {
  const [token, tokenFile] = [config["kafka.sasl.token"], config["kafka.sasl.tokenFile"]];
  if ((token === undefined) === (tokenFile === undefined)) throw invalid("oauthbearer needs one of kafka.sasl.token and kafka.sasl.tokenFile", "give one; a file is read anew at each login, so the token in it may be renewed");
  if (tokenFile !== undefined) fileText("kafka.sasl.tokenFile", tokenFile);
  return { mechanism: "oauthbearer", token: async () => (tokenFile === undefined ? (token?.reveal() ?? "") : fileText("kafka.sasl.tokenFile", tokenFile).trim()) };
}

function invalid(message: string, cure: string): TopologyError {
  return new TopologyError("CONFIG_INVALID", message, { place: "kafka", cure });
}

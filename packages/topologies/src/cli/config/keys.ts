import { addresses, bool, number, oneOf, optional, type Parse, secret, text, url } from "./parse.ts";

/** One key of the configuration. */
export interface ConfigKey<T> {
  readonly default: T;
  readonly parse: Parse<T>;
  readonly description: string;
  /** Its value is hidden, and may come from the file only as `${env:NAME}`. */
  readonly secret?: true;
  /** Its value is a path, so that NAME_FILE in the environment is the same as NAME. */
  readonly path?: true;
}

/** Shares that leave room for good records. */
const share = number(0, 0.4, "any");

/** Every key there is. The name's dots are sections in the file and `_` in the environment. */
export const CONFIG_KEYS = {
  topology: { default: "iot", parse: text, description: "a ready topology's name, or a file that exports one" },
  data: { default: "./.iot-topology", parse: text, description: "the data folder" },
  port: { default: 0, parse: number(0, 65_535, "whole"), description: "port of the status server; 0 for any free one" },
  host: { default: "127.0.0.1", parse: text, description: "the address that the status server listens on; another than this machine's own needs `token`" },
  token: { default: undefined, parse: optional(secret), description: "what the status server asks for as a bearer; a random one a run when absent", secret: true },
  advertisedUrl: { default: undefined, parse: optional(url), description: "where other instances and clients reach this one's status server; its own address when absent" },
  partitions: { default: undefined, parse: optional(number(1, 256, "whole")), description: "partitions of topics that are made; 1 when absent, 4 on Kafka; topics whose state cannot be split get 1" },
  migrate: { default: false, parse: bool, description: "apply additive changes to tables that exist" },
  commitRecordsMax: { default: 20_000, parse: number(1, 1_000_000, "whole"), description: "the most records a task processes between two commits" },
  commitIntervalMs: { default: 100, parse: number(1, 60_000, "whole"), description: "the longest time between two commits" },
  stopTimeoutMs: { default: 10_000, parse: number(100, 600_000, "whole"), description: "how long a graceful stop may take" },
  "log.level": { default: "info", parse: oneOf("debug", "info", "warn", "error"), description: "the least level of log lines" },
  "log.fsync": { default: "always", parse: oneOf("always", "interval", "never"), description: "when appends to the embedded log reach the disk" },
  "log.retentionMs": { default: undefined, parse: optional(number(60_000, Number.MAX_SAFE_INTEGER, "whole")), description: "processed records older than this go from the embedded log; kept for ever when absent, so that state can be rebuilt" },
  "log.retentionBytes": { default: undefined, parse: optional(number(1_048_576, Number.MAX_SAFE_INTEGER, "whole")), description: "processed records go from a partition's start while the rest is at least this large" },
  "clickhouse.url": { default: undefined, parse: optional(url), description: "a ClickHouse to use instead of the embedded one" },
  "clickhouse.username": { default: undefined, parse: optional(text), description: "its user" },
  "clickhouse.password": { default: undefined, parse: optional(secret), description: "its password", secret: true },
  "clickhouse.database": { default: undefined, parse: optional(text), description: "the database; the topology's name when absent" },
  "clickhouse.cluster": { default: undefined, parse: optional(text), description: "run DDL ON CLUSTER with this name" },
  "clickhouse.replicated": { default: false, parse: bool, description: "make Replicated tables" },
  "clickhouse.httpPort": { default: 0, parse: number(0, 65_535, "whole"), description: "HTTP port of the embedded ClickHouse; 0 for any free one" },
  "kafka.brokers": { default: undefined, parse: optional(addresses), description: "run on Kafka: HOST:PORT of brokers to begin with, with commas between them; the embedded log when absent" },
  "kafka.client": { default: "platformatic", parse: oneOf("platformatic", "kafkajs"), description: "the library that speaks to the brokers" },
  "kafka.clientId": { default: undefined, parse: optional(text), description: "how this process names itself to brokers; iot-topology when absent" },
  "kafka.rack": { default: undefined, parse: optional(text), description: "the rack or zone this process is in, so that near replicas are read" },
  "kafka.tls.enabled": { default: false, parse: bool, description: "encrypt connections to brokers" },
  "kafka.tls.ca": { default: undefined, parse: optional(text), description: "a PEM file of certificates to trust, instead of the system's", path: true },
  "kafka.tls.cert": { default: undefined, parse: optional(text), description: "a PEM file with this client's certificate", path: true },
  "kafka.tls.key": { default: undefined, parse: optional(text), description: "a PEM file with its private key", path: true },
  "kafka.tls.passphrase": { default: undefined, parse: optional(secret), description: "what the key is encrypted with", secret: true },
  "kafka.sasl.mechanism": { default: undefined, parse: optional(oneOf("plain", "scram-sha-256", "scram-sha-512", "oauthbearer")), description: "how to log in: plain (with TLS only), scram-sha-256, scram-sha-512 or oauthbearer" },
  "kafka.sasl.username": { default: undefined, parse: optional(text), description: "the user" },
  "kafka.sasl.password": { default: undefined, parse: optional(secret), description: "its password", secret: true },
  "kafka.sasl.token": { default: undefined, parse: optional(secret), description: "the bearer token of oauthbearer", secret: true },
  "kafka.sasl.tokenFile": { default: undefined, parse: optional(text), description: "a file with that token, read anew at each login", path: true },
  "kafka.createTopics": { default: false, parse: bool, description: "create topics that do not exist, instead of refusing to start" },
  "kafka.replicationFactor": { default: undefined, parse: optional(number(1, 32_767, "whole")), description: "replicas of topics that are created; the brokers' default when absent" },
  "kafka.sessionTimeoutMs": { default: 10_000, parse: number(1_000, 3_600_000, "whole"), description: "without a heartbeat for this long, this process' tasks go to others" },
  "kafka.transactionTimeoutMs": { default: undefined, parse: optional(number(1_000, 900_000, "whole")), description: "when brokers abort a transaction that a vanished process left open" },
  "kafka.hangingTransactionMs": { default: 60_000, parse: number(1_000, 86_400_000, "whole"), description: "a transaction in the input that is open for longer than this is reported" },
  threads: { default: 1, parse: number(1, 64, "whole"), description: "threads that share the tasks (the embedded log only)" },
  standbyReplicas: { default: 0, parse: number(0, 8, "whole"), description: "copies of each task's state kept warm on other processes (Kafka only)" },
  "generator.enabled": { default: true, parse: bool, description: "simulate a fleet when no input is named" },
  "generator.seed": { default: 42, parse: number(0, 4_294_967_295, "whole"), description: "the seed of the simulated fleet" },
  "generator.devices": { default: 20, parse: number(1, 100_000, "whole"), description: "devices of the fleet" },
  "generator.rate": { default: 50, parse: number(0.1, 10_000, "any"), description: "records a second" },
  "generator.duplicates": { default: 0.05, parse: share, description: "the share of repeats" },
  "generator.late": { default: 0.02, parse: share, description: "the share of records up to four days late" },
  "generator.malformed": { default: 0.01, parse: share, description: "the share of malformed records" },
} as const satisfies { readonly [name: string]: ConfigKey<never> | ConfigKey<unknown> };

export type ConfigName = keyof typeof CONFIG_KEYS;
type ValueOf<K> = K extends { readonly parse: Parse<infer T> } ? T : never;
/** The merged configuration: a value for each key. */
export type Config = { readonly [K in ConfigName]: ValueOf<(typeof CONFIG_KEYS)[K]> };

/** All names, in the order of the table. */
export const CONFIG_NAMES: readonly ConfigName[] = Object.keys(CONFIG_KEYS) as ConfigName[];

/** `clickhouse.httpPort` is `IOT_TOPOLOGY_CLICKHOUSE_HTTP_PORT` in the environment. */
export function environmentName(name: string): string {
  return `IOT_TOPOLOGY_${name.replaceAll(".", "_").replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()}`;
}

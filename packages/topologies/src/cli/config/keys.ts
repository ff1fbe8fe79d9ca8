import { Secret } from "./secret.ts";

/** How the text or JSON value of a key becomes its value: the value, or what is wrong with it. */
type Parse<T> = (raw: unknown) => { readonly value: T } | { readonly problem: string };

/** One key of the configuration. */
export interface ConfigKey<T> {
  readonly default: T;
  readonly parse: Parse<T>;
  readonly description: string;
  /** Its value is hidden, and may come from the file only as `${env:NAME}`. */
  readonly secret?: true;
}

const wrong = (raw: unknown, wanted: string): { problem: string } => ({ problem: `is ${JSON.stringify(raw) ?? String(raw)}, but must be ${wanted}` });

const text: Parse<string> = (raw) => (typeof raw === "string" && raw !== "" ? { value: raw } : wrong(raw, "a text"));

function number(minimum: number, maximum: number, kind: "whole" | "any"): Parse<number> {
  const wanted = `a ${kind === "whole" ? "whole " : ""}number from ${minimum} to ${maximum}`;
  return (raw) => {
    const value = typeof raw === "string" && raw.trim() !== "" ? Number(raw) : raw;
    if (typeof value !== "number" || !(value >= minimum && value <= maximum)) return wrong(raw, wanted);
    return kind === "any" || Number.isInteger(value) ? { value } : wrong(raw, wanted);
  };
}

const bool: Parse<boolean> = (raw) => {
  if (typeof raw === "boolean") return { value: raw };
  if (raw === "true" || raw === "1") return { value: true };
  return raw === "false" || raw === "0" ? { value: false } : wrong(raw, "true or false");
};

const oneOf =
  <const T extends string>(...names: readonly T[]): Parse<T> =>
  (raw) => {
    const found = names.find((name) => name === raw);
    return found === undefined ? wrong(raw, `one of ${names.join(", ")}`) : { value: found };
  };

const optional =
  <T>(parse: Parse<T>): Parse<T | undefined> =>
  (raw) =>
    raw === undefined || raw === null ? { value: undefined } : parse(raw);

const url: Parse<string> = (raw) => {
  const parsed = typeof raw === "string" && URL.canParse(raw) ? new URL(raw) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) return wrong(raw, "a URL that begins with http:// or https://");
  return parsed.username + parsed.password === "" ? { value: parsed.origin + parsed.pathname.replace(/\/$/, "") } : { problem: "holds a user or password; give them as clickhouse.username and clickhouse.password" };
};

const secret: Parse<Secret> = (raw) => (raw instanceof Secret ? { value: raw } : typeof raw === "string" ? { value: new Secret(raw) } : { problem: "must be a text" });

/** Shares that leave room for good records. */
const share = number(0, 0.4, "any");

/** Every key there is. The name's dots are sections in the file and `_` in the environment. */
export const CONFIG_KEYS = {
  topology: { default: "iot", parse: text, description: "a ready topology's name, or a file that exports one" },
  data: { default: "./.iot-topology", parse: text, description: "the data folder" },
  port: { default: 0, parse: number(0, 65_535, "whole"), description: "port of the status server on 127.0.0.1; 0 for any free one" },
  partitions: { default: 1, parse: number(1, 256, "whole"), description: "partitions of topics that are made" },
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

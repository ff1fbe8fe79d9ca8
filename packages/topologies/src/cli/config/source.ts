import { readFileSync } from "node:fs";
import { CONFIG_KEYS, CONFIG_NAMES, type ConfigName, environmentName } from "./keys.ts";
import { didYouMean } from "./nearest.ts";
import { Secret } from "./secret.ts";

/** A value as a source gives it, and where it came from. */
export interface RawValue {
  readonly raw: unknown;
  readonly from: string;
}
export type RawValues = Map<ConfigName, RawValue>;

/** What is wrong, and where. */
export interface ConfigIssue {
  readonly place: string;
  readonly problem: string;
}

/** What a source holds and what is wrong with it. */
export interface Source {
  readonly values: RawValues;
  readonly issues: readonly ConfigIssue[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = "IOT_TOPOLOGY_";
const SHORT_PREFIX = "IOT_";
/** Names without the long prefix that can only be meant for us. */
const OWN_SECTION = /^IOT_(KAFKA|CLICKHOUSE|GENERATOR)_/;
const KNOWN_VARIABLES: ReadonlyMap<string, ConfigName> = new Map(CONFIG_NAMES.map((name) => [environmentName(name), name]));
/** Names that the command reads itself. */
const OTHER_VARIABLES = ["IOT_TOPOLOGY_ENV", "IOT_TOPOLOGY_CONFIG", "IOT_TOPOLOGY_FAILPOINT", "IOT_TOPOLOGY_REEXEC"];
const REFERENCE = /\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}/g;
const isConfigName = (name: string): name is ConfigName => Object.hasOwn(CONFIG_KEYS, name);
const isSection = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** Variables `IOT_TOPOLOGY_*`, or `IOT_*` for short; `*_FILE` names a file that holds the value, or is the value where that is a path. */
export function environmentSource(environment: Environment): Source {
  const values: RawValues = new Map();
  const issues: ConfigIssue[] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(SHORT_PREFIX) || value === undefined || OTHER_VARIABLES.includes(variable)) continue;
    const full = variable.startsWith(PREFIX) ? variable : PREFIX + variable.slice(SHORT_PREFIX.length);
    const direct = KNOWN_VARIABLES.get(full);
    const byFile = full.endsWith("_FILE") ? KNOWN_VARIABLES.get(full.slice(0, -5)) : undefined;
    const name = direct ?? byFile;
    if (name === undefined) {
      // Other programs may use IOT_ for theirs.
      if (variable.startsWith(PREFIX) || OWN_SECTION.test(variable)) issues.push({ place: variable, problem: `is not a variable that iot-topology knows${didYouMean(full, [...KNOWN_VARIABLES.keys()])}` });
      continue;
    }
    const before = values.get(name);
    if (before !== undefined) issues.push({ place: variable, problem: `and ${before.from.split(" ")[0]} are both set; keep one` });
    else if (direct !== undefined || "path" in CONFIG_KEYS[name]) values.set(name, { raw: hide(name, value), from: variable });
    else readFromFile(name, variable, value, { values, issues });
  }
  return { values, issues };
}

function readFromFile(name: ConfigName, variable: string, path: string, { values, issues }: Pick<Reading, "values" | "issues">): void {
  try {
    values.set(name, { raw: hide(name, readFileSync(path, "utf8").replace(/\r?\n$/, "")), from: `${variable} (${path})` });
  } catch (error) {
    issues.push({ place: variable, problem: `names the file ${path}, which cannot be read: ${(error as Error).message}` });
  }
}

/** A parsed configuration file: `{ "default": {...}, "env": { "dev": {...} } }`, the named section over the default one. */
export function fileSource(path: string, content: unknown, env: string | undefined, environment: Environment): Source {
  const values: RawValues = new Map();
  const issues: ConfigIssue[] = [];
  if (!isSection(content)) return { values, issues: [{ place: path, problem: "must hold a JSON object" }] };
  for (const name of Object.keys(content)) {
    if (name !== "default" && name !== "env" && name !== "$schema") {
      issues.push({ place: `${path}: ${name}`, problem: `is not a section; keys stand under "default" or "env"${didYouMean(name, ["default", "env"])}` });
    }
  }
  const sections = content["env"] ?? {};
  if (!isSection(sections)) issues.push({ place: `${path}: env`, problem: "must be an object of sections" });
  const named = isSection(sections) ? sections : {};
  if (env !== undefined && !Object.hasOwn(named, env)) {
    const known = Object.keys(named);
    issues.push({ place: `${path}: env`, problem: `has no section ${JSON.stringify(env)}${didYouMean(env, known)} (it has ${known.join(", ") || "none"})` });
  }
  const read = (section: unknown, place: string) => readSection(section, place, "", { values, issues, environment });
  read(content["default"] ?? {}, `${path}: default`);
  if (env !== undefined && Object.hasOwn(named, env)) read(named[env], `${path}: env.${env}`);
  return { values, issues };
}

interface Reading {
  readonly values: RawValues;
  readonly issues: ConfigIssue[];
  readonly environment: Environment;
}

/** Sections nest at most as deep as the names of keys have dots. */
function readSection(section: unknown, place: string, prefix: string, into: Reading): void {
  if (!isSection(section)) return void into.issues.push({ place, problem: "must be an object" });
  for (const [name, value] of Object.entries(section)) {
    const full = prefix + name;
    const at = `${place}.${name}`;
    if (isConfigName(full)) {
      const raw = typeof value === "string" ? expanded(value, at, into) : value;
      if ("secret" in CONFIG_KEYS[full] && typeof value === "string" && !value.includes("${env:")) {
        into.issues.push({ place: at, problem: `is a secret and must not stand in a file: write \${env:NAME}, or set ${environmentName(full)}_FILE` });
      } else if (raw !== undefined) into.values.set(full, { raw: hide(full, raw), from: at });
    } else if (CONFIG_NAMES.some((known) => known.startsWith(`${full}.`))) readSection(value, at, `${full}.`, into);
    else into.issues.push({ place: at, problem: `is not a key${didYouMean(full, CONFIG_NAMES)}` });
  }
}

/** Replaces `${env:NAME}`; a name that is not set is an issue. */
function expanded(value: string, place: string, { issues, environment }: Reading): string | undefined {
  let complete = true;
  const text = value.replace(REFERENCE, (_, name: string) => {
    const found = environment[name];
    if (found !== undefined) return found;
    complete = false;
    issues.push({ place, problem: `refers to the variable ${name}, which is not set` });
    return "";
  });
  return complete ? text : undefined;
}

function hide(name: ConfigName, raw: unknown): unknown {
  return "secret" in CONFIG_KEYS[name] && typeof raw === "string" ? new Secret(raw) : raw;
}

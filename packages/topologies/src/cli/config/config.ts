import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { TopologyError } from "@iot-topology/core";
import * as Either from "fp-ts/lib/Either.js";
import type { NonEmptyArray } from "fp-ts/lib/NonEmptyArray.js";
import { CONFIG_KEYS, CONFIG_NAMES, type Config, type ConfigKey, type ConfigName } from "./keys.ts";
import { type ConfigIssue, type Environment, environmentSource, fileSource, type RawValues, type Source } from "./source.ts";

/** The file that is read when none is named. */
export const CONFIG_FILE = "iot-topology.config.json";

/** Where values come from, least first: defaults, file, environment, flags. */
export interface ConfigInput {
  readonly environment: Environment;
  /** Values of flags by the key they set; undefined where not given. */
  readonly flags: { readonly [K in ConfigName]?: unknown };
  /** The section of the file, from `--env`. */
  readonly env?: string | undefined;
  /** From `--config`; it must exist then. */
  readonly file?: string | undefined;
  readonly folder: string;
}

/** The merged configuration, and where each value came from. */
export interface LoadedConfig {
  readonly config: Config;
  readonly origins: { readonly [K in ConfigName]: string };
  readonly env: string | undefined;
}

/** Merges and checks all sources. All problems of all sources are reported together. */
export function mergeConfig(sources: readonly Source[]): Either.Either<NonEmptyArray<ConfigIssue>, Pick<LoadedConfig, "config" | "origins">> {
  const issues: ConfigIssue[] = sources.flatMap((source) => source.issues);
  const config: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const name of CONFIG_NAMES) {
    const key = CONFIG_KEYS[name] as ConfigKey<unknown>;
    const found = sources.findLast((source) => source.values.has(name))?.values.get(name);
    const parsed = found === undefined ? { value: key.default } : key.parse(found.raw);
    if ("problem" in parsed) issues.push({ place: found?.from ?? name, problem: parsed.problem });
    else config[name] = parsed.value;
    origins[name] = found?.from ?? "default";
  }
  const [first, ...rest] = issues;
  return first === undefined ? Either.right({ config: config as Config, origins: origins as LoadedConfig["origins"] }) : Either.left([first, ...rest]);
}

/** Loads the configuration. Throws CONFIG_INVALID with every problem, or FILE_NOT_FOUND for a file named by `--config`. */
export function loadConfig(input: ConfigInput): LoadedConfig {
  const env = input.env ?? input.environment["IOT_TOPOLOGY_ENV"];
  const flags: RawValues = new Map();
  for (const name of CONFIG_NAMES) {
    const raw = input.flags[name];
    if (raw !== undefined) flags.set(name, { raw, from: "flag" });
  }
  const merged = mergeConfig([fromFile(input, env), environmentSource(input.environment), { values: flags, issues: [] }]);
  if (Either.isRight(merged)) return { ...merged.right, env };
  const lines = merged.left.map((issue) => `${issue.place} ${issue.problem}`);
  throw new TopologyError("CONFIG_INVALID", lines.length === 1 ? (lines[0] ?? "") : `${lines.length} problems:\n  - ${lines.join("\n  - ")}`, {
    cure: "correct what is named; `iot-topology config print --help` lists all keys",
  });
}

function fromFile({ file, folder, environment }: ConfigInput, env: string | undefined): Source {
  const named = file ?? environment["IOT_TOPOLOGY_CONFIG"];
  const path = resolve(folder, named ?? CONFIG_FILE);
  if (!existsSync(path)) {
    if (named !== undefined) throw new TopologyError("FILE_NOT_FOUND", `there is no configuration file ${path}`, { cure: "correct --config, or leave it out" });
    if (env === undefined) return { values: new Map(), issues: [] };
    return { values: new Map(), issues: [{ place: "--env", problem: `names the section ${JSON.stringify(env)}, but there is no ${CONFIG_FILE} in ${folder}` }] };
  }
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    // Only where: the parser's message quotes the text, which may hold a secret.
    const where = /position \d+.*$/.exec((error as Error).message)?.[0] ?? "";
    return { values: new Map(), issues: [{ place: path, problem: `is not valid JSON${where === "" ? "" : ` (at ${where})`}` }] };
  }
  return fileSource(named ?? CONFIG_FILE, content, env, environment);
}

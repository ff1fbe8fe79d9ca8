import { type ConfigName } from "./config/keys.ts";
import { type Environment } from "./config/source.ts";
import { loadConfig, type LoadedConfig } from "./config/config.ts";
import { type Style, styleOf } from "./output/style.ts";

/** What a command gets from the process it runs in. */
export interface Context {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly stdin: NodeJS.ReadStream;
  readonly environment: Environment;
  readonly folder: string;
  readonly json: boolean;
  readonly verbose: boolean;
  readonly style: Style;
  /** The merged configuration; `flags` are those of the command. */
  readonly load: (flags?: { readonly [K in ConfigName]?: unknown }) => LoadedConfig;
}

/** Flags that every command takes. */
export interface CommonFlags {
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly config?: string;
  readonly env?: string;
  readonly data?: string;
}

/** The context of this process. */
export function processContext(common: CommonFlags): Context {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    environment: process.env,
    folder: process.cwd(),
    json: common.json === true,
    verbose: common.verbose === true,
    style: styleOf(process.stdout, process.env),
    load: (flags = {}) =>
      loadConfig({ environment: process.env, folder: process.cwd(), env: common.env, file: common.config, flags: { data: common.data, ...flags } }),
  };
}

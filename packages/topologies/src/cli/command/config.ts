import type { LoadedConfig } from "../config/config.ts";
import { CONFIG_KEYS, CONFIG_NAMES, environmentName } from "../config/keys.ts";
import { Secret } from "../config/secret.ts";
import type { Context } from "../context.ts";
import { columns, paint } from "../output/style.ts";

/** Prints the merged configuration: each value and where it came from. Secrets are hidden. */
export function printConfig(context: Context): number {
  const loaded = context.load();
  context.stdout.write(context.json ? `${JSON.stringify(asJson(loaded))}\n` : `${columns(asRows(context, loaded))}\n`);
  return 0;
}

function asJson({ config, origins, env }: LoadedConfig): object {
  return { env: env ?? null, values: Object.fromEntries(CONFIG_NAMES.map((name) => [name, { value: config[name] ?? null, from: origins[name] }])) };
}

function asRows({ style }: Context, { config, origins }: LoadedConfig): string[][] {
  return CONFIG_NAMES.map((name) => {
    const value = config[name];
    const shown = value === undefined ? "-" : value instanceof Secret ? String(value) : JSON.stringify(value);
    return [name, shown, paint(style, "dim", origins[name])];
  });
}

/** All keys, for the help text. */
export function configHelp(): string {
  const rows = CONFIG_NAMES.map((name) => [`  ${name}`, environmentName(name), CONFIG_KEYS[name].description]);
  return `Keys, as in the file and in the environment (add _FILE to read a variable's value from a file):\n${columns(rows)}`;
}

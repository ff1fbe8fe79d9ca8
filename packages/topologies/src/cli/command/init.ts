import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { TopologyError } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { packageName, scaffold } from "./scaffold.ts";

/** Makes a project with a topology that runs. Asks on a terminal, unless `--yes`. */
export async function init(context: Context, folderArgument: string | undefined, flags: { readonly yes?: boolean; readonly force?: boolean }): Promise<number> {
  const asks = flags.yes !== true && context.stdin.isTTY === true && context.stdout.isTTY === true && !context.json;
  const answers = asks ? await ask(folderArgument) : { folder: folderArgument ?? ".", name: undefined };
  if (answers === undefined) return 1;
  const folder = resolve(context.folder, answers.folder);
  refuseOccupied(folder, flags.force === true);
  const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as { version: string };
  const name = packageName(answers.name ?? basename(folder));
  const files = scaffold(name, version);
  mkdirSync(folder, { recursive: true });
  for (const [path, text] of files) writeFileSync(join(folder, path), text);
  if (context.json) context.stdout.write(`${JSON.stringify({ folder, name, files: [...files.keys()] })}\n`);
  else {
    const inside = relative(context.folder, folder);
    context.stdout.write(`made ${[...files.keys()].join(", ")}\n\nnext:\n${inside === "" ? "" : `  cd ${inside}\n`}  npm install\n  npm run sample\n`);
  }
  return 0;
}

function refuseOccupied(folder: string, force: boolean): void {
  let names: string[] = [];
  try {
    names = readdirSync(folder).filter((name) => name !== ".git");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  if (names.length === 0 || force) return;
  throw new TopologyError("USAGE", `the folder is not empty (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", ..." : ""})`, { place: folder, cure: "name another folder, or add --force to write into this one" });
}

async function ask(folderArgument: string | undefined): Promise<{ readonly folder: string; readonly name: string } | undefined> {
  const { cancel, intro, isCancel, text } = await import("@clack/prompts");
  intro("iot-topology");
  const folder = folderArgument ?? (await text({ message: "Where should it be?", initialValue: "./my-topology" }));
  if (isCancel(folder)) return void cancel("nothing was made");
  const name = await text({ message: "What is it called?", initialValue: packageName(basename(resolve(folder))) });
  if (isCancel(name)) return void cancel("nothing was made");
  return { folder, name };
}

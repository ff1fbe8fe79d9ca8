import { existsSync, statSync } from "node:fs";
import { basename, isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isTopology, type Plan, type Topology, TopologyError, validate } from "@iot-topology/core";
import * as Either from "fp-ts/lib/Either.js";
import { didYouMean } from "./config/nearest.ts";

/** The topologies that come with the command. */
const READY: Readonly<Record<string, () => Promise<Topology>>> = {
  iot: async () => (await import("../iot/topology.ts")).default,
};

const FILE = /\.(ts|mts|js|mjs)$/;

/** A checked topology and where it was found. */
export interface LoadedTopology {
  readonly topology: Topology;
  readonly plan: Plan;
  /** The file, or undefined for a ready one. */
  readonly file: string | undefined;
  readonly source: TopologySource;
}

/** What a topology was asked for by, so that a thread can ask for the same. */
export interface TopologySource {
  readonly nameOrFile: string;
  readonly folder: string;
  readonly exportName: string | undefined;
}

/**
 * Loads a ready topology by name, or the one that a file exports (`exportName` picks where there are several).
 *
 * @throws TopologyError TOPOLOGY_NOT_FOUND, FILE_NOT_FOUND, FILE_INVALID, PLAN_INVALID with all errors.
 */
export async function loadTopology(nameOrFile: string, options: { readonly folder: string; readonly exportName?: string | undefined }): Promise<LoadedTopology> {
  const ready = Object.hasOwn(READY, nameOrFile) ? READY[nameOrFile] : undefined;
  const file = ready === undefined ? resolve(options.folder, nameOrFile) : undefined;
  const topology = ready === undefined ? await topologyOfFile(nameOrFile, options) : await ready();
  const plan = validate(topology);
  if (Either.isRight(plan)) return { topology, plan: plan.right, file, source: { nameOrFile, folder: options.folder, exportName: options.exportName } };
  const lines = plan.left.map((error) => `${error.rule} at ${error.step}: ${error.message}\n    cure: ${error.cure}`);
  throw new TopologyError("PLAN_INVALID", `the topology ${topology.name} has ${lines.length === 1 ? "an error" : `${lines.length} errors`}:\n  - ${lines.join("\n  - ")}`, {
    place: file ?? nameOrFile,
    cure: "correct what is named; nothing was started",
  });
}

async function topologyOfFile(nameOrFile: string, { folder, exportName }: { folder: string; exportName?: string | undefined }): Promise<Topology> {
  const names = Object.keys(READY);
  if (!FILE.test(nameOrFile) && !nameOrFile.includes("/") && !isAbsolute(nameOrFile)) {
    throw new TopologyError("TOPOLOGY_NOT_FOUND", `there is no ready topology ${JSON.stringify(nameOrFile)}${didYouMean(nameOrFile, names)}`, {
      cure: `name one of ${names.join(", ")}, or a file that ends in .ts, .mts, .js or .mjs`,
    });
  }
  const file = resolve(folder, nameOrFile);
  if (!existsSync(file)) throw new TopologyError("FILE_NOT_FOUND", `there is no file ${nameOrFile}`, { place: file, cure: "check the path; `iot-topology init` makes a project with one that runs" });
  if (!statSync(file).isFile() || !FILE.test(file)) throw new TopologyError("FILE_INVALID", `${basename(file)} is not a TypeScript or JavaScript file`, { place: file, cure: "name a file that ends in .ts, .mts, .js or .mjs" });
  return pickTopology(await importFile(file), file, exportName);
}

async function importFile(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (cause) {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    const unresolved = (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
    const unstripped = (error as NodeJS.ErrnoException).code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX";
    const cure = unresolved
      ? "run `npm install` in its project, or correct the import"
      : unstripped
        ? "Node runs TypeScript whose types can be erased: use no enums, namespaces, parameter properties or decorators"
        : "correct the file; --verbose shows the stack";
    throw new TopologyError("FILE_INVALID", `the file cannot be loaded: ${error.name}: ${error.message}`, { place: file, cure, cause });
  }
}

function pickTopology(exports: Record<string, unknown>, file: string, exportName: string | undefined): Topology {
  const found = Object.entries(exports).filter((entry): entry is [string, Topology] => isTopology(entry[1]));
  const listed = found.map(([name, topology]) => (name === "default" ? `default (${topology.name})` : name)).join(", ");
  if (exportName !== undefined) {
    const picked = found.find(([name, topology]) => name === exportName || topology.name === exportName);
    if (picked !== undefined) return picked[1];
    throw new TopologyError("TOPOLOGY_NOT_FOUND", `the file exports no topology ${JSON.stringify(exportName)}${didYouMean(exportName, found.map(([name]) => name))}`, { place: file, cure: `it exports ${listed || "none"}` });
  }
  const distinct = new Set(found.map(([, topology]) => topology));
  const [only] = distinct;
  if (only === undefined) throw new TopologyError("TOPOLOGY_NOT_FOUND", "the file exports no topology", { place: file, cure: "write `export default defineTopology(...)`" });
  if (distinct.size === 1) return only;
  throw new TopologyError("TOPOLOGY_NOT_FOUND", `the file exports ${distinct.size} topologies: ${listed}`, { place: file, cure: "pick one with --name" });
}

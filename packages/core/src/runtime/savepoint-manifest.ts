import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TopologyError } from "../model/index.ts";
import type { Plan } from "../plan/index.ts";
import type { EntryFileSummary } from "../state/entry-file.ts";
import { shapeOf } from "./shape.ts";

/** A task in a savepoint. */
export interface SavepointTask {
  readonly id: string;
  /** The sub-topology. */
  readonly part: string;
  readonly partition: number;
  /** The commit that the state is of; 0 where the task has processed nothing. */
  readonly commit: number;
  /** The next offset to read, by `topic-partition`. */
  readonly offsets: Readonly<Record<string, number>>;
  /** The file with the entries, beside the manifest. */
  readonly file: string;
  readonly content: EntryFileSummary;
}

/** What stands in a savepoint's `manifest.json`. */
export interface SavepointManifest {
  readonly format: 1;
  readonly topology: string;
  readonly version: number;
  /** A hash of the topology's parts and named steps. */
  readonly shape: string;
  /** The kind of log that the offsets are of. */
  readonly log: "embedded" | "cluster";
  readonly createdAt: string;
  readonly tasks: readonly SavepointTask[];
}

const FILE = "manifest.json";

/** Writes the manifest: the last file of a savepoint. */
export async function writeManifest(dir: string, manifest: SavepointManifest): Promise<void> {
  await writeFile(join(dir, FILE), `${JSON.stringify(manifest, undefined, 2)}\n`, { mode: 0o600, flush: true });
}

function invalid(dir: string, message: string, cure: string, cause?: unknown): TopologyError {
  return new TopologyError("SAVEPOINT_INVALID", message, { place: dir, cure, cause });
}

/** Reads the manifest and compares it with the topology. Throws SAVEPOINT_INVALID, SAVEPOINT_REFUSED. */
export async function readManifest(dir: string, plan: Plan, log: SavepointManifest["log"]): Promise<SavepointManifest> {
  let manifest: SavepointManifest;
  try {
    manifest = JSON.parse(await readFile(join(dir, FILE), "utf8")) as SavepointManifest;
  } catch (cause) {
    throw invalid(dir, "the folder holds no savepoint: its manifest.json cannot be read", "name the folder that `iot-topology savepoint` wrote", cause);
  }
  const { topology } = plan;
  if (manifest.format !== 1 || !Array.isArray(manifest.tasks)) throw invalid(dir, `the savepoint has the format ${String(manifest.format)}, and this version reads 1`, "use the version of iot-topology that wrote it, or a newer one");
  if (manifest.topology !== topology.name) throw invalid(dir, `the savepoint is of the topology ${manifest.topology}, not of ${topology.name}`, "name a savepoint of this topology");
  if (manifest.version !== topology.version || manifest.shape !== shapeOf(plan)) {
    throw invalid(dir, `the savepoint is of other steps (version ${manifest.version}) than this topology has (version ${topology.version})`, "begin with the topology as it was when the savepoint was taken");
  }
  if (manifest.log === log) return manifest;
  const named = { embedded: "the embedded log", cluster: "Kafka" };
  throw new TopologyError("SAVEPOINT_REFUSED", `the savepoint was taken on ${named[manifest.log]}, and its offsets mean nothing on ${named[log]}`, {
    place: dir,
    cure: `begin on ${named[manifest.log]} with it; to move to ${named[log]}, write the records there and let the topology process them anew, into a database of their own`,
  });
}

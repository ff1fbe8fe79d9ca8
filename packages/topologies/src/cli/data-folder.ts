/**
 * What stands in a data folder, beside the log, the state and the embedded ClickHouse:
 *
 *   folder.json     what last ran here: written at each start, kept
 *   instance.json   the running instance, readable by its user only; removed at the end, recognised as stale after a kill
 */
import { TopologyError } from "@iot-topology/core";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** The paths in a data folder. */
export interface DataFolder {
  readonly root: string;
  readonly log: string;
  readonly state: string;
  readonly clickhouse: string;
  /** Held by the process that runs on Kafka in the folder; on the embedded log, the log itself is what only one can hold. */
  readonly lock: string;
}

/** What last ran in a folder. */
export interface FolderRecord {
  readonly topology: string;
  /** What it was loaded from: a ready topology's name, or a file. */
  readonly source: string;
  readonly database: string;
  /** `embedded`, or the URL of a server. */
  readonly clickhouse: string;
  /** `embedded`, or the brokers as they were named. Records of former versions have none: `embedded`. */
  readonly log?: string;
}

/** A running instance, for the other commands. */
export interface InstanceRecord extends FolderRecord {
  readonly pid: number;
  /** When the process began, as the system tells it: a pid alone may belong to another process by now. */
  readonly processStart: string;
  readonly clickhouseUrl: string;
  readonly statusUrl: string;
  /** For POST /produce. */
  readonly token: string;
  readonly startedAt: string;
}

/** The folder's paths. */
export function dataFolder(path: string): DataFolder {
  const root = resolve(path);
  return { root, log: join(root, "log"), state: join(root, "state"), clickhouse: join(root, "clickhouse"), lock: join(root, "lock") };
}

/** Makes the folder. */
export function makeDataFolder(folder: DataFolder): void {
  makeWithParents(folder.root);
}

/** Level by level: `recursive` never returns where the file system refuses new folders with ENOENT, as /proc does (Node 24.21). */
function makeWithParents(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeWithParents(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    if (code !== "ENOENT") throw error;
    throw new TopologyError("DISK_READ_ONLY", `the data folder cannot be made: ${(error as Error).message}`, { place: path, cure: "name another folder with --data, or give this user the right to write there" });
  }
}

/** What last ran here, or undefined. */
export function readFolderRecord(folder: DataFolder): FolderRecord | undefined {
  return readJson<FolderRecord>(join(folder.root, "folder.json"));
}

/** Writes down what runs here from now on. */
export function writeFolderRecord(folder: DataFolder, { topology, source, database, clickhouse, log }: FolderRecord): void {
  writeJson(join(folder.root, "folder.json"), { topology, source, database, clickhouse, log });
}

/** The instance that runs in the folder now, or undefined. */
export function runningInstance(folder: DataFolder): InstanceRecord | undefined {
  const record = readJson<InstanceRecord>(join(folder.root, "instance.json"));
  return record !== undefined && typeof record.pid === "number" && processStart(record.pid) === record.processStart ? record : undefined;
}

/** Writes down that this process runs here. */
export function writeInstanceRecord(folder: DataFolder, record: Omit<InstanceRecord, "pid" | "processStart" | "startedAt">): void {
  writeJson(join(folder.root, "instance.json"), { ...record, pid: process.pid, processStart: processStart(process.pid), startedAt: new Date().toISOString() });
}

/** Removes the mark of this process. */
export function removeInstanceRecord(folder: DataFolder): void {
  const path = join(folder.root, "instance.json");
  if (readJson<InstanceRecord>(path)?.pid === process.pid) rmSync(path, { force: true });
}

/** A token that cannot be guessed. */
export function makeToken(): string {
  return randomBytes(24).toString("base64url");
}

/** When a process began, or undefined where there is none. */
export function processStart(pid: number): string | undefined {
  try {
    // The 22nd field, counted behind the command's name, which may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    if (process.platform === "linux") return undefined;
    try {
      return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim() || undefined;
    } catch {
      return undefined;
    }
  }
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}

/** By rename, so that a reader sees all of it or nothing. */
function writeJson(path: string, value: object): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}

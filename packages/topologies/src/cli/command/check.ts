import { dirname, join, relative, resolve } from "node:path";
import { type Change, changesSince, lockOf, type PlanWarning, type Topology, type TopologyLock, warningsOf } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { LOCK_FILE, readLockFile, writeLockFile } from "../lock-file.ts";
import { paint } from "../output/style.ts";
import { loadTopology } from "../topology-file.ts";

/** Flags of the command. */
export interface CheckFlags {
  readonly name?: string;
  readonly lock?: string;
  readonly accept?: boolean;
  readonly frozen?: boolean;
}

/** What a check has found. */
interface Verdict {
  readonly topology: Topology;
  readonly path: string;
  readonly isNew: boolean;
  readonly changes: readonly Change[];
  readonly warnings: readonly PlanWarning[];
  /** Whether changes lose something that nobody has said is meant. */
  readonly isRefused: boolean;
  /** Whether the lock file is another than it was. */
  readonly isStale: boolean;
  readonly isWritten: boolean;
}

/**
 * Checks a topology: errors of its plan, warnings, and what has changed since its lock was written, each change with what comes of it. Writes the lock where nothing is lost, or
 * where that is meant: `--accept`, or a raised version. Exit code 1 where a breaking change is not accepted; with `--frozen` where the lock is not as it should be.
 */
export async function check(context: Context, nameOrFile: string | undefined, flags: CheckFlags): Promise<number> {
  const { config } = context.load();
  const { plan, topology, file } = await loadTopology(nameOrFile ?? config.topology, { folder: context.folder, exportName: flags.name });
  const path = flags.lock === undefined ? join(file === undefined ? context.folder : dirname(file), LOCK_FILE) : resolve(context.folder, flags.lock);
  const locks = readLockFile(path);
  const before: TopologyLock | undefined = locks.topologies[topology.name];
  const lock = lockOf(plan);
  const changes = before === undefined ? [] : changesSince(before, plan);
  const isMeant = flags.accept === true || (before !== undefined && topology.version > before.version);
  const isRefused = !isMeant && changes.some(({ kind }) => kind === "breaking");
  const isStale = JSON.stringify(before) !== JSON.stringify(lock);
  const isWritten = isStale && !isRefused && flags.frozen !== true;
  if (isWritten) writeLockFile(path, { format: 1, topologies: { ...locks.topologies, [topology.name]: lock } });
  const verdict: Verdict = { topology, path, isNew: before === undefined, changes, warnings: warningsOf(plan), isRefused, isStale, isWritten };
  context.stdout.write(context.json ? `${json(verdict)}\n` : `${text(verdict, context)}\n`);
  return isRefused || (flags.frozen === true && isStale) ? 1 : 0;
}

function json({ topology, path, isNew, changes, warnings, isRefused, isStale, isWritten }: Verdict): string {
  return JSON.stringify({ topology: topology.name, version: topology.version, lock: path, new: isNew, changes, warnings, refused: isRefused, stale: isStale, written: isWritten });
}

function text({ topology, path, isNew, changes, warnings, isRefused, isStale, isWritten }: Verdict, { folder, style }: Context): string {
  const shown = relative(folder, path) || path;
  const counted = isNew ? "not locked before" : changes.length === 0 ? "nothing has changed" : `${changes.length} ${changes.length === 1 ? "change" : "changes"} since ${shown}`;
  const lines = [`topology ${topology.name}, version ${topology.version}: ${counted}`];
  for (const { kind, what, name, message, effect } of changes) {
    lines.push(`  ${paint(style, kind === "breaking" ? "red" : "green", kind.padEnd(10))}  ${what === "version" ? what : `${what} ${name}`}: ${message}`, `              ${effect}`);
  }
  for (const { rule, step, message, cure } of warnings) lines.push(`${paint(style, "yellow", "warning")} ${rule} at ${step}: ${message}`, `  cure: ${cure}`);
  if (isRefused) lines.push(`${shown} was not written: changes are breaking`, "  cure: undo them; or give what has changed another name; or run again with --accept, or raise the version, where the loss is meant");
  else if (isWritten) lines.push(`${shown} was written: commit it with the change`);
  else if (isStale) lines.push(`${shown} is not up to date`, "  cure: run `iot-topology check` without --frozen, and commit what it writes");
  return lines.join("\n");
}

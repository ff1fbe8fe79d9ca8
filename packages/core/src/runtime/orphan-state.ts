import { join } from "node:path";
import { TopologyError } from "../model/index.ts";
import { storesOfPlan } from "../plan/evolution/lock.ts";
import type { Plan } from "../plan/index.ts";
import type { ResolvedOptions } from "./options.ts";
import { readStoreRecord } from "./store-record.ts";

/** A task's folder, beside which marks of damage and folders set aside may stand. */
function isTaskFolder(name: string): boolean {
  return /_\d+$/.test(name);
}

/**
 * Looks for state of tasks that the topology does not have: of parts with other sources or names. Where it holds stores that the topology keeps elsewhere now, going on would
 * begin them empty and read all input again, so that is STATE_MISMATCH; where it holds none, it is told and left alone.
 */
export async function refuseOrphans(plan: Plan, partitionCounts: ReadonlyMap<string, number>, options: ResolvedOptions): Promise<void> {
  const { stateDir, disk, logger } = options;
  if (stateDir === null) return;
  const folder = join(stateDir, plan.topology.name);
  const known = new Set(plan.subTopologies.flatMap(({ name }) => Array.from({ length: partitionCounts.get(name) ?? 0 }, (_, partition) => encodeURIComponent(`${name}_${partition}`))));
  const orphans = (await disk.names(folder)).filter((name) => isTaskFolder(name) && !known.has(name)).sort();
  const kept = new Map(storesOfPlan(plan).flatMap(({ name, part, shape }) => (shape.kind === "global-table" ? [] : [[name, part] as const])));
  for (const name of orphans) {
    const dir = join(folder, name);
    const backend = await disk.open(dir, { cacheBytes: options.stateCacheBytes, writeBufferBytes: options.stateWriteBufferBytes });
    try {
      const stores = Object.keys(readStoreRecord(backend, `state of task ${decodeURIComponent(name)}`)?.stores ?? {});
      const moved = stores.find((store) => kept.has(store));
      if (moved !== undefined) {
        throw new TopologyError("STATE_MISMATCH", `store ${moved} stands in the state of task ${decodeURIComponent(name)}, which this topology does not have: it keeps it in ${kept.get(moved)}`, {
          place: dir,
          cure: "tasks are named after their sources: give the source the name that it had ({ name }); or run the version that wrote the state; or reset the topology, which reads its input anew",
        });
      }
      logger.warn({ task: decodeURIComponent(name), dir, stores }, "the state of a task that the topology does not have is left alone");
    } finally {
      await backend.close();
    }
  }
}

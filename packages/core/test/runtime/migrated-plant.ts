/** Versions of one topology whose store holds other values in each, and a run of one of them over the same records; as a program: `FOLDER VERSION`, killed where a failpoint is armed. */
import { armFailpoints, c, defineTopology, type Instance, openInstance, record, serde, type Topology } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, type MemoryLog, memoryLog } from "@iot-topology/core/testing";

export const KEYS = 2_000;
/** Values are long, so that a migration is several commits. */
const NOTE = "x".repeat(2_000);

const One = record("Total", { n: c.int32(), note: c.string() });
const Two = record("Total", { n: c.int64(), note: c.string(), cents: c.int64() });

/** `1` counts; `2` counts in hundredths too, and takes over what 1 has stored; `2-without` has no way from it, `2-failing` one that fails, `3` another form. */
export type Version = "1" | "2" | "2-without" | "2-failing" | "3" | "renamed" | "none";

function totals(version: Exclude<Version, "1" | "renamed" | "none">) {
  const map = (old: { readonly n: number; readonly note: string }) => {
    if (version === "2-failing" && old.note === "") throw new Error("no note");
    return { ...old, n: BigInt(old.n), cents: BigInt(old.n) * 100n };
  };
  return version === "2-without" || version === "3" ? serde.json(version === "3" ? record("Other", { n: c.int64(), note: c.string(), cents: c.int64() }) : Two) : serde.migrating(serde.binary(Two), serde.from(serde.binary(One), map));
}

export function plant(version: Version): Topology {
  return defineTopology("plant", (b) => {
    const events = b.source("events", version === "renamed" ? { name: "orders" } : {}).decode(serde.string());
    events.sink(collect("events"));
    if (version === "none") return;
    const group = events.groupByKey();
    if (version === "1" || version === "renamed") {
      group.aggregate("totals", { value: serde.binary(One), init: () => ({ n: 0, note: NOTE }), add: (total, value) => ({ n: total.n + 1, note: value === "empty" ? "" : NOTE }) }).toStream().sink(collect("totals"));
      return;
    }
    group.aggregate("totals", { value: totals(version), init: () => ({ n: 0n, note: NOTE, cents: 0n }), add: ({ n, note, cents }) => ({ n: n + 1n, note, cents: cents + 100n }) }).toStream().sink(collect("totals"));
  });
}

/** The records of the first `rounds`: one a key and round. */
export function records(rounds: number, value = "event") {
  return Array.from({ length: KEYS * rounds }, (_, index) => ({ key: `k${index % KEYS}`, value, timestamp: index }));
}

/** A log that holds the first rounds. */
export async function logOf(rounds: number, value?: string): Promise<MemoryLog> {
  const log = memoryLog();
  await log.ensureTopic("events", { partitions: 1 });
  await log.append("events", records(rounds, value));
  return log;
}

/** Opens a version on a folder, over a log that holds the first rounds. */
export async function openPlant(version: Version, stateDir: string, rounds: number, value?: string): Promise<{ readonly instance: Instance; readonly sink: CollectConnector }> {
  const sink = collectConnector();
  return { instance: await openInstance(plant(version), { log: await logOf(rounds, value), connectors: [sink], stateDir }), sink };
}

/** Runs a version to the end of the log, and gives the last totals it has made. */
export async function runPlant(version: Version, stateDir: string, rounds: number, value?: string): Promise<ReadonlyMap<string, unknown>> {
  const { instance, sink } = await openPlant(version, stateDir, rounds, value);
  instance.run();
  await instance.drain();
  await instance.stop();
  return new Map(sink.rows("totals").map(({ key, value: total }) => [String(key), total]));
}

const [folder, version] = process.argv.slice(2);
if (process.argv[1] === import.meta.filename && folder !== undefined && version !== undefined) {
  armFailpoints(process.env["FAILPOINT"] ?? "");
  const { instance } = await openPlant(version as Version, folder, 1);
  await instance.stop();
}

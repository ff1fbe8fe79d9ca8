/**
 * Brings a task's state to the shape of the topology that opens it, before any record is processed:
 *
 *   compare      the state's own record of its stores with the plan: what cannot be read is refused, nothing is changed
 *   try          each migration over every entry, in memory only: what its function throws is found before anything is changed
 *   make over    entries in batches, each an ordinary commit of the task with the place reached: a crash goes on there, and no entry is made over twice
 *   note         the new shapes, with the last batch, or with the first commit
 *
 * A commit is one batch in local mode and one transaction in replicated mode, so both are the same here.
 */
import type { Checkpoint } from "../commit/checkpoint.ts";
import type { Committable, TaskCommitter } from "../commit/commit.ts";
import { ByteWriter, TopologyError } from "../model/index.ts";
import { type StoreDifference, storeDifferences } from "../plan/evolution/compare-store.ts";
import { type StepStore, type StoreShape, storesOf } from "../plan/evolution/store-shape.ts";
import { type StoredValues, storedValues } from "../plan/evolution/stored-value.ts";
import type { SubTopology } from "../plan/index.ts";
import { failpoint, type Logger } from "../port/index.ts";
import type { Serde, SerdeMigration } from "../schema/index.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import { openSealed, putSealed } from "../state/sealed.ts";
import { type KnownStore, putStoreRecord, readStoreRecord, type RunningMigration, type StoreRecord } from "./store-record.ts";

const BATCH_BYTES = 1 << 20;
const NUL = "\0";

/** The state that is to be adapted. */
export interface AdaptedState {
  readonly id: string;
  readonly part: SubTopology;
  readonly backend: StateBackend;
  readonly checkpoint: Checkpoint | undefined;
  readonly logger: Logger;
}

/** A store whose values are made over. */
interface Migration {
  readonly name: string;
  readonly to: StoreShape;
  readonly from: Serde<never>;
  readonly map: (old: never) => unknown;
  readonly into: Serde<never>;
  readonly values: StoredValues;
}

/** What is to be done with a state; nothing of it is done yet. */
export interface Adaptation {
  readonly state: AdaptedState;
  /** The record as it will be. */
  readonly record: StoreRecord;
  /** The record as it is; undefined where there is none. */
  readonly before: StoreRecord | undefined;
  readonly migrations: readonly Migration[];
}

function shapeText({ kind, key, values, settings }: StoreShape): string {
  return JSON.stringify([kind, key, values, settings]);
}

function mismatch(id: string, lines: readonly string[]): TopologyError {
  return new TopologyError("STATE_MISMATCH", `the state of task ${id} was written by another version of the topology:\n  - ${lines.join("\n  - ")}`, {
    place: `state of task ${id}`,
    cure: "run the version that wrote it; or give the serde a migration (serde.migrating); or give what has changed another name, which begins empty; or reset the topology. `iot-topology check` tells this before a deployment",
  });
}

function migrationOf(store: StepStore, { migration: found }: StoreDifference): Migration[] {
  const values = storedValues(store.shape);
  if (found === undefined || values === undefined) return [];
  const { from, map }: SerdeMigration<never> = found.migration;
  return [{ name: store.name, to: store.shape, from, map, into: store.serdes[found.field] as Serde<never>, values }];
}

/** A store whose migration was begun: it can be finished into the very shape that it was begun for, and nothing else. */
function resumed(store: StepStore, known: KnownStore, { to }: RunningMigration): readonly StoreDifference[] {
  if (shapeText(to) === shapeText(store.shape)) return storeDifferences(known, store);
  return [{ isBreaking: true, message: "its values were being made over when the process ended, into another shape than this topology's", effect: "start the version that began it, so that it is finished" }];
}

/** Compares a state with a part's stores. Throws STATE_MISMATCH, before anything is changed. */
export async function planAdaptation(state: AdaptedState): Promise<Adaptation> {
  const { id, part, backend, checkpoint, logger } = state;
  const before = readStoreRecord(backend, `state of task ${id}`);
  const stores = new Map(part.nodes.flatMap(storesOf).map((store) => [store.name, store]));
  const shapes = Object.fromEntries([...stores.values()].map(({ name, shape }): [string, KnownStore] => [name, shape]));
  if (before === undefined || checkpoint === undefined) return { state, before, record: { format: 1, stores: shapes }, migrations: [] };
  const problems: string[] = [];
  const migrations: Migration[] = [];
  for (const [name, known] of Object.entries(before.stores)) {
    const store = stores.get(name);
    if (store === undefined) {
      if (known.leftAt === undefined) logger.warn({ task: id, store: name }, "a store is no longer part of the topology; what it holds stays, and is not kept up to date");
      shapes[name] = { ...known, leftAt: known.leftAt ?? checkpoint.commit };
      continue;
    }
    if (known.leftAt !== undefined) {
      problems.push(`store ${name}: a version in between had left it out, so it lacks what came since`);
      continue;
    }
    const differences = before.migrating?.store === name ? resumed(store, known, before.migrating) : storeDifferences(known, store);
    problems.push(...differences.filter(({ isBreaking }) => isBreaking).map(({ message, effect }) => `store ${name}: ${message}: ${effect}`));
    migrations.push(...differences.flatMap((difference) => migrationOf(store, difference)));
  }
  if (before.migrating !== undefined && !stores.has(before.migrating.store)) problems.push(`store ${before.migrating.store}: its values were being made over when the process ended: start the version that began it, so that it is finished`);
  if (problems.length > 0) throw mismatch(id, problems);
  for (const migration of migrations) if (before.migrating?.store !== migration.name) await tryMigration(state, migration);
  // What was begun is finished first.
  migrations.sort((a, b) => Number(b.name === before.migrating?.store) - Number(a.name === before.migrating?.store));
  return { state, before, record: { format: 1, stores: shapes }, migrations };
}

/** Every entry of a store behind the cursor, with its value made over: the entry's bytes up to the value, then the new value. */
async function* madeOver({ backend, id }: AdaptedState, migration: Migration, cursor: string): AsyncGenerator<{ readonly key: Buffer; readonly entry: ByteWriter }> {
  const { name, values, from, map, into } = migration;
  const prefix = `${values.prefix}${NUL}${name}`;
  const scratch = new ByteWriter(4_096);
  const range = { ...(cursor === "" ? { gte: Buffer.from(`${prefix}${NUL}`) } : { gt: Buffer.from(cursor, "hex") }), lt: Buffer.from(`${prefix}\x01`) };
  for await (const [key, stored] of backend.entries(range)) {
    const payload = openSealed(key, stored, `store ${name} of task ${id}`);
    try {
      const at = values.valueAt(payload);
      scratch.reset();
      scratch.bytes(key);
      scratch.bytes(payload.subarray(0, at));
      into.encode(scratch, map(from.decode(payload.subarray(at))) as never);
    } catch (cause) {
      throw new TopologyError("STATE_MISMATCH", `the migration of store ${name} fails at the entry ${JSON.stringify(key.toString().slice(prefix.length + 1, prefix.length + 200))}: ${cause instanceof Error ? cause.message : String(cause)}`, {
        place: `state of task ${id}`,
        cure: "mend the migration: it must take every value that is stored, and give one that fits",
        cause,
      });
    }
    yield { key, entry: scratch };
  }
}

async function tryMigration(state: AdaptedState, migration: Migration): Promise<void> {
  let entries = 0;
  for await (const { entry } of madeOver(state, migration, "")) entries += entry.position > 0 ? 1 : 0;
  state.logger.info({ task: state.id, store: migration.name, from: migration.from.name, to: migration.into.name, entries }, "the values of a store will be made over");
}

/** A commit that changes nothing but what `flush` puts. */
function commitOf(inputs: Committable["inputs"], { counters, streamTimes }: Checkpoint, flush: (batch: StateBatch) => void): Committable {
  return { inputs, counters, streamTimes, takeRows: () => [], flushState: flush, committed: () => Promise.resolve() };
}

/** Does what was planned. `inputs` stand where the task is to go on. */
export async function adapt({ state, before, record, migrations }: Adaptation, committer: TaskCommitter, inputs: Committable["inputs"]): Promise<void> {
  const { checkpoint, id, logger } = state;
  let stores = before?.stores ?? {};
  for (const migration of migrations) {
    const { name, to } = migration;
    const known = stores[name] as KnownStore;
    let cursor = before?.migrating?.store === name ? before.migrating.cursor : "";
    let batch: [Buffer, Buffer][] = [];
    let bytes = 0;
    const write = async (next: StoreRecord): Promise<void> => {
      failpoint("migration.before-commit");
      await committer.commit(
        commitOf(inputs, checkpoint as Checkpoint, (changes) => {
          for (const [key, value] of batch) putEntry(changes, key, value);
          putStoreRecord(changes, new ByteWriter(1_024), next);
        }),
      );
      failpoint("migration.after-commit");
      batch = [];
      bytes = 0;
    };
    for await (const { key, entry } of madeOver(state, migration, cursor)) {
      batch.push([key, Buffer.from(entry.view(key.length, entry.position))]);
      bytes += entry.position;
      cursor = key.toString("hex");
      if (bytes >= BATCH_BYTES) await write({ format: 1, stores: { ...stores, [name]: known }, migrating: { store: name, to, cursor } });
    }
    stores = { ...stores, [name]: to };
    await write({ format: 1, stores });
    logger.info({ task: id, store: name }, "the values of a store were made over");
  }
  if (JSON.stringify({ format: 1, stores }) !== JSON.stringify(record) || before === undefined) committer.beside((batch, scratch) => putStoreRecord(batch, scratch, record));
}

function putEntry(batch: StateBatch, key: Buffer, payload: Buffer): void {
  const scratch = new ByteWriter(key.length + payload.length + 8);
  scratch.bytes(key);
  scratch.bytes(payload);
  putSealed(batch, scratch, key.length);
}

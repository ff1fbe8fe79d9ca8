import { ByteReader, type Header, type LogRecord, makeCounters, readFrame, sumCounters, type TaskCounters } from "../model/index.ts";
import { planOf } from "../runtime/instance.ts";
import type { StateBackend } from "../state/backend.ts";
import { memoryBackend } from "../state/memory-backend.ts";
import { TaskInput } from "../task/input.ts";
import { Task } from "../task/task.ts";
import { Committer } from "../commit/commit.ts";
import type { SealedBatch } from "../port/index.ts";
import type { Topology } from "../topology/index.ts";
import { type CollectedRow, collectedRows } from "./collect.ts";

/** A record to pipe in. Text and objects (as JSON) become bytes; the timestamp is the log's. */
export interface PipedRecord {
  readonly value: unknown;
  readonly key?: string | Buffer | null;
  readonly timestamp?: number;
  readonly headers?: readonly Header[];
}

/** Runs one topology over one partition in memory, without a log, files or timers. */
export interface TestDriver {
  /** Processes the records at once, one after another, in the order given. */
  pipe(topic: string, ...records: readonly PipedRecord[]): void;
  /** Commits: rows held back leave, stores are written, and what was repartitioned is processed and committed too. */
  commit(): Promise<void>;
  /** Forgets all memory since the last commit, as a crash would, and goes on from the stores. */
  crash(): void;
  /** Rows that sinks made with `collect(target)` got in committed batches. */
  rows(target: string): readonly CollectedRow[];
  values(target: string): readonly unknown[];
  counters(): Readonly<TaskCounters>;
}

function bytesOf(value: unknown): Buffer | null {
  if (value === null || value === undefined) return null;
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
}

interface DriverTask {
  task: Task;
  committer: Committer;
  readonly backend: StateBackend;
  readonly ends: Map<string, number>;
}

/**
 * Drives a topology in a test.
 *
 * @example
 * const driver = testDriver(topology);
 * driver.pipe("readings", { value: { id: "a", value: 1 }, timestamp: 1_000 });
 * await driver.commit();
 * t.same(driver.values("clean"), [{ id: "a", value: 1 }]);
 */
export function testDriver(topology: Topology): TestDriver {
  const plan = planOf(topology);
  const collected = new Map<string, CollectedRow[]>();
  const parts = plan.subTopologies.map((part): DriverTask & { open(): void } => {
    const backend = memoryBackend() as StateBackend;
    const ends = new Map(part.topics.map((topic) => [topic, 0]));
    const self = {
      backend,
      ends,
      open() {
        const last = self.committer?.checkpoint ?? { format: 1 as const, commit: 0, offsets: {}, sequences: {}, streamTimes: {}, counters: makeCounters() };
        const inputs = part.topics.map((topic) => new TaskInput(topic, 0, last.offsets[`${topic}-0`] ?? 0, ends.get(topic) ?? 0));
        self.task = new Task({ id: `${part.name}_0`, partitionCount: 1, part, inputs, backend, cacheEntriesMax: 1_000, snapshot: last });
        self.task.enter("opening");
        self.task.enter("running");
        self.committer = new Committer(backend, { topology: topology.name, version: topology.version, task: self.task.id }, last);
      },
    } as DriverTask & { open(): void };
    self.open();
    return self;
  });
  const pipeOne = (topic: string, record: Omit<LogRecord, "topic" | "partition" | "offset">): void => {
    const part = parts.find(({ ends }) => ends.has(topic));
    if (part === undefined) throw new RangeError(`the topology reads no topic "${topic}"`);
    const offset = part.ends.get(topic) as number;
    part.ends.set(topic, offset + 1);
    part.task.inputs.find((input) => input.topic === topic)?.offer([{ ...record, topic, partition: 0, offset }], offset + 1, offset + 1);
    part.task.process(1);
  };
  const handOver = (batch: SealedBatch): void => {
    if (batch.connector === "collect") collected.set(batch.target, [...(collected.get(batch.target) ?? []), ...collectedRows(batch)]);
    if (batch.connector !== "log" || plan.internalTopics.every(({ topic }) => topic !== batch.target)) return;
    const reader = new ByteReader(batch.bytes);
    while (reader.remaining > 0) pipeOne(batch.target, readFrame(reader));
  };
  return {
    pipe(topic, ...records) {
      for (const { key = null, value, timestamp = 0, headers = [] } of records) pipeOne(topic, { key: bytesOf(key), value: bytesOf(value), timestamp, headers });
    },
    async commit() {
      // A part that reads a repartition comes after those that write it.
      for (const part of parts) for (const { batch } of await part.committer.commit(part.task)) handOver(batch);
    },
    crash() {
      for (const part of parts) {
        const { offsets } = part.committer.checkpoint;
        for (const topic of part.ends.keys()) part.ends.set(topic, offsets[`${topic}-0`] ?? 0);
        part.open();
      }
    },
    rows: (target) => collected.get(target) ?? [],
    values: (target) => (collected.get(target) ?? []).map((row) => row.value),
    counters: () => sumCounters(parts.map(({ task }) => task.counters)),
  };
}

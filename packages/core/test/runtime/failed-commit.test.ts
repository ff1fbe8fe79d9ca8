/** A commit that fails while the task, which has processed on, waits to begin the next: that one would stand over a gap, and must never be begun. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { type ClusterLog, defineTopology, type Instance, type InstanceOptions, levelDisk, openInstance, serde, type StateDisk, topic, TopologyError } from "@iot-topology/core";
import { collect, collectConnector, memoryCluster, memoryLog } from "@iot-topology/core/testing";

const integer = serde.json<number>();
const KEYS = 4;
const COMMIT_RECORDS = 10;
const COUNT = 100;
const topology = defineTopology("failing", (b) => {
  const numbers = b.source("in").decode(integer);
  numbers.sink(collect("out"), topic("copied", integer));
  numbers.groupByKey().count("n").toStream().sink(collect("count"));
});
const records = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => ({ key: `k${(from + n) % KEYS}`, value: String(from + n), timestamp: from + n }));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Once armed, holds the next commit until it is told to fail it, and counts those that are begun behind it in the same place. */
class Gate {
  begunBehind = 0;
  readonly #error: TopologyError;
  #isArmed = false;
  #place: object | undefined;
  #fail: (() => void) | undefined;

  constructor(error: TopologyError) {
    this.#error = error;
  }

  arm(): void {
    this.#isArmed = true;
  }
  get isHolding(): boolean {
    return this.#fail !== undefined;
  }
  fail(): void {
    this.#fail?.();
  }
  async pass<T>(place: object, commit: () => Promise<T>): Promise<T> {
    if (!this.#isArmed) return commit();
    if (this.#place !== undefined) {
      if (this.#place === place) this.begunBehind++;
      return commit();
    }
    this.#place = place;
    await new Promise<void>((resolve) => (this.#fail = resolve));
    throw this.#error;
  }
}

/** Local mode: the write of a task's store is held. */
function gatedDisk(gate: Gate): StateDisk {
  return {
    ...levelDisk,
    async open(dir, options) {
      const store = await levelDisk.open(dir, options);
      return {
        getSync: (key) => store.getSync(key),
        newBatch: () => store.newBatch(),
        // An acknowledgement is no commit, and is not synced.
        write: (batch, { sync }) => (sync ? gate.pass(store, () => store.write(batch, { sync })) : store.write(batch, { sync })),
        entries: (range) => store.entries(range),
        clearRange: (range) => store.clearRange(range),
        close: () => store.close(),
      };
    },
  };
}

/** Replicated mode: the transaction is held. */
function gatedLog(log: ClusterLog, gate: Gate): ClusterLog {
  return {
    ...log,
    async openProducer(...options) {
      const producer = await log.openProducer(...options);
      return { ...producer, commit: (transaction) => gate.pass(producer, () => producer.commit(transaction)) };
    },
  };
}

/** Processes some records, holds a commit until another waits behind it, and fails the first. */
async function failOne(t: Pick<typeof import("tap").t, "equal" | "ok">, instance: Instance, gate: Gate, append: (from: number, to: number) => Promise<unknown>): Promise<void> {
  instance.run();
  await append(0, COMMIT_RECORDS);
  await instance.drain();
  gate.arm();
  await append(COMMIT_RECORDS, COUNT);
  await until(() => gate.isHolding && instance.status().counters.read === 3 * COMMIT_RECORDS);
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(instance.status().counters.read, 3 * COMMIT_RECORDS, "the task has processed as much as a commit takes, and waits for the one before");
  gate.fail();
}

const openWith = (options: Pick<InstanceOptions, "log" | "connectors" | "stateDir" | "disk">) => openInstance(topology, { ...options, createTopics: true, commitRecordsMax: COMMIT_RECORDS, commitIntervalMs: 60_000, sessionTimeoutMs: 1_000 });

function check(t: Pick<typeof import("tap").t, "strictSame" | "equal">, sink: ReturnType<typeof collectConnector>, gate: Gate): void {
  t.equal(gate.begunBehind, 0, "no commit was begun behind the one that failed");
  t.strictSame(sink.values("out"), Array.from({ length: COUNT }, (_, n) => n), "each record left once, in order");
  t.strictSame(sink.values("count"), Array.from({ length: COUNT }, (_, n) => Math.floor(n / KEYS) + 1), "and was counted once");
}

t.test("alone: the instance ends with the failed commit, and goes on from the one before at the next start", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-failed-commit-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const [log, sink, gate] = [memoryLog(), collectConnector(), new Gate(new TopologyError("DISK_FULL", "the write that was held"))];
  const first = await openWith({ log, connectors: [sink], stateDir: dir, disk: gatedDisk(gate) });
  await failOne(t, first, gate, (from, to) => log.append("in", records(from, to)));
  t.match(await first.failed, { code: "DISK_FULL" });
  await first.stop();
  t.equal(sink.values("out").length, COMMIT_RECORDS, "nothing left of what was not committed");
  const second = await openWith({ log, connectors: [sink], stateDir: dir });
  second.run();
  await second.drain();
  await second.stop();
  check(t, sink, gate);
});

t.test("in a group: the task alone is opened again, from the commit before", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const gate = new Gate(new TopologyError("KAFKA_TIMEOUT", "the transaction that was held", { retriable: true }));
  const [sink, feeder] = [collectConnector(), cluster.connect()];
  const instance = await openWith({ log: gatedLog(cluster.connect(), gate), connectors: [sink], stateDir: null });
  t.teardown(() => instance.stop());
  await failOne(t, instance, gate, (from, to) => feeder.append("in", records(from, to)));
  await instance.drain();
  await instance.stop();
  check(t, sink, gate);
  t.strictSame(cluster.recordsOf("copied").map(({ value }) => Number(value)), Array.from({ length: COUNT }, (_, n) => n), "the topic holds each once");
});

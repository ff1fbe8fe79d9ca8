/**
 * `npm run simulate:brokers`: the simulator's topologies on a real Kafka broker. Two processes with different clients share the tasks, the broker is killed in the midst, one process
 * leaves, and every output is the model's. What the simulator hunts for with faults is held here against what a broker and its clients really do. Apart from the tests for its minute. Exit code 1 where something is wrong, 3 where Java or Maven is missing.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { type ClusterLog, type Instance, openInstance, type Topology } from "@iot-topology/core";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { type CollectConnector, collectConnector, compareOutput, type ExpectedOutcome, type SimulatedRecord } from "@iot-topology/core/testing";
import { seededNumbers } from "../faults/random.ts";
import { kafkaBrokers } from "../kafka/kafka-brokers.ts";
import type { SimulatedTopology } from "./simulated-topology.ts";
import { topologies } from "./topologies.ts";

const LOTS = 12;
const LOT_NUMBERS = 1_000;
const LOT_MS = 30 * 24 * 3_600_000;
const LIMITS = { recordsMax: 10_000, bytesMax: 8 << 20 };
const seed = Number(process.env["SEED"] ?? "1");

t.setTimeout(280_000);

interface Case {
  readonly topology: Topology;
  readonly partitions: Readonly<Record<string, number>>;
  readonly records: readonly SimulatedRecord[];
  readonly outputs: ExpectedOutcome["outputs"];
}

/** Several lots of records, each a month behind the one before, so that windows of all are opened and closed. */
function caseOf({ topology, inputs, model, partitions = 1 }: SimulatedTopology): Case {
  const random = seededNumbers(seed);
  const lots = Array.from({ length: LOTS }, (_, lot) => inputs(random, lot * LOT_NUMBERS).map((record) => ({ ...record, timestamp: record.timestamp + lot * LOT_MS })));
  const records = lots.flatMap((lot, index) => (index === 0 ? lot : lot.filter(({ standing }) => standing !== true)));
  return { topology, records, outputs: model(records).outputs, partitions: typeof partitions === "number" ? Object.fromEntries(records.map((record) => [record.topic, partitions])) : partitions };
}

async function feed(log: ClusterLog, records: readonly SimulatedRecord[]): Promise<void> {
  for (const name of new Set(records.map((record) => record.topic))) {
    const own = records.filter((record) => record.topic === name);
    await log.append(name, own.map(({ key, value, timestamp }) => ({ key: key === null ? null : Buffer.from(String(key)), value: value === null ? null : typeof value === "string" ? value : JSON.stringify(value), timestamp })));
  }
}

async function valuesIn(log: ClusterLog, name: string): Promise<unknown[]> {
  const values: unknown[] = [];
  for (let partition = 0; partition < ((await log.partitionCount(name)) ?? 0); partition++) {
    const { start, end } = await log.offsets(name, partition);
    for (let next = start; next < end; ) {
      const { records, nextOffset } = await log.fetch(name, partition, next, LIMITS);
      values.push(...records.map(({ value }) => (value === null ? null : (JSON.parse(value.toString()) as unknown))));
      next = nextOffset;
    }
  }
  return values;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** One process has half of the records and leaves while the other, which came in their midst, has the rest. */
async function runOver(topology: Topology, records: readonly SimulatedRecord[], sink: CollectConnector, at: { readonly logs: readonly ClusterLog[]; readonly dir: string; readonly bounce: () => Promise<void> }): Promise<void> {
  const instances: Instance[] = [];
  const start = async (index: number): Promise<Instance> => {
    const instance = await openInstance(topology, { log: at.logs[index] as ClusterLog, connectors: [sink], stateDir: join(at.dir, String(index)), commitRecordsMax: 40, commitIntervalMs: 50, sessionTimeoutMs: 10_000 });
    instances.push(instance);
    instance.run();
    return instance;
  };
  const third = Math.floor(records.length / 3);
  const feeder = at.logs[2] as ClusterLog;
  try {
    await feed(feeder, records.slice(0, third));
    const first = await start(0);
    const second = await start(1);
    await until(() => first.status().tasks.length > 0 && second.status().tasks.length > 0);
    await feed(feeder, records.slice(third, third * 2));
    await Promise.all([first.drain(), second.drain()]);
    await feed(feeder, records.slice(third * 2, -third / 2));
    await at.bounce();
    await first.stop();
    await feed(feeder, records.slice(-third / 2));
    await second.drain();
  } finally {
    for (const instance of instances) await instance.stop();
  }
}

t.test("on a real broker every output is the model's, while processes come and go", async (t) => {
  const kafka = await kafkaBrokers(t, { own: true });
  if (kafka === undefined) process.exit(3);
  t.comment(`seed ${seed}`);
  const logs = await Promise.all((["kafkajs", "platformatic", "platformatic"] as const).map((client) => openKafkaLog({ brokers: [...kafka.brokers], client })));
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-brokers-"));
  const feeder = logs[2] as ClusterLog;
  try {
    for (const { topology, partitions, records, outputs } of topologies.map(caseOf)) {
      const topics = Object.keys(outputs).filter((name) => !Object.hasOwn(partitions, name));
      await feeder.createTopics([...Object.entries(partitions), ...topics.map((name) => [name, 2] as const)].map(([name, count]) => ({ topic: name, partitions: count })));
      await feed(feeder, records.filter(({ standing }) => standing === true));
      const sink = collectConnector();
      await runOver(topology, records.filter(({ standing }) => standing !== true), sink, { logs, dir: join(dir, topology.name), bounce: () => kafka.bounce() });
      for (const [name, expectation] of Object.entries(outputs)) {
        const collected = sink.values(name);
        const found = collected.length > 0 ? collected : await valuesIn(feeder, name);
        t.same(compareOutput(name, found, expectation), [], `${topology.name}: ${name}, ${expectation.rows.length} rows expected`);
        t.ok(expectation.rows.length > 1);
      }
    }
  } finally {
    for (const log of logs) await log.close();
    rmSync(dir, { recursive: true, force: true });
  }
});

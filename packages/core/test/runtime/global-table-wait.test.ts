/** What comes of no record, a punctuator by the wall clock or an asynchronous call, waits at a start like the records do: until global tables are read. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { carries, type Clock, defineTopology, type InstanceOptions, openInstance, type ProducerRecord, serde, type SourceLog, systemClock, type Topology } from "@iot-topology/core";
import { collect, collectConnector, memoryCluster, memoryLog } from "@iot-topology/core/testing";

const integer = serde.json<number>();
const TICK_MS = 5;
const HELD_MS = 250;
const TABLE_ROWS = 200;
const LAST_ROW = `k${TABLE_ROWS - 1}`;
// A table takes ten turns of the task, at each of which a punctuator or a result could come before the rest.
const COMMIT_RECORDS = 20;

/** What is asked; in a first life it never has an answer, so that the call is pending when the second begins. */
class Service {
  calls = 0;
  answers = false;

  readonly ask = async (value: number): Promise<number> => {
    this.calls++;
    return this.answers ? await Promise.resolve(value * 2) : await new Promise<number>(() => {});
  };
}

/** Both ask for the table's last row; `ticks` and `answers` hold what they found. */
function make({ ask }: Service): Topology {
  return defineTopology("waiting", (b) => {
    const names = b.globalTable("names", { store: "names", value: serde.json<string>() });
    const numbers = b.source("in").decode(integer);
    numbers.process("tick", {
      output: carries<number>(),
      init: ({ schedule }) => void schedule(TICK_MS, "wall-clock", (time, { forward }) => forward({ key: "tick", value: time })),
      process: () => {},
    }).leftJoin(names, (time, name) => [time, name], { key: () => LAST_ROW }).sink(collect("ticks"));
    numbers.mapAsync("ask", (value) => ask(value ?? 0), { value: integer }).leftJoin(names, (n, name) => [n, name], { key: () => LAST_ROW }).sink(collect("answers"));
  });
}

const names: readonly ProducerRecord[] = Array.from({ length: TABLE_ROWS }, (_, n) => ({ key: `k${n}`, value: JSON.stringify(`name ${n}`), timestamp: 1_000 }));
const LAST_NAME = `name ${TABLE_ROWS - 1}`;

/** A log that gives nothing of the table until it is let go. */
function held<L extends SourceLog>(log: L): { readonly log: L; readonly asked: () => boolean; readonly letGo: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isAsked = false;
  const fetch: L["fetch"] = async (topic, ...rest) => {
    if (topic === "names") {
      isAsked = true;
      await promise;
    }
    return log.fetch(topic, ...rest);
  };
  return { log: { ...log, fetch }, asked: () => isAsked, letGo: resolve };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const places: readonly [name: string, make: () => { readonly connect: () => SourceLog; readonly end: () => void }][] = [
  ["alone", () => {
    const log = memoryLog();
    return { connect: () => log, end: () => {} };
  }],
  ["in a group", () => {
    const cluster = memoryCluster();
    return { connect: () => cluster.connect(), end: () => cluster.close() };
  }],
];

for (const [name, place] of places) {
  t.test(`${name}: at a start neither punctuators nor calls go on before a global table is read`, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "iot-topology-global-wait-"));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    const { connect, end } = place();
    t.teardown(end);
    const [sink, service, feeder] = [collectConnector(), new Service(), connect()];
    let pauses = 0;
    const clock: Clock = { ...systemClock, sleep: (ms, signal) => (pauses++, systemClock.sleep(ms, signal)) };
    const topology = make(service);
    const open = (log: SourceLog, more: Partial<InstanceOptions> = {}) =>
      openInstance(topology, { log, connectors: [sink], stateDir: dir, createTopics: true, commitRecordsMax: COMMIT_RECORDS, commitIntervalMs: 5, sessionTimeoutMs: 2_000, ...more });

    const first = await open(connect());
    first.run();
    await feeder.append("in", [{ key: "a", value: "21", timestamp: 1_000 }]);
    /** What the punctuator found from a time on: a batch of the first life may be delivered in the second. */
    const ticks = (from: number) => (sink.values("ticks") as [number, string | null][]).filter(([time]) => time >= from).map(([, found]) => found);
    await until(() => service.calls === 1 && ticks(0).length > 0);
    await first.stop();
    t.strictSame([sink.values("answers"), [...new Set(ticks(0))]], [[], [null]], "the table is empty, and the call has no answer");

    await feeder.append("names", names);
    service.answers = true;
    const gate = held(connect());
    const startedAt = Date.now();
    const second = await open(gate.log, { clock });
    t.teardown(() => second.stop());
    second.run();
    await until(gate.asked);
    pauses = 0;
    await new Promise((resolve) => setTimeout(resolve, HELD_MS));
    t.equal(service.calls, 1, "the pending call is not made while the table is on its way");
    t.strictSame(ticks(startedAt), [], "nor is the punctuator called, though it is long due");
    t.ok(pauses < HELD_MS / TICK_MS, `and the loop does not spin for it (${pauses} pauses)`);
    gate.letGo();
    await until(() => ticks(startedAt).length > 0 && sink.values("answers").length > 0);
    await second.stop();
    t.strictSame(sink.values("answers"), [[42, LAST_NAME]], "the answer found the last row");
    t.strictSame([...new Set(ticks(startedAt))], [LAST_NAME], "each call found the last row");
    t.equal(service.calls, 2, "the call was made again, once");
  });
}

/** What windows leave in their stores: no more than what records can still come for, however long a task runs. */
import t from "tap";
import { defineTopology, hopping, type KeyedGroup, serde, session, sliding, tumbling, untilWindowCloses, type WindowedTable } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";
import { Committer } from "../../src/commit/commit.ts";
import { makeCounters } from "../../src/model/index.ts";
import { planOf } from "../../src/runtime/instance.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";
import { TaskInput } from "../../src/task/input.ts";
import { listRun } from "../../src/task/record-run.ts";
import { Task } from "../../src/task/task.ts";

type Build = (group: KeyedGroup<number, number | null>) => WindowedTable<number>;

/** Runs records of ever new keys in time order, and tells how many entries of stores there are after each thousand. */
async function entriesOver(build: Build): Promise<number[]> {
  const topology = defineTopology("windows", (b) => build(b.source("in").decode(serde.json<number>()).groupByKey()).toStream().sink(collect("out")));
  const [part] = planOf(topology).subTopologies;
  if (part === undefined) throw new Error("a topology has a part");
  const backend = memoryBackend();
  const input = new TaskInput("in", 0, 0, 0);
  const task = new Task({ id: "t", topology: "windows", partitionCount: 1, part, inputs: [input], backend, cacheEntriesMax: 100 });
  task.enter("opening");
  task.enter("running");
  const committer = new Committer(backend, { topology: "windows", version: 1, task: "t" }, { format: 1, commit: 0, offsets: {}, sequences: {}, streamTimes: {}, counters: makeCounters() }, []);
  const counts: number[] = [];
  for (let offset = 0; offset < 6_000; offset++) {
    // A key has a few records, and never comes again.
    const key = Buffer.from(`k${Math.floor(offset / 40)}-${offset % 8}`);
    input.offer(listRun([{ topic: "in", partition: 0, offset, timestamp: 100_000 + offset * 100, key, value: Buffer.from("1"), headers: [] }]), offset + 1, offset + 1);
    task.process(1);
    if (offset % 50 === 49) await committer.commit(task);
    if (offset % 1_000 !== 999) continue;
    let count = 0;
    for await (const [stored] of backend.entries({})) if (!"mco".includes(String.fromCharCode(stored[0] ?? 0))) count++;
    counts.push(count);
  }
  return counts;
}

const merge = (total: number, other: number): number => total + other;
const sum = { value: serde.json<number>(), init: () => 0, add: (total: number, value: number | null) => total + (value ?? 0) };
const builds: { readonly [name: string]: Build } = {
  "tumbling, on update": (group) => group.windowed(tumbling(2_000, { grace: 1_000 })).aggregate("store", sum),
  "tumbling, on close": (group) => group.windowed(tumbling(2_000, { grace: 1_000 }), { emit: "close" }).aggregate("store", sum),
  "hopping, on close": (group) => group.windowed(hopping(2_000, { advance: 700, grace: 1_000 }), { emit: "close" }).aggregate("store", sum),
  "sliding, on update": (group) => group.windowed(sliding(2_000, { grace: 1_000 })).aggregate("store", sum),
  "sliding, on close": (group) => group.windowed(sliding(2_000, { grace: 1_000 }), { emit: "close" }).aggregate("store", sum),
  "sessions, on update": (group) => group.windowed(session(1_000, { grace: 1_000 })).aggregate("store", { ...sum, merge }),
  "sessions, on close": (group) => group.windowed(session(1_000, { grace: 1_000 }), { emit: "close" }).aggregate("store", { ...sum, merge }),
  "sessions, kept longer": (group) => group.windowed(session(1_000, { grace: 1_000 }), { retention: 20_000 }).aggregate("store", { ...sum, merge }),
  "windows held back": (group) => group.windowed(tumbling(2_000, { grace: 1_000 })).aggregate("store", sum).suppress("held", untilWindowCloses()),
};

for (const [name, build] of Object.entries(builds)) {
  t.test(`${name}: stores do not grow with time`, async (t) => {
    const counts = await entriesOver(build);
    const [, second = 0] = counts;
    t.ok(second > 5, `${second} entries are kept`);
    for (const count of counts.slice(2)) t.ok(count < second * 1.3 + 20, `${count} entries, ${second} after 2,000 records`);
  });
}

t.test("what is kept longer is kept as long as was asked for", async (t) => {
  const [short, long] = await Promise.all([entriesOver(builds["sessions, on update"] as Build), entriesOver(builds["sessions, kept longer"] as Build)]);
  t.ok((long?.at(-1) ?? 0) > (short?.at(-1) ?? 0) + 20, `${long?.at(-1)} against ${short?.at(-1)}`);
});

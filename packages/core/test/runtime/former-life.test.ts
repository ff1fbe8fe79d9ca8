import t from "tap";
import { c, defineTopology, type InputRange, type Instance, openInstance, record, type SinkConnector } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryCluster } from "@iot-topology/core/testing";

const Event = record("Event", { id: c.string(), seq: c.uint64() });
const topology = defineTopology("plant", (b) => b.source("events").cast(Event, { partitionedBy: "id" }).dedup("seen", { by: ["id", "seq"] }).sink({ ...collect("history"), rebuildable: "by-position" }));

/** A sink that says what it holds; `undefined` is one that cannot. */
function holding(inner: CollectConnector, answer: (inputs: readonly InputRange[]) => boolean): SinkConnector {
  return {
    name: inner.name,
    async open(context, specs) {
      const sinks = await inner.open(context, specs);
      return sinks.map((sink) => ({ deliver: (batch, hint) => sink.deliver(batch, hint), settle: () => sink.settle(), mayHold: async (inputs) => answer(inputs) }));
    },
    reset: (context, specs) => inner.reset(context, specs),
    close: () => inner.close(),
  };
}

async function uncertainOf(t: { teardown(end: () => void): void }, answer: ((inputs: readonly InputRange[]) => boolean) | undefined): Promise<{ readonly uncertain: number; readonly rows: number }> {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const log = cluster.connect();
  await log.createTopics([{ topic: "events", partitions: 2 }]);
  await log.append("events", Array.from({ length: 100 }, (_, seq) => ({ key: `d${seq % 5}`, value: JSON.stringify({ id: `d${seq % 5}`, seq }), timestamp: seq })));
  const sink = collectConnector();
  const instance: Instance = await openInstance(topology, { log, connectors: [answer === undefined ? sink : holding(sink, answer)], stateDir: null });
  instance.run();
  await instance.drain();
  const { outbox } = instance.status();
  await instance.stop();
  return { uncertain: outbox.reduce((sum, { uncertain }) => sum + uncertain, 0), rows: sink.values("history").length };
}

t.test("a new topology on topics that hold records already trusts its tokens where no sink holds a row of them", async (t) => {
  t.same(await uncertainOf(t, () => false), { uncertain: 0, rows: 100 });
});

t.test("where a sink holds rows of an input, that input's task checks each batch, and only that one", async (t) => {
  const asked: InputRange[] = [];
  const found = await uncertainOf(t, (inputs) => {
    asked.push(...inputs);
    return inputs.some(({ partition }) => partition === 1);
  });
  t.equal(found.rows, 100);
  t.ok(found.uncertain > 0, "batches were checked");
  t.same(asked.map(({ topic, partition, firstOffset }) => [topic, partition, firstOffset]).sort(), [["events", 0, 0], ["events", 1, 0]]);
});

t.test("a sink that cannot say, or whose target does not answer, may hold anything", async (t) => {
  t.ok((await uncertainOf(t, undefined)).uncertain > 0);
  t.ok((await uncertainOf(t, () => { throw new Error("no answer"); })).uncertain > 0);
});

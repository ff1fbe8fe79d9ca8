import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { isLeft } from "fp-ts/lib/Either.js";
import t, { type Test } from "tap";
import { armFailpoints, c, count, defineTopology, describe, disarmFailpoints, type Instance, isRebuildable, min, openInstance, type Plan, type PlanError, record, resetTopology, stepsBoundToOnePartition, sum, topic, type Topology, type TopologyBuilder, TopologyError, validate } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryLog, type MemoryLog, testDriver } from "@iot-topology/core/testing";

const Reading = record("Reading", { device: c.string(), site: c.string(), seq: c.uint32(), value: c.int64(), at: c.dateTime64(3, "UTC") });
const Cents = record("Cents", { site: c.string(), price: c.decimal(9, 2) });
const SITES = ["north", "süd", "west", "öst-1", "x"];

const sites = defineTopology("sites", { accepts: { seen: ["STATE_UNBOUNDED"] } }, (b) => {
  const readings = b.source("readings").cast(Reading, { timestamp: "at", partitionedBy: "device" });
  const bySite = readings.repartition("by-site", { by: ["site"] });
  const unique = bySite.dedup("seen", { by: ["site", "seq"] });
  unique.sink(collect("unique"));
  unique.groupBy("site").count("totals").sink(collect("totals"));
});

interface Given {
  readonly device: string;
  readonly site: string;
  readonly seq: number;
  readonly at: number;
  readonly loadedAt: number;
}

const given = (device: string, site: string, seq: number, at = 0, loadedAt = 1_000_000): Given => ({ device, site, seq, at, loadedAt });
const valueOf = ({ device, site, seq, at }: Given): string => JSON.stringify({ device, site, seq, value: "9007199254740993", at });

function planOf(topology: Topology): Plan {
  const result = validate(topology);
  if (isLeft(result)) throw new Error(JSON.stringify(result.left));
  return result.right;
}

t.test("a repartition cuts a topology in two parts, the writing one first", (t) => {
  const plan = planOf(sites);
  t.same(plan.subTopologies.map(({ name, topics, repartitions }) => [name, topics, repartitions.map((node) => node.name)]), [
    ["readings", ["readings"], ["by-site"]],
    ["by-site", ["sites-by-site-repartition"], []],
  ]);
  t.same(plan.internalTopics, [{ topic: "sites-by-site-repartition", name: "by-site", writtenBy: ["readings"], readBy: "by-site", partitions: undefined }]);
  t.same(plan.subTopologies.map(stepsBoundToOnePartition), [[], []], "state behind it may be split by its field");
  t.same(plan.subTopologies.map(isRebuildable), [false, true], "records written once more would be read twice");
  t.equal(
    describe(plan),
    [
      "topology sites, version 1",
      "sub-topology readings: a task for each partition of readings",
      "  source readings",
      "    -> cast-Reading: cast to Reading, event time at, partitioned by device",
      "      -> by-site: repartition by site in topic sites-by-site-repartition",
      "sub-topology by-site: a task for each partition of sites-by-site-repartition",
      "  repartitioned, topic sites-by-site-repartition",
      "    -> seen: dedup by site, seq, unbounded; store seen",
      "      -> sink collect unique [exactly-once: tokens in memory]",
      "      -> totals: group by site: n = count(); store totals",
      "        -> sink collect totals [exactly-once: tokens in memory]",
    ].join("\n"),
  );
  const drawing = describe(plan, "mermaid");
  t.match(drawing, /\n {2}s0n2 ==> s1n3$/);
  t.end();
});

t.test("values, event times and load times go through unchanged, before the next input", (t) => {
  const seen: unknown[] = [];
  const loads: number[] = [];
  const spec = collect<unknown>("out");
  const withLoadTime: typeof spec = { ...spec, encoder: () => { const encode = spec.encoder(); return (writer, value, meta, key, timestamp, headers) => { loads.push(meta.loadTime); encode(writer, value, meta, key, timestamp, headers); }; } };
  const driver = testDriver(
    defineTopology("x", (b) => {
      b.source("in")
        .cast(Reading, { timestamp: "at" })
        .repartition("again", { by: ["site", "device"] })
        .peek((value, { key, timestamp }) => seen.push([value, String(key), timestamp]))
        .sink(withLoadTime);
    }),
  );
  driver.pipe("in", { value: valueOf(given("d|1", "söd", 7, 123)), key: "d|1", timestamp: 555 });
  t.same(seen, [[{ device: "d|1", site: "söd", seq: 7, value: 9007199254740993n, at: 123 }, "söd|d\\|1", 123]]);
  const [row] = driver.rows("out");
  t.equal(loads[0], 555);
  t.equal(row?.topic, "x-again-repartition");
  t.end();
});

t.test("mapped values need a schema, and equal values have equal keys whatever they were before", async (t) => {
  const keys: string[] = [];
  const driver = testDriver(
    defineTopology("x", (b) => {
      b.source("in")
        .cast(Reading)
        .map(({ site, seq }) => ({ site, price: seq === 1 ? "12.3" : seq === 2 ? 12.3 : 1230n / 100n, extra: true }))
        .repartition("priced", { by: ["price"], schema: Cents })
        .peek((value, { key }) => keys.push(`${value.price} ${String(key)}`))
        .sink(collect("out"));
    }),
  );
  driver.pipe("in", ...[1, 2, 3].map((seq) => ({ value: valueOf(given("d", "s", seq)) })));
  await driver.commit();
  t.same(keys, ["12.30 12.30", "12.30 12.30", "12.00 12.00"]);
  t.same(driver.values("out")[0], { site: "s", price: "12.30" });
});

t.test("what does not fit the schema goes by the step's policy, and the rest goes on", async (t) => {
  const driver = testDriver(
    defineTopology("x", (b) => {
      const dead = b.deadLetter("dead");
      dead.sink(collect("dead"));
      b.source("in")
        .cast(Reading)
        .map(({ site, seq }) => ({ site, price: seq === 2 ? "a lot" : "1" }))
        .repartition("priced", { by: ({ price }) => (price === "boom" ? null : price), schema: Cents, onError: dead })
        .sink(collect("out"));
    }),
  );
  driver.pipe("in", ...[1, 2, 3].map((seq) => ({ value: valueOf(given("d", "s", seq)) })));
  await driver.commit();
  t.equal(driver.values("out").length, 2);
  t.match(driver.values("dead"), [{ code: "CAST_FAILED", step: "priced", offset: 1 }]);
});

const rules = (build: (b: TopologyBuilder) => void): string[] => {
  const result = validate(defineTopology("x", build));
  if (!isLeft(result)) return [];
  const problems: readonly PlanError[] = result.left;
  for (const { cure, step } of problems) if (cure === "" || step === "") throw new Error("an error without its cure");
  return problems.map(({ rule }) => rule);
};

t.test("wrong repartitions are errors of the plan", (t) => {
  const source = (b: TopologyBuilder, name = "in") => b.source(name).cast(Reading, { name: `cast-${name}` });
  t.same(rules((b) => source(b).map((v) => v).repartition("r", { by: ["site"] }).sink(collect("o"))), ["SCHEMA_REQUIRED"]);
  t.same(rules((b) => source(b).repartition("r", { by: [] }).sink(collect("o"))), ["REPARTITION_INVALID"]);
  t.same(rules((b) => source(b).repartition("r", { by: ["nowhere" as never] }).sink(collect("o"))), ["FIELD_UNKNOWN"]);
  t.same(rules((b) => source(b).repartition("r", { by: ["site"], partitions: 0 }).sink(collect("o"))), ["REPARTITION_INVALID"]);
  t.same(rules((b) => void source(b).repartition("r", { by: ["site"] })), ["REPARTITION_UNUSED"]);
  t.same(rules((b) => source(b, "r").repartition("r", { by: ["site"] }).sink(collect("o"))), ["NAME_DUPLICATE"]);
  t.same(rules((b) => source(b, "x-r-repartition").repartition("r", { by: ["site"] }).sink(collect("o"))), ["TOPIC_DUPLICATE", "NAME_DUPLICATE"]);
  t.same(
    rules((b) => {
      const readings = source(b);
      readings.sink(topic("x-r-repartition", Reading));
      readings.repartition("r", { by: ["site"] }).sink(collect("o"));
    }),
    ["NAME_DUPLICATE"],
  );
  t.same(
    rules((b) => {
      const readings = source(b);
      readings.merge(readings.repartition("r", { by: ["site"] })).sink(collect("o"));
    }),
    ["REPARTITION_CYCLE"],
  );
  t.same(
    rules((b) => {
      const [one, two] = [source(b, "one"), source(b, "two")];
      one.merge(two.repartition("two-again", { by: ["site"] })).sink(collect("a"));
      two.merge(one.repartition("one-again", { by: ["site"] })).sink(collect("b"));
    }),
    ["REPARTITION_CYCLE", "REPARTITION_CYCLE"],
  );
  const Lists = record("Lists", { site: c.string(), list: c.array(c.string()) });
  t.same(rules((b) => b.source("in").cast(Lists).repartition("r", { by: ["list"] }).sink(collect("o"))), ["REPARTITION_INVALID"]);
  t.end();
});

t.test("repartitions that are merged have the same number of partitions, and the same keys for the same values", (t) => {
  const merged = (a: object, b: object, by: ["site"] | ["device"] = ["site"]) => (builder: TopologyBuilder) => {
    const one = builder.source("one").cast(Reading, { name: "cast-one" }).repartition("one-again", { by: ["site"], ...a });
    const two = builder.source("two").cast(Reading, { name: "cast-two" }).repartition("two-again", { by, ...b });
    one.merge(two).groupBy("site").count("n").sink(collect("o"));
  };
  t.same(rules(merged({ partitions: 2 }, { partitions: 3 })), ["PARTITIONS_MISMATCH"]);
  const plan = planOf(defineTopology("x", merged({ partitions: 2 }, {})));
  t.same(plan.internalTopics.map(({ topic: name, readBy, partitions }) => [name, readBy, partitions]), [
    ["x-one-again-repartition", "one-again+two-again", 2],
    ["x-two-again-repartition", "one-again+two-again", 2],
  ]);
  t.same(plan.subTopologies.flatMap(stepsBoundToOnePartition), []);
  t.same(planOf(defineTopology("x", merged({}, {}, ["device"]))).subTopologies.flatMap(stepsBoundToOnePartition), ["n"]);
  t.end();
});

t.test("state behind a repartition is bound to one partition unless its fields hold those of the repartition", (t) => {
  const bound = (by: ["site"] | ["site", "device"] | (() => string), fields: ("site" | "device" | "seq")[]) =>
    planOf(defineTopology("x", (b) => b.source("in").cast(Reading).repartition("r", { by }).dedup("d", { by: fields }).sink(collect("o")))).subTopologies.flatMap(stepsBoundToOnePartition);
  t.same(bound(["site"], ["site", "seq"]), []);
  t.same(bound(["site", "device"], ["device", "site"]), []);
  t.same(bound(["site", "device"], ["site"]), ["d"], "records of one site are in several tasks");
  t.same(bound(() => "all", ["site"]), ["d"], "nobody can check a function");
  t.end();
});

async function append(log: MemoryLog, records: readonly Given[]): Promise<void> {
  for (const one of records) await log.append("readings", [{ key: one.device, value: valueOf(one), timestamp: one.loadedAt }]);
}

t.test("the topic gets as many partitions as the topology says, or as the part that writes it has, or one where state cannot be split", async (t) => {
  const partitionsOf = async (by: ["site"] | (() => string), partitions?: number): Promise<number | undefined> => {
    const log = memoryLog();
    await log.ensureTopic("in", { partitions: 3 });
    const topology = defineTopology("x", (b) => b.source("in").cast(Reading).repartition("r", { by, ...(partitions === undefined ? {} : { partitions }) }).groupBy("site").count("n").sink(collect("o")));
    const instance = await openInstance(topology, { log, connectors: [collectConnector()], stateDir: null });
    await instance.stop();
    return log.partitionCount("x-r-repartition");
  };
  t.equal(await partitionsOf(["site"]), 3);
  t.equal(await partitionsOf(["site"], 5), 5);
  t.equal(await partitionsOf(() => "all"), 1);
  await t.rejects(partitionsOf(() => "all", 2), { code: "TOPIC_MISMATCH" });
});

/** The answer of a plain loop: which (site, seq) there are, and how many a site. */
function expected(records: readonly Given[]): { unique: string[]; totals: Map<string, number> } {
  const unique = new Set(records.map(({ site, seq }) => `${site} ${seq}`));
  const totals = new Map<string, number>();
  for (const name of unique) totals.set(name.slice(0, name.lastIndexOf(" ")), (totals.get(name.slice(0, name.lastIndexOf(" "))) ?? 0) + 1);
  return { unique: [...unique].sort(), totals };
}

function checkAnswer(t: Pick<Test, "same">, connector: CollectConnector, records: readonly Given[], label: string): void {
  const { unique, totals } = expected(records);
  t.same(connector.values("unique").map((row) => `${(row as Given).site} ${(row as Given).seq}`).sort(), unique, `${label}: each pair once`);
  const last = new Map<string, { n: number; updates: number }>();
  for (const row of connector.values("totals") as { site: string; n: number; updates: number }[]) if ((last.get(row.site)?.updates ?? 0) < row.updates) last.set(row.site, row);
  t.same(new Map([...last].map(([site, { n }]) => [site, n] as const).sort()), new Map([...totals].sort()), `${label}: the counts of the model`);
}

const oneReading = fc.record({ device: fc.constantFrom("a", "b", "c", "d", "e", "f"), site: fc.constantFrom(...SITES), seq: fc.nat(12), at: fc.nat(5_000_000), loadedAt: fc.nat(9_000_000) });

t.test("dedup and counts by another field equal a plain loop's, over any records, commits and restarts", { timeout: 120_000 }, async (t) => {
  const seed = 41_121;
  t.comment(`seed ${seed}`);
  const lives = fc.array(fc.array(oneReading, { maxLength: 40 }), { minLength: 1, maxLength: 4 });
  let ended = 0;
  await fc.assert(
    fc.asyncProperty(lives, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 7 }), async (chunks, partitions, commitRecordsMax) => {
      const stateDir = await mkdtemp(join(tmpdir(), "repartition-"));
      try {
        const log = memoryLog();
        await log.ensureTopic("readings", { partitions });
        const connector = collectConnector();
        for (const [index, chunk] of [...chunks, []].entries()) {
          const instance = await openInstance(sites, { log, connectors: [connector], stateDir, commitRecordsMax });
          instance.run();
          await append(log, chunk);
          // Every second life ends wherever it is; what it sealed is delivered by the next.
          if (index % 2 === 0 || index === chunks.length) await instance.drain();
          else ended++;
          await instance.stop();
        }
        checkAnswer(t, connector, chunks.flat(), `${chunks.flat().length} records`);
      } finally {
        await rm(stateDir, { recursive: true, force: true });
      }
    }),
    { seed, numRuns: 20 },
  );
  t.ok(ended > 0, "some lives ended in the middle");
});

t.test("a crash at each step of a commit or a delivery, in either part, loses and doubles nothing", { timeout: 120_000 }, async (t) => {
  const seed = 51_121;
  t.comment(`seed ${seed}`);
  const steps = ["commit.before-seal", "commit.before-write", "commit.after-write", "commit.after-committed", "deliver.before-send", "deliver.after-send", "deliver.after-acknowledge"];
  const [records = []] = fc.sample(fc.array(oneReading, { minLength: 300, maxLength: 300 }), { seed, numRuns: 1 });
  for (const step of steps) {
    const stateDir = await mkdtemp(join(tmpdir(), "repartition-"));
    try {
      const log = memoryLog();
      const connector = collectConnector();
      const open = (): Promise<Instance> => openInstance(sites, { log, connectors: [connector], stateDir, partitions: 2, commitRecordsMax: 10 });
      await (await open()).stop();
      await append(log, records);
      for (const passage of [2, 7]) {
        armFailpoints(`${step}=${passage}`, (name) => {
          throw new TopologyError("TASK_FAILED", `crash at ${name}`);
        });
        const instance = await open();
        instance.run();
        const outcome = await instance.drain().then(() => "done", (error: unknown) => (error as Error).message);
        t.match(outcome, /crash at/, `${step}: the fault came before the work was over`);
        disarmFailpoints();
        await instance.stop();
      }
      const last = await open();
      last.run();
      await last.drain();
      await last.stop();
      checkAnswer(t, connector, records, step);
    } finally {
      disarmFailpoints();
      await rm(stateDir, { recursive: true, force: true });
    }
  }
});

t.test("a reset empties the topic, so that what is written anew is read once", async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), "repartition-"));
  t.teardown(() => rm(stateDir, { recursive: true, force: true }));
  const log = memoryLog();
  const connector = collectConnector();
  const options = { log, connectors: [connector], stateDir, partitions: 2 };
  const totals = defineTopology("totals", (b) =>
    b.source("readings").cast(Reading).repartition("by-site", { by: ["site"] }).groupBy("site").aggregate("a-site", { n: count(), low: min("seq"), all: sum("seq") }).sink(collect("totals")),
  );
  for (const round of [1, 2]) {
    const instance = await openInstance(totals, options);
    if (round === 1) await append(log, [given("a", "north", 3), given("b", "north", 4), given("c", "süd", 5)]);
    instance.run();
    await instance.drain();
    await instance.stop();
    const rows = (connector.values("totals") as { site: string; n: number; low: number; all: number }[]).map(({ site, n, low, all }) => [site, n, low, all]);
    t.same(rows.sort(), [["north", 2, 3, 7], ["süd", 1, 5, 5]].sort(), `round ${round}`);
    await resetTopology(totals, options);
    t.equal(log.recordsOf("totals-by-site-repartition").length, 0);
  }
});

t.test("records that another schema wrote stop the task rather than be misread", async (t) => {
  const log = memoryLog();
  await log.ensureTopic("readings", { partitions: 1 });
  const former = record("Reading", { device: c.string(), site: c.string(), seq: c.uint32(), value: c.int64(), at: c.dateTime64(3, "UTC"), more: c.string({ default: "" }) });
  const at = (schema: typeof Reading) => defineTopology("x", (b) => b.source("readings").cast(schema).repartition("r", { by: ["site"] }).sink(collect("o")));
  const connector = collectConnector();
  const run = async (topology: Topology): Promise<void> => {
    const instance = await openInstance(topology, { log, connectors: [connector], stateDir: null });
    instance.run();
    try {
      await instance.drain();
    } finally {
      await instance.stop();
    }
  };
  await append(log, [given("a", "north", 1)]);
  await run(at(former));
  await log.forgetProducers("");
  await t.rejects(run(at(Reading)), { code: "TOPIC_MISMATCH" });
});

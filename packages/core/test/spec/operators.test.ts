import t from "tap";
import { c, defineTopology, record, TopologyError } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

const Reading = record("Reading", { id: c.string(), value: c.float64(), at: c.dateTime64(3, "UTC") });
const reading = (id: string, value: unknown, at = 0) => ({ value: { id, value, at }, timestamp: at });

t.test("cast reads JSON into the schema's types, and takes the event time from the field that is named", async (t) => {
  const driver = testDriver(defineTopology("x", (b) => b.source("in").cast(Reading, { timestamp: "at" }).sink(collect("out"))));
  driver.pipe("in", { value: { id: "a", value: "1.5", at: "1970-01-01T00:00:01Z" }, timestamp: 99 });
  await driver.commit();
  t.same(driver.values("out"), [{ id: "a", value: 1.5, at: 1000 }]);
  t.equal(driver.rows("out")[0]?.timestamp, 1000);
});

t.test("behind a cast the key is the text of the field that the topic is partitioned by, where it is that text exactly", async (t) => {
  const driver = testDriver(defineTopology("x", (b) => b.source("in").cast(Reading, { partitionedBy: "id" }).sink(collect("out"))));
  const invalid = Buffer.from([0xff]);
  driver.pipe("in", { ...reading("a", 1), key: "a" }, { ...reading("ä", 1), key: "ä" }, { ...reading("a", 1), key: "b" }, { ...reading("\ufffd", 1), key: invalid }, { ...reading("a", 1), key: null });
  await driver.commit();
  const [same, wide, other, damaged, none] = driver.rows("out").map(({ key }) => key);
  t.equal(same, "a");
  t.equal(String(wide), "ä");
  t.same(other, Buffer.from("b"));
  t.same(damaged, invalid);
  t.equal(none, null);
});

t.test("filter keeps what holds and counts the rest", async (t) => {
  const driver = testDriver(defineTopology("x", (b) => b.source("in").cast(Reading).filter((r) => r.value > 1).sink(collect("out"))));
  driver.pipe("in", reading("a", 1), reading("b", 2));
  await driver.commit();
  t.same(driver.values("out"), [{ id: "b", value: 2, at: 0 }]);
  t.equal(driver.counters().filtered, 1);
});

t.test("map makes one value of each, flatMap any number, and both keep key and time", async (t) => {
  const driver = testDriver(
    defineTopology("x", (b) => {
      const readings = b.source("in").cast(Reading, { timestamp: "at" });
      readings.map((r) => r.value * 2).sink(collect("doubled"));
      readings.flatMap((r) => Array.from({ length: r.value }, (_, n) => `${r.id}${n}`)).sink(collect("parts"));
    }),
  );
  driver.pipe("in", { ...reading("a", 2, 7), key: "k" }, reading("b", 0));
  await driver.commit();
  t.same(driver.values("doubled"), [4, 0]);
  t.same(driver.values("parts"), ["a0", "a1"]);
  t.same(driver.rows("parts").map((row) => [String(row.key), row.timestamp, row.offset, row.index]), [["k", 7, 0, 0], ["k", 7, 0, 1]]);
});

t.test("branch sends each record to the first arm that holds, or to the rest; merge brings streams together", async (t) => {
  const driver = testDriver(
    defineTopology("x", (b) => {
      const arms = b.source("in").cast(Reading).branch({ low: (r) => r.value < 10, middle: (r) => r.value < 20 });
      arms.low.merge(arms.rest).sink(collect("ends"));
      arms.middle.sink(collect("middle"));
    }),
  );
  driver.pipe("in", reading("a", 5), reading("b", 15), reading("c", 25));
  await driver.commit();
  t.same(driver.values("ends").map((v) => (v as { id: string }).id), ["a", "c"]);
  t.same(driver.values("middle").map((v) => (v as { id: string }).id), ["b"]);
});

t.test("rekey changes the key only, peek changes nothing", async (t) => {
  const seen: string[] = [];
  const driver = testDriver(
    defineTopology("x", (b) =>
      b.source("in").cast(Reading).peek((r) => seen.push(r.id)).rekey((r) => `key-${r.id}`).sink(collect("out")),
    ),
  );
  driver.pipe("in", { ...reading("a", 1), key: "old" });
  await driver.commit();
  t.same(seen, ["a"]);
  t.equal(driver.rows("out")[0]?.key, "key-a");
});

t.test("a source may read several topics as one stream", async (t) => {
  const driver = testDriver(defineTopology("x", (b) => b.source(["one", "two"]).cast(Reading).sink(collect("out"))));
  driver.pipe("one", reading("a", 1));
  driver.pipe("two", reading("b", 2));
  await driver.commit();
  t.same(driver.rows("out").map((row) => row.topic), ["one", "two"]);
});

t.test("a step's policy decides: the task fails, the record is skipped, or it goes to the dead letters with its reason and bytes", async (t) => {
  const boom = (r: { id: string }) => {
    if (r.id === "bad") throw new Error("no good");
    return r;
  };
  const failing = testDriver(defineTopology("x", (b) => b.source("in").cast(Reading).map(boom).sink(collect("out"))));
  failing.pipe("in", reading("a", 1));
  t.throws(() => failing.pipe("in", reading("bad", 1)), { code: "TASK_FAILED", message: /no good.*in-0 at offset 1/s });
  const skipping = testDriver(defineTopology("x", (b) => b.source("in").cast(Reading).map(boom, { onError: "skip" }).sink(collect("out"))));
  skipping.pipe("in", reading("bad", 1), reading("a", 1));
  await skipping.commit();
  t.equal(skipping.values("out").length, 1);
  t.equal(skipping.counters().skipped, 1);
  const lettering = testDriver(
    defineTopology("x", (b) => {
      const dead = b.deadLetter("dead");
      dead.sink(collect("dead"));
      b.source("in").cast(Reading, { onError: dead }).map(boom, { name: "boom", onError: dead }).sink(collect("out"));
    }),
  );
  lettering.pipe("in", { value: "{nonsense", key: "k", timestamp: 5 }, reading("bad", 1), reading("a", 1));
  await lettering.commit();
  t.equal(lettering.values("out").length, 1);
  const [first, second] = lettering.values("dead") as { code: string; step: string; message: string; value: Uint8Array; key: Uint8Array; offset: number; timestamp: number }[];
  t.match(first, { code: "INVALID_JSON", step: "cast-Reading", topic: "in", partition: 0, offset: 0, timestamp: 5 });
  t.equal(Buffer.from(first?.value ?? []).toString(), "{nonsense");
  t.match(second, { code: "STEP_FAILED", step: "boom", message: "no good", offset: 1 });
  t.same(lettering.counters().deadLetters, { INVALID_JSON: 1, STEP_FAILED: 1 });
});

t.test("a flatMap that throws half way leaves nothing of that record behind", async (t) => {
  const driver = testDriver(
    defineTopology("x", (b) =>
      b
        .source("in")
        .cast(Reading)
        .flatMap(
          function* (r) {
            yield 1;
            if (r.id === "bad") throw new Error("half way");
            yield 2;
          },
          { onError: "skip" },
        )
        .sink(collect("out")),
    ),
  );
  driver.pipe("in", reading("bad", 1), reading("a", 1));
  await driver.commit();
  t.same(driver.values("out"), [1, 2]);
});

t.test("records read = rows written + deduplicated + filtered + skipped + late + dead letters", async (t) => {
  const driver = testDriver(
    defineTopology("x", (b) => {
      const dead = b.deadLetter("dead");
      dead.sink(collect("dead"));
      b.source("in").cast(Reading, { onError: dead }).filter((r) => r.value >= 0).dedup("seen", { by: ["id"] }).sink(collect("out"));
    }),
  );
  for (const n of Array(100).keys()) driver.pipe("in", n % 7 === 0 ? { value: "?" } : reading(`id-${n % 40}`, n % 5 === 0 ? -1 : n));
  await driver.commit();
  const { read, written, deduplicated, filtered, deadLetters } = driver.counters();
  t.equal(read, 100);
  t.equal(read, (written["out"] ?? 0) + deduplicated + filtered + (deadLetters["INVALID_JSON"] ?? 0));
  t.equal(deadLetters["INVALID_JSON"], 15);
});

t.test("an error of the topology itself is thrown with every rule that is broken", (t) => {
  try {
    testDriver(
      defineTopology("bad name", (b) => {
        const dead = b.deadLetter("dead");
        b.source("in").cast(Reading, { onError: dead }).dedup("same", { by: ["id"] }).dedup("same", { by: [] }).sink(collect("out"), collect("out"));
      }),
    );
    t.fail("it was taken");
  } catch (error) {
    t.ok(error instanceof TopologyError);
    for (const rule of ["NAME_INVALID", "NAME_DUPLICATE", "DEDUP_INVALID", "SINK_DUPLICATE", "DEAD_LETTERS_LOST"]) t.match((error as Error).message, rule);
  }
  t.end();
});

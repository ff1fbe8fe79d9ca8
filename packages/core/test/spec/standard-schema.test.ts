/** A cast takes a schema of any library of the Standard Schema interface; here those of zod, valibot and arktype themselves. */
import { type } from "arktype";
import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import * as v from "valibot";
import { z } from "zod";
import { ByteWriter, c, type DeadLetter, defineTopology, describe, record, type Serde, serde, type StandardSchema, type Topology, validate } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

interface Order {
  readonly id: string;
  readonly at: number;
  readonly lines: readonly { readonly sku: string; readonly count: number }[];
}

const LIBRARIES: readonly (readonly [string, StandardSchema<unknown, Order>])[] = [
  ["zod", z.object({ id: z.string(), at: z.number(), lines: z.array(z.object({ sku: z.string(), count: z.number().int().min(1) })) })],
  ["valibot", v.object({ id: v.string(), at: v.number(), lines: v.array(v.object({ sku: v.string(), count: v.pipe(v.number(), v.integer(), v.minValue(1)) })) })],
  ["arktype", type({ id: "string", at: "number", lines: type({ sku: "string", count: "number.integer >= 1" }).array() })],
];

function letters(driver: ReturnType<typeof testDriver>): (readonly [string, string, string])[] {
  return (driver.values("dead") as DeadLetter[]).map(({ code, field, message }) => [code, field, message] as const);
}

function castBy(schema: StandardSchema<unknown, Order>): Topology {
  return defineTopology("standard", (b) => {
    const dead = b.deadLetter("dead");
    b.source("orders").cast(schema, { timestamp: "at", onError: dead }).sink(collect("orders"));
    dead.sink(collect("dead"));
  });
}

for (const [library, schema] of LIBRARIES) {
  t.test(`a schema of ${library} casts records, and all issues of a record go to its policy with their paths`, async (t) => {
    const driver = testDriver(castBy(schema));
    const good = { id: "a", at: 1_000, lines: [{ sku: "s", count: 2 }] };
    driver.pipe("orders", { value: good, timestamp: 5_000 }, { value: { id: 7, at: 1, lines: [{ sku: "s", count: 1 }, { sku: null, count: 0 }] } });
    await driver.commit();
    t.same(driver.values("orders"), [good]);
    const [letter] = letters(driver);
    t.equal(letter?.[0], "CAST_FAILED");
    t.equal(letter?.[1], "id");
    for (const path of [/(^|; )id /, /; lines\[1\]\.sku /, /; lines\[1\]\.count /]) t.match(letter?.[2], path);
    t.notMatch(letter?.[2], /lines\[1\]\.sku lines/, "a path that the library puts into its message stands once");
    t.end();
  });

  t.test(`what is no JSON text at all never comes to a schema of ${library}`, async (t) => {
    const driver = testDriver(castBy(schema));
    driver.pipe("orders", { value: null }, { value: "" }, { value: "{" }, { value: Buffer.from([0x22, 0xff, 0x22]) }, { value: "[".repeat(65) + "]".repeat(65) }, { value: '{"id":"\\ud800","at":1,"lines":[]}' });
    await driver.commit();
    t.same(letters(driver).map(([code, field]) => [code, field]), [["TOMBSTONE", ""], ["EMPTY_PAYLOAD", ""], ["INVALID_JSON", ""], ["INVALID_UTF8", ""], ["PAYLOAD_TOO_DEEP", ""], ["CAST_FAILED", "id"]]);
    t.same(driver.values("orders"), []);
    t.end();
  });
}

t.test("defaults and transforms of a schema are in the stream, and an event time may be a Date", async (t) => {
  const schema = z.object({ id: z.string().trim(), at: z.iso.datetime().transform((text) => new Date(text)), tags: z.array(z.string()).default([]) });
  const driver = testDriver(
    defineTopology("standard", (b) => {
      const rows = b.source("in").cast(schema, { timestamp: "at", onError: "skip" });
      rows.map((value, { timestamp }) => ({ ...value, timestamp })).sink(collect("out"));
    }),
  );
  driver.pipe("in", { value: { id: " a ", at: "2026-03-01T10:00:00Z" }, timestamp: 7 });
  await driver.commit();
  const at = new Date("2026-03-01T10:00:00Z");
  t.same(driver.values("out"), [{ id: "a", at, tags: [], timestamp: at.getTime() }]);
});

t.test("an event time that is no time refuses its record", async (t) => {
  const schema = v.object({ id: v.string(), at: v.pipe(v.string(), v.transform(Number)) });
  const driver = testDriver(castBy(v.pipe(schema, v.transform((value) => ({ ...value, lines: [] })))));
  driver.pipe("orders", { value: { id: "a", at: "soon" } }, { value: { id: "b", at: "1.5" } });
  await driver.commit();
  t.same(letters(driver).map(([code, field]) => [code, field]), [["CAST_FAILED", "at"], ["CAST_FAILED", "at"]]);
});

t.test("an integer that a double cannot hold is given to the schema as a bigint, so no digit is lost unseen", async (t) => {
  const driver = testDriver(
    defineTopology("standard", (b) => {
      const dead = b.deadLetter("dead");
      b.source("in").cast(z.object({ id: z.union([z.number(), z.bigint()]), n: z.number().optional() }), { onError: dead }).sink(collect("out"));
      dead.sink(collect("dead"));
    }),
  );
  driver.pipe("in", { value: '{"id":9007199254740993,"unknown":18446744073709551616}' }, { value: '{"id":1,"n":9007199254740993}' }, { value: '{"id":2,"n":0.1234567890123456789}' }, { value: '{"\\u0069d":9007199254740993}' });
  await driver.commit();
  t.same(driver.values("out"), [{ id: 9_007_199_254_740_993n }, { id: 2, n: 0.12345678901234568 }, { id: 9_007_199_254_740_993n }]);
  t.same(letters(driver).map(([code, field]) => [code, field]), [["CAST_FAILED", "n"]]);
});

t.test("what a function of a schema throws is that record's failure", async (t) => {
  const driver = testDriver(castBy(z.object({ id: z.string().refine((id) => { if (id === "bad") throw new Error("no such id"); return true; }), at: z.number(), lines: z.array(z.any()) })));
  driver.pipe("orders", { value: { id: "bad", at: 1, lines: [] } }, { value: { id: "good", at: 1, lines: [] } });
  await driver.commit();
  t.same(letters(driver), [["STEP_FAILED", "", "the schema threw: no such id"]]);
  t.equal(driver.values("orders").length, 1);
});

t.test("an asynchronous schema is refused by the plan; one with an asynchronous check inside fails the task, whatever its policy", async (t) => {
  const whole = validate(castBy(v.objectAsync({ id: v.string(), at: v.number(), lines: v.array(v.any()) })));
  t.ok(isLeft(whole));
  if (isLeft(whole)) t.same(whole.left.map(({ rule, step }) => [rule, step]), [["SCHEMA_ASYNCHRONOUS", "cast-orders"]]);
  const inside = testDriver(castBy(z.object({ id: z.string().refine(() => Promise.resolve(true)), at: z.number(), lines: z.array(z.any()) })));
  t.throws(() => inside.pipe("orders", { value: { id: "a", at: 1, lines: [] } }), { code: "SCHEMA_INVALID", place: "step cast-orders" });
});

t.test("a repartition of what has no columns says what to give, and takes it", async (t) => {
  const Line = record("Line", { id: c.string(), at: c.int64() });
  const Given = z.object({ id: z.string(), at: z.number().int() });
  const without = validate(defineTopology("standard", (b) => b.source("in").cast(Given).repartition("by-id", { by: ["id"] }).groupBy("id").count("rows-an-id").sink(collect("out"))));
  t.ok(isLeft(without));
  if (isLeft(without)) t.match(without.left, [{ rule: "SCHEMA_REQUIRED", step: "by-id", cure: /record schema .* schema: Row/ }]);
  const driver = testDriver(defineTopology("standard", (b) => b.source("in").cast(Given).repartition("by-id", { by: ["id"], schema: Line }).groupBy("id").count("rows-an-id").sink(collect("out"))));
  driver.pipe("in", { value: { id: "a", at: 1 } }, { value: { id: "a", at: 2 } });
  await driver.commit();
  await driver.commit();
  t.match(driver.values("out"), [{ id: "a", n: 2 }]);
});

t.test("dedup and groups work on fields of a schema without columns, and describe tells its library", async (t) => {
  const topology = defineTopology("standard", (b) => {
    b.source("in").cast(type({ id: "string", seq: "number" })).dedup("seen", { by: ["id"], sequence: "seq" }).groupBy("id").count("counted").sink(collect("out"));
  });
  const driver = testDriver(topology);
  driver.pipe("in", { value: { id: "a", seq: 1 } }, { value: { id: "a", seq: 1 } }, { value: { id: "a", seq: 2 } });
  await driver.commit();
  t.match(driver.values("out"), [{ id: "a", n: 2 }]);
  const plan = validate(topology);
  t.match(isLeft(plan) ? "" : describe(plan.right), /cast-in: cast by a schema of arktype/);
});

t.test("a serde of a Standard Schema checks both ways, and writes nothing that it would not read back", (t) => {
  const bytesOf = <T>(by: Serde<T>, value: T): Buffer => {
    const writer = new ByteWriter(16);
    by.encode(writer, value);
    return Buffer.from(writer.buffer.subarray(0, writer.position));
  };
  const orders = serde.json(z.object({ id: z.string(), at: z.coerce.date(), note: z.string().default("none") }));
  const order = { id: "a", at: new Date(5), note: "x" };
  t.same(orders.decode(bytesOf(orders, order)), order);
  t.same(orders.decode(Buffer.from('{"id":"a","at":5}')), { ...order, note: "none" });
  t.throws(() => orders.decode(Buffer.from('{"at":5}')), { code: "CAST_FAILED", place: "serde json by zod, field id" });
  t.throws(() => orders.decode(Buffer.from("{")), { code: "INVALID_JSON" });
  t.throws(() => bytesOf(orders, { id: 7 } as never), { code: "CAST_FAILED", message: /would not be read back: id / });
  const bigints = serde.json(z.bigint());
  t.equal(bigints.decode(bytesOf(bigints, 2n ** 60n)), 2n ** 60n);
  t.throws(() => bytesOf(bigints, 5n), { code: "CAST_FAILED" }, "5 would come back as a number");
  t.throws(() => bytesOf(serde.json(v.any()), undefined), { code: "CAST_FAILED" });
  t.throws(() => serde.json(v.objectAsync({ id: v.string() })), { code: "SCHEMA_INVALID" });
  t.end();
});

t.test("a store keeps what a Standard Schema gives, over a crash", async (t) => {
  const Total = type({ n: "number", "last?": "string" });
  const driver = testDriver(
    defineTopology("standard", (b) => {
      const totals = b.source("in").decode(serde.string()).groupByKey().aggregate("totals", { value: serde.json(Total), init: () => ({ n: 0 }), add: (total, last) => ({ n: total.n + 1, last }) });
      totals.toStream().sink(collect("totals"));
    }),
  );
  driver.pipe("in", { key: "a", value: "x" }, { key: "a", value: "y" });
  await driver.commit();
  driver.crash();
  driver.pipe("in", { key: "a", value: "z" });
  await driver.commit();
  t.same(driver.values("totals").at(-1), { n: 3, last: "z" });
});

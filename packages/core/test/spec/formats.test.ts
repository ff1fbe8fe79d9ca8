/** A cast and a topic may name how bytes stand, where that is not JSON. */
import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import { c, CastFailure, defineTopology, type DeadLetter, describe, exact, record, topic, validate, type ValueFormat } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

const Pair = record("Pair", { key: c.string(), n: c.int32() });

/** `key=n` as text. */
const pairs: ValueFormat = {
  name: "pairs",
  decoder: (schema, { bytesMax = 0 }) => (bytes) => {
    const text = bytes?.toString() ?? "";
    if (text.length > bytesMax) return new CastFailure("PAYLOAD_TOO_LARGE", [{ path: "", message: "too long" }]);
    const [key, n] = text.split("=");
    return n === undefined ? new CastFailure("INVALID_ENCODING", [{ path: "n", message: `is missing in ${schema.name}` }]) : ({ key, n: Number(n) } as never);
  },
  encoder: (_schema, name) => (value) => `${name}:${(value as unknown as { key: string }).key}=${(value as unknown as { n: number }).n}`,
};

const topology = defineTopology("formats", (b) => {
  const dead = b.deadLetter("dead");
  const rows = b.source("in").cast(Pair, { format: pairs, payloadBytesMax: 8, onError: dead });
  rows.sink(collect("rows"), topic("out", Pair, { format: pairs }));
  dead.sink(collect("dead"));
});

t.test("a cast reads by its format, and what the format refuses goes to the step's policy with its bytes", async (t) => {
  const driver = testDriver(topology);
  driver.pipe("in", { value: Buffer.from("a=1") }, { value: Buffer.from("torn") }, { value: Buffer.from("much-too-long=1") }, { value: null });
  await driver.commit();
  t.same(driver.values("rows"), [{ key: "a", n: 1 }]);
  t.same((driver.values("dead") as DeadLetter[]).map(({ code, field, value }) => [code, field, value === null ? null : Buffer.from(value).toString()]), [
    ["INVALID_ENCODING", "n", "torn"],
    ["PAYLOAD_TOO_LARGE", "", "much-too-long=1"],
    ["INVALID_ENCODING", "n", null],
  ]);
});

t.test("describe tells the format of a cast and of a topic", (t) => {
  const plan = validate(topology);
  if (isLeft(plan)) return void t.fail(plan.left.map(({ message }) => message).join());
  const text = describe(plan.right);
  t.match(text, /cast to Pair from pairs, errors to dead/);
  t.match(text, /topic out, Pair as pairs/);
  t.end();
});

t.test("exact conversions refuse what they would change", (t) => {
  t.equal(exact.decimal("12.3", 9, 2), 1230n);
  t.equal(exact.decimalText(-5n, 2), "-0.05");
  t.equal(exact.ticks(1_500, 32, 0), 1n, "milliseconds are cut off, as everywhere");
  t.equal(exact.ticks(5n, 64, 6), 5n);
  t.equal(exact.momentText(1_772_359_200_123_456n, 6), "2026-03-01T10:00:00.123456Z");
  t.equal(exact.dayText(exact.day("2026-03-01", 16)), "2026-03-01");
  t.equal(exact.integer(255, 8, false), 255n);
  t.equal(exact.jsonText(exact.parseJson('{"n":9007199254740993}')), '{"n":9007199254740993}');
  for (const wrong of [() => exact.integer(256, 8, false), () => exact.integer(1.5, 64, true), () => exact.integer("1", 64, true), () => exact.decimal("1.234", 9, 2), () => exact.day("2026-02-30", 16), () => exact.day(5, 32), () => exact.text("\ud800"), () => exact.jsonText([])]) t.throws(wrong, RangeError);
  t.throws(() => exact.parseJson("{"), SyntaxError);
  t.throws(() => exact.parseJson("[".repeat(100) + "]".repeat(100)), RangeError);
  t.end();
});

/** Every column type, through the binary encoder into the real server and back as text. */
import t from "tap";
import { c, compileCaster, CastFailure, type InferInput, record } from "@iot-topology/core";
import { clickhouse } from "@iot-topology/connectors/clickhouse";
import { seal, startLab } from "./fixture.ts";

t.setTimeout(200_000);
const lab = await startLab();
t.teardown(() => lab.stop());

const All = record("All", {
  id: c.uint32(),
  i8: c.int8(),
  i16: c.int16(),
  i32: c.int32(),
  i64: c.int64(),
  i128: c.int128(),
  i256: c.int256(),
  u8: c.uint8(),
  u16: c.uint16(),
  u64: c.uint64(),
  u128: c.uint128(),
  u256: c.uint256(),
  f32: c.float32(),
  f64: c.float64(),
  d9: c.decimal(9, 2),
  d18: c.decimal(18, 6),
  d38: c.decimal(38, 10),
  d76: c.decimal(76, 20),
  s: c.string(),
  lc: c.lowCardinality(c.string()),
  fs: c.fixedString(4),
  e8: c.enum8({ low: -128, "it's": 0, high: 127 }),
  e16: c.enum16({ a: -32_768, b: 32_767 }),
  b: c.bool(),
  id128: c.uuid(),
  day: c.date(),
  day32: c.date32(),
  second: c.dateTime("Europe/Berlin"),
  milli: c.dateTime64(3, "UTC"),
  nano: c.dateTime64(9, "UTC"),
  maybe: c.nullable(c.int64()),
  lcMaybe: c.lowCardinality(c.nullable(c.string())),
  list: c.array(c.nullable(c.uint8())),
  nested: c.array(c.array(c.string())),
  labels: c.map(c.string(), c.float64()),
  counts: c.map(c.lowCardinality(c.string()), c.array(c.int64())),
  doc: c.json(),
});
type All = InferInput<typeof All>;

const least: All = {
  id: 0, i8: -128, i16: -32_768, i32: -2_147_483_648, i64: -(2n ** 63n), i128: -(2n ** 127n), i256: -(2n ** 255n), u8: 0, u16: 0, u64: 0n, u128: 0n, u256: 0n,
  f32: -3.4028234663852886e38, f64: -1.7976931348623157e308, d9: "-9999999.99", d18: "-999999999999.999999", d38: `-${"9".repeat(28)}.${"9".repeat(10)}`, d76: `-${"9".repeat(56)}.${"9".repeat(20)}`,
  s: "", lc: "", fs: "abcd", e8: "low", e16: "a", b: false, id128: "00000000-0000-0000-0000-000000000000", day: "1970-01-01", day32: "1900-01-01", second: 0, milli: Date.UTC(1900, 0, 1), nano: -2_208_988_800_000_000_000n,
  maybe: null, lcMaybe: null, list: [], nested: [], labels: {}, counts: {}, doc: {},
};
const greatest: All = {
  id: 1, i8: 127, i16: 32_767, i32: 2_147_483_647, i64: 2n ** 63n - 1n, i128: 2n ** 127n - 1n, i256: 2n ** 255n - 1n, u8: 255, u16: 65_535, u64: 2n ** 64n - 1n, u128: 2n ** 128n - 1n, u256: 2n ** 256n - 1n,
  f32: 3.4028234663852886e38, f64: 5e-324, d9: "9999999.99", d18: 1n, d38: "0.0000000001", d76: `${"9".repeat(56)}.${"9".repeat(20)}`,
  s: "a\u0000b\n\t'\\\"💥é", lc: "x".repeat(70_000), fs: "é\u0000z", e8: "it's", e16: "b", b: true, id128: "0123abcd-4567-89ef-fedc-ba9876543210", day: "2149-06-06", day32: "2299-12-31",
  second: Date.UTC(2106, 1, 7, 6, 28, 15), milli: Date.UTC(2299, 11, 31, 23, 59, 59, 999), nano: 9_223_372_036_854_775_807n,
  maybe: 9_007_199_254_740_993n, lcMaybe: "n", list: [1, null, 255], nested: [["a"], [], ["b", "c"]], labels: { "k'": 1.5, "": -0.1 }, counts: { x: [1n, -(2n ** 63n)] },
  doc: { a: { b: [1, 2], c: { d: [{ e: "x" }] } }, t: "2020-01-01" },
};

t.test("extremes of every type come back as they were", async (t) => {
  const spec = clickhouse.history("types", All, { orderBy: ["id"] });
  t.same(spec.problems, []);
  const db = await lab.open([spec]);
  t.teardown(() => db.close());
  const rows = [least, greatest].map((value, offset) => ({ value, offset, loadTime: 1_000 }));
  await db.sink.deliver(seal(spec, rows), { uncertain: false });
  await db.sink.deliver(seal(spec, rows), { uncertain: true });
  const columns = Object.keys(All.columns.reduce((out, column) => ({ ...out, [column.name]: 1 }), {})).map((name) => `toString(${name}) AS ${name}`).join(", ");
  const [low, high] = await db.rows<Record<string, string | null>>(`SELECT ${columns} FROM (SELECT * FROM types ORDER BY id)`);
  t.same(low, {
    id: "0", i8: "-128", i16: "-32768", i32: "-2147483648", i64: "-9223372036854775808", i128: String(-(2n ** 127n)), i256: String(-(2n ** 255n)), u8: "0", u16: "0", u64: "0", u128: "0", u256: "0",
    f32: "-3.4028235e38", f64: "-1.7976931348623157e308", d9: "-9999999.99", d18: "-999999999999.999999", d38: least.d38, d76: least.d76,
    s: "", lc: "", fs: "abcd", e8: "low", e16: "a", b: "false", id128: least.id128, day: "1970-01-01", day32: "1900-01-01", second: "1970-01-01 01:00:00", milli: "1900-01-01 00:00:00.000", nano: "1900-01-01 00:00:00.000000000",
    maybe: null, lcMaybe: null, list: "[]", nested: "[]", labels: "{}", counts: "{}", doc: "{}",
  });
  t.same(high, {
    id: "1", i8: "127", i16: "32767", i32: "2147483647", i64: "9223372036854775807", i128: String(2n ** 127n - 1n), i256: String(2n ** 255n - 1n), u8: "255", u16: "65535", u64: "18446744073709551615", u128: String(2n ** 128n - 1n), u256: String(2n ** 256n - 1n),
    f32: "3.4028235e38", f64: "5e-324", d9: "9999999.99", d18: "1", d38: "0.0000000001", d76: greatest.d76,
    s: greatest.s, lc: greatest.lc, fs: "é\u0000z", e8: "it's", e16: "b", b: "true", id128: greatest.id128, day: "2149-06-06", day32: "2299-12-31", second: "2106-02-07 07:28:15", milli: "2299-12-31 23:59:59.999", nano: "2262-04-11 23:47:16.854775807",
    maybe: "9007199254740993", lcMaybe: "n", list: "[1,NULL,255]", nested: "[['a'],[],['b','c']]", labels: "{'k\\'':1.5,'':-0.1}", counts: "{'x':[1,-9223372036854775808]}",
    doc: high?.["doc"] ?? null,
  });
  t.same(JSON.parse(high?.["doc"] ?? ""), { a: { b: ["1", "2"], c: { d: [{ e: "x" }] } }, t: "2020-01-01" }, "ClickHouse quotes 64-bit integers here");
});

t.test("what is cast from JSON text, extremes and unknown fields, arrives exactly", async (t) => {
  const Loose = record("Loose", { id: c.string(), n: c.uint64(), amount: c.decimal(20, 3), extra: c.rest() });
  const spec = clickhouse.history("loose", Loose, { orderBy: ["id"] });
  const db = await lab.open([spec]);
  t.teardown(() => db.close());
  const value = compileCaster(Loose)(JSON.parse('{"id":"a","n":"18446744073709551615","amount":"12345678901234567.125","__proto__":{"x":1},"deep":{"y":["z"]}}'));
  t.notOk(value instanceof CastFailure);
  if (value instanceof CastFailure) return;
  await db.sink.deliver(seal(spec, [{ value, offset: 0, loadTime: 1 }]), { uncertain: false });
  const [row] = await db.rows<Record<string, string>>("SELECT toString(n) AS n, toString(amount) AS amount, toString(extra) AS extra FROM loose");
  t.match(row, { n: "18446744073709551615", amount: "12345678901234567.125" });
  t.same(JSON.parse(row?.["extra"] ?? "").deep, { y: ["z"] });
});

t.test("windows over integers and decimals are exact, negative and before 1970 too", async (t) => {
  const { count, sum, avg, min, max, hours } = await import("@iot-topology/core");
  const Money = record("Money", { id: c.string(), at: c.dateTime("UTC"), early: c.dateTime64(3, "UTC"), cents: c.int32(), price: c.decimal(9, 2) });
  const aggregates = { n: count(), s: sum("cents"), a: avg("cents"), lo: min("cents"), hi: max("cents"), p: sum("price" as "cents") };
  const spec = clickhouse.history("money", Money, {
    orderBy: ["id", "early"],
    windows: [{ view: "money_1h", every: hours(1), time: "at", by: ["id"], aggregates }, { view: "money_early", every: hours(1), time: "early", by: [], aggregates }],
  });
  t.same(spec.problems, []);
  const db = await lab.open([spec]);
  t.teardown(() => db.close());
  const early = Date.UTC(1969, 11, 31, 23, 30);
  const rows = [[-5, "0.10"], [7, "0.20"], [-9, "-0.60"]].map(([cents, price], offset) => ({ value: { id: "a", at: 3_600_000 + offset * 1_000, early: early + offset, cents: cents as number, price: price as string }, offset, loadTime: 5 }));
  await db.sink.deliver(seal(spec, rows), { uncertain: false });
  const want = { n: "3", s: "-7", lo: -9, hi: 7, p: -0.3 };
  t.match(await db.rows("SELECT * EXCEPT a FROM money_1h"), [{ window_start: "1970-01-01 01:00:00.000", id: "a", ...want }]);
  t.match(await db.rows("SELECT * EXCEPT a FROM money_early"), [{ window_start: "1969-12-31 23:00:00.000", ...want }]);
  await db.client.command({ query: "INSERT INTO money_1h_state SELECT * FROM money_1h_state" });
  await db.client.command({ query: "TRUNCATE TABLE money_early_state" });
  await db.sink.deliver(seal(spec, rows), { uncertain: true });
  t.match(await db.rows("SELECT * EXCEPT a FROM money_1h"), [want]);
  t.match(await db.rows("SELECT * EXCEPT a FROM money_early"), [want]);
});

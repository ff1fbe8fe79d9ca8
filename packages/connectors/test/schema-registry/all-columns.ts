/** A record with a column of every type, and any value of it. */
import { c, type InferInput, type JsonObject, record } from "@iot-topology/core";
import fc from "fast-check";

export const seed: number = Number(process.env["SEED"] ?? 20_261_121);

const text = fc.oneof(fc.string({ unit: "binary" }), fc.string(), fc.constantFrom("", "__proto__", "é€😀", "\u0000", "null", "{}"));
const big = (bits: number, signed: boolean): fc.Arbitrary<bigint> => {
  const [low, high] = signed ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n];
  return fc.oneof(fc.bigInt({ min: low, max: high }), fc.constantFrom(low, high, 0n), fc.bigInt({ min: signed ? -10n : 0n, max: 10n }));
};
const decimal = (precision: number, scale: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: 1n - 10n ** BigInt(precision), max: 10n ** BigInt(precision) - 1n }).map((value) => {
    const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, "0");
    return `${value < 0n ? "-" : ""}${digits.slice(0, digits.length - scale)}.${digits.slice(digits.length - scale)}`;
  });
const day = (first: string, last: string) => fc.date({ min: new Date(first), max: new Date(last), noInvalidDate: true }).map((date) => date.toISOString().slice(0, 10));
const json = fc.dictionary(fc.oneof(text, fc.constantFrom("a", "b")), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }) as unknown as fc.Arbitrary<JsonObject>;
const ticks = (precision: number) => fc.bigInt({ min: -2_208_988_800n * 10n ** BigInt(precision), max: 9_223_372_036n * 10n ** BigInt(precision) });

/** Every type of column. */
export const All = record("All", {
  i8: c.int8(),
  i16: c.int16(),
  i32: c.int32(),
  u8: c.uint8(),
  u16: c.uint16(),
  u32: c.uint32(),
  i64: c.int64({ from: "long" }),
  u64: c.uint64({ from: "not-a-name" }),
  i128: c.int128(),
  u128: c.uint128(),
  i256: c.int256(),
  u256: c.uint256(),
  f32: c.float32(),
  f64: c.float64(),
  d9: c.decimal(9, 4),
  d38: c.decimal(38, 0),
  d76: c.decimal(76, 30),
  s: c.string(),
  fs: c.fixedString(3),
  lc: c.lowCardinality(c.nullable(c.string({ default: "absent" }))),
  e8: c.enum8({ on: 1, off: -1 }),
  e16: c.enum16({ "not a name": 300, b: 2 }),
  b: c.bool(),
  u: c.uuid(),
  d: c.date(),
  d32: c.date32(),
  dt: c.dateTime(),
  dt0: c.dateTime64(0),
  dt3: c.dateTime64(3),
  dt6: c.dateTime64(6),
  dt8: c.dateTime64(8),
  dt9: c.dateTime64(9),
  n: c.nullable(c.uint16()),
  nd: c.nullable(c.decimal(20, 2), { default: "1.5" }),
  a: c.array(c.array(c.int64())),
  an: c.array(c.nullable(c.enum8({ x: 1, y: 2 }))),
  m: c.map(c.string(), c.nullable(c.decimal(38, 2))),
  mi: c.map(c.int32(), c.dateTime64(6)),
  j: c.json(),
  rest: c.rest(),
});

const known = new Set(All.columns.filter(({ column }) => column.kind !== "rest").map(({ from }) => from));

/** Any value of it. */
export const anyRecord = fc.record({
  i8: fc.integer({ min: -128, max: 127 }),
  i16: fc.integer({ min: -32_768, max: 32_767 }),
  i32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  u8: fc.integer({ min: 0, max: 255 }),
  u16: fc.integer({ min: 0, max: 65_535 }),
  u32: fc.integer({ min: 0, max: 4_294_967_295 }),
  i64: big(64, true),
  u64: big(64, false),
  i128: big(128, true),
  u128: big(128, false),
  i256: big(256, true),
  u256: big(256, false),
  f32: fc.float({ noNaN: true, noDefaultInfinity: true }),
  f64: fc.double({ noNaN: true, noDefaultInfinity: true }),
  d9: decimal(9, 4),
  d38: fc.bigInt({ min: 1n - 10n ** 38n, max: 10n ** 38n - 1n }).map(String),
  d76: decimal(76, 30),
  s: text,
  fs: fc.constantFrom("abc", "é1", "€"),
  lc: fc.option(text),
  e8: fc.constantFrom("on" as const, "off" as const),
  e16: fc.constantFrom("not a name" as const, "b" as const),
  b: fc.boolean(),
  u: fc.uuid(),
  d: day("1970-01-01", "2149-06-06"),
  d32: day("1900-01-01", "2299-12-31"),
  dt: fc.integer({ min: 0, max: 4_294_967_295 }).map((seconds) => seconds * 1000),
  dt0: fc.integer({ min: -2_208_988_800, max: 10_413_791_999 }).map((seconds) => seconds * 1000),
  dt3: fc.integer({ min: -2_208_988_800_000, max: 10_413_791_999_999 }),
  dt6: ticks(6),
  dt8: fc.bigInt({ min: -2_208_988_800n * 10n ** 8n, max: 10_413_791_999n * 10n ** 8n }),
  dt9: fc.bigInt({ min: -2_208_988_800_000_000_000n, max: 2n ** 63n - 1n }),
  n: fc.option(fc.integer({ min: 0, max: 65_535 })),
  nd: fc.option(decimal(20, 2)),
  a: fc.array(fc.array(big(64, true), { maxLength: 3 }), { maxLength: 3 }),
  an: fc.array(fc.option(fc.constantFrom("x" as const, "y" as const)), { maxLength: 3 }),
  m: fc.dictionary(text, fc.option(decimal(38, 2)), { maxKeys: 3 }),
  mi: fc.dictionary(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map(String), ticks(6), { maxKeys: 3 }),
  j: json,
  rest: json.map((value) => Object.fromEntries(Object.entries(value).filter(([name]) => !known.has(name) && name !== "rest"))),
}) satisfies fc.Arbitrary<InferInput<typeof All>>;

/** Text of a value in which unlike values differ: bigints, -0, and decimals of zero, which have no sign. JSON columns keep no sign of a zero. */
export function shown(value: unknown, inJson = false): string {
  if (typeof value === "object" && value !== null && "rawJSON" in value) return shown(Number(value.rawJSON), inJson);
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return inJson ? "0" : "-0";
  if (typeof value === "string") return JSON.stringify(/^-0(\.0+)?$/.test(value) ? value.slice(1) : value);
  if (Array.isArray(value)) return `[${value.map((item) => shown(item, inJson)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${shown(member, inJson || key === "j" || key === "rest")}`).sort().join(",")}}`;
}

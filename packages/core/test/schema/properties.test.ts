/** Round trips and arithmetic against oracles that share no code with the schema: BigInt, Date.UTC, Intl. */
import fc from "fast-check";
import t from "tap";
import { ByteReader, ByteWriter } from "../../src/model/index.ts";
import { c, CastFailure, compileBinaryCodec, compileDecoder, compileJsonEncoder, compileKeyEncoder, compileRowEncoder, record, type InferInput, type JsonObject } from "../../src/schema/index.ts";
import { formatDay, parseDay, parseMs, writeMs } from "../../src/schema/instant.ts";
import { sameNumber, unscaled } from "../../src/schema/decimal.ts";

const seed = Number(process.env["SEED"] ?? 20_261_121);
t.comment(`seed ${seed}`);
const runs = { seed, numRuns: 1000 };

const text = fc.oneof(fc.string({ unit: "binary" }), fc.string(), fc.constantFrom("", "|", "\\", "\\N", "__proto__", "a|b", "é€😀", "\u0000", "12345678901234567890"));
const big = (bits: number, signed: boolean): fc.Arbitrary<bigint> => {
  const [low, high] = signed ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n];
  return fc.oneof(fc.bigInt({ min: low, max: high }), fc.constantFrom(low, high, 0n), fc.bigInt({ min: signed ? -10n : 0n, max: 10n }), fc.constantFrom(2n ** 53n, 2n ** 53n + 1n).filter((n) => n <= high));
};
const double = fc.double({ noNaN: true, noDefaultInfinity: true });
const decimal = (precision: number, scale: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: 1n - 10n ** BigInt(precision), max: 10n ** BigInt(precision) - 1n }).map((value) => {
    const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, "0");
    return `${value < 0n ? "-" : ""}${digits.slice(0, digits.length - scale)}.${digits.slice(digits.length - scale)}`;
  });
const day = fc.date({ min: new Date("1970-01-01"), max: new Date("2149-06-06"), noInvalidDate: true }).map((date) => date.toISOString().slice(0, 10));
const ms = fc.integer({ min: -2_208_988_800_000, max: 10_413_791_999_999 });
// fast-check's JSON values have null prototypes and mutable arrays in their type; as data they are what ours are.
const json = fc.dictionary(fc.oneof(text, fc.constantFrom("a", "b")), fc.jsonValue({ maxDepth: 4, stringUnit: "binary" }), { maxKeys: 4 }) as unknown as fc.Arbitrary<JsonObject>;

const All = record("All", {
  i8: c.int8(),
  u32: c.uint32(),
  i64: c.int64({ from: "long" }),
  u64: c.uint64(),
  u128: c.uint128(),
  i256: c.int256(),
  f32: c.float32(),
  f64: c.float64(),
  d9: c.decimal(9, 4),
  d76: c.decimal(76, 30),
  s: c.string(),
  lc: c.lowCardinality(c.nullable(c.string())),
  e: c.enum8({ on: 1, off: -1 }),
  b: c.bool(),
  u: c.uuid(),
  d: c.date(),
  dt: c.dateTime(),
  dt3: c.dateTime64(3),
  dt9: c.dateTime64(9),
  n: c.nullable(c.uint16()),
  a: c.array(c.array(c.int64())),
  m: c.map(c.string(), c.nullable(c.decimal(38, 2))),
  mi: c.map(c.int32(), c.float64()),
  j: c.json(),
  rest: c.rest(),
});
const known = new Set(All.columns.filter(({ column }) => column.kind !== "rest").map(({ from }) => from));

const anyRecord = fc.record({
  i8: fc.integer({ min: -128, max: 127 }),
  u32: fc.integer({ min: 0, max: 4_294_967_295 }),
  i64: big(64, true),
  u64: big(64, false),
  u128: big(128, false),
  i256: big(256, true),
  f32: fc.float({ noNaN: true, noDefaultInfinity: true }),
  f64: double,
  d9: decimal(9, 4),
  d76: decimal(76, 30),
  s: text,
  lc: fc.option(text),
  e: fc.constantFrom("on" as const, "off" as const),
  b: fc.boolean(),
  u: fc.uuid(),
  d: day,
  dt: fc.integer({ min: 0, max: 4_294_967_295 }).map((seconds) => seconds * 1000),
  dt3: ms,
  dt9: fc.bigInt({ min: -2_208_988_800_000_000_000n, max: 2n ** 63n - 1n }),
  n: fc.option(fc.integer({ min: 0, max: 65_535 })),
  a: fc.array(fc.array(big(64, true), { maxLength: 3 }), { maxLength: 3 }),
  m: fc.dictionary(text, fc.option(decimal(38, 2)), { maxKeys: 3 }),
  mi: fc.dictionary(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map(String), double, { maxKeys: 3 }),
  j: json,
  rest: json.map((value) => Object.fromEntries(Object.entries(value).filter(([name]) => !known.has(name)))),
}) satisfies fc.Arbitrary<InferInput<typeof All>>;

/** Text of a value in which unlike values differ: bigints, -0, and decimals of zero, which have no sign. */
function shown(value: unknown): string {
  if (typeof value === "object" && value !== null && "rawJSON" in value) return shown(Number(value.rawJSON));
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "string") return JSON.stringify(/^-0\.0+$/.test(value) ? value.slice(1) : value);
  if (Array.isArray(value)) return `[${value.map(shown).join(",")}]`;
  if (typeof value === "object" && value !== null) return `{${Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${shown(member)}`).sort().join(",")}}`;
  return JSON.stringify(value);
}
function positiveZeros(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(positiveZeros);
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, positiveZeros(member)]));
  return value === 0 ? 0 : value;
}
/** `JSON.stringify(-0)` is "0", so within JSON columns the sign of a zero is not kept. */
function unsignedZeros<V extends { readonly j: unknown; readonly rest: unknown }>(value: V): V {
  return { ...value, j: positiveZeros(value.j), rest: positiveZeros(value.rest) };
}

t.test("Every record comes back from its JSON text as it was", (t) => {
  const encode = compileJsonEncoder(All);
  const decode = compileDecoder(All);
  fc.assert(
    fc.property(anyRecord, (value) => {
      const json = encode(value);
      const out = decode(Buffer.from(json));
      if (out instanceof CastFailure) throw new Error(out.message);
      if (shown(out) !== shown(unsignedZeros(value))) throw new Error(`${shown(out)}\n!==\n${shown(value)}`);
    }),
    runs,
  );
  t.pass(`${runs.numRuns} records`);
  t.end();
});

t.test("Every record comes back from state as it was, to the last byte", (t) => {
  const codec = compileBinaryCodec(All);
  fc.assert(
    fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 3 }), (values) => {
      const writer = new ByteWriter(16);
      for (const value of values) codec.encode(writer, value as never);
      const reader = new ByteReader(writer.take());
      for (const value of values) {
        const out = shown(codec.decode(reader));
        if (out !== shown(unsignedZeros(value))) throw new Error(`${out}\n!==\n${shown(value)}`);
      }
      return reader.remaining === 0;
    }),
    { seed, numRuns: 400 },
  );
  t.pass("400 batches");
  t.end();
});

t.test("Rows for ClickHouse and bytes for state are the same but for JSON columns", (t) => {
  const { j: _j, rest: _rest, ...fields } = Object.fromEntries(All.columns.map(({ name, column }) => [name, column]));
  const Plain = record("Plain", fields as never);
  const row = compileRowEncoder(Plain);
  const codec = compileBinaryCodec(Plain);
  fc.assert(
    fc.property(anyRecord, (value) => {
      const a = new ByteWriter(16);
      const b = new ByteWriter(16);
      row(a, value as never);
      codec.encode(b, value as never);
      return a.take().equals(b.take());
    }),
    { seed, numRuns: 300 },
  );
  t.pass("300 records");
  t.end();
});

t.test("Keys are the same if and only if the fields are", (t) => {
  const Keyed = record("Keyed", { a: c.string(), b: c.nullable(c.string()), n: c.int64(), e: c.nullable(c.enum8({ "|": 1, "\\N": 2 })) });
  const tricky = fc.oneof(fc.string({ unit: fc.constantFrom("|", "\\", "N", "a") }), text);
  const value = fc.record({ a: tricky, b: fc.option(tricky), n: fc.bigInt({ min: -3n, max: 3n }), e: fc.option(fc.constantFrom("|" as const, "\\N" as const)) });
  const fieldSets = [["a"], ["b"], ["a", "b"], ["b", "a"], ["a", "b", "n", "e"], ["e", "n"]] as const;
  let equal = 0;
  for (const fields of fieldSets) {
    const encode = compileKeyEncoder(Keyed, fields);
    fc.assert(
      fc.property(value, value, fc.boolean(), (x, other, copy) => {
        const y = copy ? { ...x } : other;
        const same = fields.every((field) => x[field] === y[field]);
        if (same) equal++;
        return (encode(x) === encode(y)) === same;
      }),
      runs,
    );
  }
  t.ok(equal > 100, `${equal} pairs were equal`);
  t.end();
});

t.test("Days and moments agree with Date.UTC over the whole range", (t) => {
  for (let days = -25_567; days <= 120_529; days += 1) {
    const expected = new Date(days * 86_400_000).toISOString().slice(0, 10);
    if (formatDay(days) !== expected || parseDay(expected) !== days) t.fail(`${expected} is day ${days}, not ${parseDay(expected)} or ${formatDay(days)}`);
  }
  const formatMs = (at: number): string => {
    const writer = new ByteWriter(32);
    writeMs(writer, at);
    return writer.take().toString();
  };
  fc.assert(fc.property(ms, (at) => formatMs(at) === new Date(at).toISOString() && parseMs(formatMs(at)) === at), runs);
  const minutes = fc.integer({ min: -(23 * 60 + 59), max: 23 * 60 + 59 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), minutes, fc.integer({ min: 0, max: 999_999_999 }), fc.integer({ min: 0, max: 9 }), (seconds, offset, nanos, digits) => {
      const local = new Date((seconds + offset * 60) * 1000).toISOString().slice(0, 19);
      const fraction = String(nanos).padStart(9, "0").slice(0, digits);
      const zone = `${offset < 0 ? "-" : "+"}${String(Math.trunc(Math.abs(offset) / 60)).padStart(2, "0")}:${String(Math.abs(offset) % 60).padStart(2, "0")}`;
      const iso = `${local}${digits === 0 ? "" : `.${fraction}`}${zone}`;
      return parseMs(iso) === seconds * 1000 + Number(fraction.padEnd(3, "0").slice(0, 3));
    }),
    runs,
  );
  t.pass("146,097 days and 2,000 moments");
  t.end();
});

t.test("A day is accepted if and only if it exists", (t) => {
  const two = (n: number): string => String(n).padStart(2, "0");
  fc.assert(
    fc.property(fc.integer({ min: 1900, max: 2299 }), fc.integer({ min: 0, max: 14 }), fc.integer({ min: 0, max: 33 }), (year, month, dayOfMonth) => {
      const at = new Date(Date.UTC(year, month - 1, dayOfMonth));
      const exists = at.getUTCFullYear() === year && at.getUTCMonth() === month - 1 && at.getUTCDate() === dayOfMonth;
      const ms = parseMs(`${year}-${two(month)}-${two(dayOfMonth)}T00:00:00Z`);
      return exists ? ms === at.getTime() : Number.isNaN(ms);
    }),
    runs,
  );
  t.pass("1,000 days");
  t.end();
});

t.test("Integers of JSON are accepted if and only if they fit, exactly, from numbers and from text", (t) => {
  const widths = [8, 16, 32, 64, 128, 256] as const;
  for (const bits of widths) {
    for (const signed of [true, false]) {
      const name = `${signed ? "int" : "uint"}${bits}` as const;
      const decode = compileDecoder(record("One", { v: c[name]() }));
      const low = signed ? -(2n ** BigInt(bits - 1)) : 0n;
      const high = signed ? 2n ** BigInt(bits - 1) - 1n : 2n ** BigInt(bits) - 1n;
      const near = fc.oneof(fc.bigInt({ min: low * 2n - 5n, max: high * 2n }), fc.bigInt({ min: -3n, max: 3n }).chain((delta) => fc.constantFrom(low + delta, high + delta, 2n ** 53n + delta)));
      fc.assert(
        fc.property(near, fc.constantFrom("", '"'), (value, quote) => {
          const out = decode(Buffer.from(`{"v":${quote}${value}${quote}}`));
          const fits = value >= low && value <= high;
          return fits ? !(out instanceof CastFailure) && BigInt(out.v) === value : out instanceof CastFailure;
        }),
        { seed, numRuns: 200 },
      );
    }
  }
  t.pass("12 widths");
  t.end();
});

t.test("Decimal text is read as BigInt arithmetic has it", (t) => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.integer({ min: -10, max: 10 }), fc.integer({ min: 0, max: 10 }), (significand, exponent, scale) => {
      const out = unscaled(`${significand}e${exponent}`, scale);
      const shift = exponent + scale;
      const unit = 10n ** BigInt(Math.abs(shift));
      if (shift >= 0) return out === significand * unit;
      return significand % unit === 0n ? out === significand / unit : out === "fraction";
    }),
    runs,
  );
  fc.assert(fc.property(double, (value) => sameNumber(String(value), value.toExponential()) && sameNumber(String(value), `${String(value)}${/[.e]/.test(String(value)) ? "" : ".000"}`)), runs);
  t.end();
});

t.test("Floats from JSON are the nearest doubles, however many digits they were written with", (t) => {
  const decode = compileDecoder(record("One", { v: c.float64() }));
  const numeric = fc.tuple(fc.boolean(), fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: 30 }), fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 30 }), fc.option(fc.integer({ min: -330, max: 330 })));
  fc.assert(
    fc.property(numeric, fc.boolean(), ([negative, whole, fraction, exponent], quoted) => {
      const literal = `${negative ? "-" : ""}${whole.replace(/^0+(?=\d)/, "")}${fraction === "" ? "" : `.${fraction}`}${exponent === null ? "" : `e${exponent}`}`;
      const out = decode(Buffer.from(quoted ? `{"v":"${literal}"}` : `{"v":${literal}}`));
      const expected = Number(literal);
      return Number.isFinite(expected) ? !(out instanceof CastFailure) && Object.is(out.v, expected) : out instanceof CastFailure;
    }),
    runs,
  );
  t.pass("1,000 literals");
  t.end();
});

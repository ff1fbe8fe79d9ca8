/** What is read straight from bytes is what the usual way reads: a decoder that has learnt layouts against one that never saw a payload. */
import fc from "fast-check";
import t from "tap";
import { c, CastFailure, compileDecoder, record } from "../../src/schema/index.ts";
import { compileQuickDecode } from "../../src/schema/quick-decoder.ts";
import { layoutOf } from "../../src/schema/quick-layout.ts";

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
t.comment(`seed ${seed}`);

const Plain = record("Plain", {
  device_id: c.string({ from: "deviceId", nonEmpty: true }),
  metric: c.lowCardinality(c.nullable(c.string())),
  seq: c.int64(),
  small: c.uint8({ maximum: 200 }),
  event_time: c.dateTime64(3, "UTC", { from: "ts" }),
  value: c.float64({ minimum: -1e9 }),
  flag: c.nullable(c.bool()),
  note: c.string({ default: "none" }),
  constructor: c.nullable(c.int32()),
  extra: c.rest(),
});

const TEXTS = ["", "dev-1", "temperature", "N/A", "é", "\\u0041", '\\"', "a\\\\b", "\u007f", "12.50", "-3", "007", "1e3", "-0", "0.1", "123456789012345678", "2026-01-01T00:00:00.000Z", "2026-02-30T00:00:00.000Z", "2026-01-01T23:59:59Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00+01:00", "2026-01-01T00:00:60.000Z", "1899-12-31T23:59:59.999Z", "2299-12-31T23:59:59.999Z", "2300-01-01T00:00:00Z", "2026-01-01T00:00:00.Z", "2024-02-29T12:00:00.1Z"];
const NUMBERS = ["0", "-0", "7", "-7", "12.5", "0.1", "-0.001", "1.0", "1e3", "1E-2", "200", "201", "999999999999999", "1000000000000000", "9007199254740993", "123456789.123456789", "1767225600000", "-2208988800001", "10413791999999", "4.35", "0.30000000000000004"];
const token = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...TEXTS).map((text) => `"${text}"`) },
  { weight: 6, arbitrary: fc.constantFrom(...NUMBERS) },
  { weight: 2, arbitrary: fc.constantFrom("true", "false", "null", "[]", "{}", "01", "+1", ".5", "1.", "nul", '"open', "-") },
  { weight: 2, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String) },
  { weight: 2, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 12 }).map((text) => JSON.stringify(text)) },
);
const NAMES = ["deviceId", "metric", "seq", "small", "ts", "value", "flag", "note", "constructor"] as const;
const GOOD: Readonly<Record<(typeof NAMES)[number], string>> = { deviceId: '"dev-1"', metric: '"cpu"', seq: "7", small: "12", ts: '"2026-01-01T00:00:00.000Z"', value: '"1.5"', flag: "true", note: '"n"', constructor: "5" };

interface Shape {
  readonly names: readonly string[];
  readonly colon: string;
  readonly comma: string;
}

function payload({ names, colon, comma }: Shape, values: Readonly<Record<string, string>>): string {
  return `{${names.map((name) => `${JSON.stringify(name)}${colon}${values[name] ?? "1"}`).join(comma)}}`;
}

const shape: fc.Arbitrary<Shape> = fc.record({
  names: fc.tuple(fc.oneof({ weight: 3, arbitrary: fc.shuffledSubarray([...NAMES], { minLength: 9 }) }, { weight: 1, arbitrary: fc.shuffledSubarray([...NAMES], { minLength: 5 }) }), fc.constantFrom([], [], ["other"], ["__proto__"])).map(([names, more]) => [...names, ...more]),
  colon: fc.constantFrom(":", ": ", " :\t"),
  comma: fc.constantFrom(",", ", ", "\n,"),
});

/** Text that shows every difference: -0, bigints, failures with their words. */
function shown(out: unknown): string {
  if (out instanceof CastFailure) return `${out.code} ${out.message}`;
  return JSON.stringify(out, (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : Object.is(value, -0) ? "-0" : value)) + String(Object.keys(out as object));
}

function damaged(text: string, at: number, how: number, byte: number): Buffer {
  const bytes = Buffer.from(text);
  const place = at % (bytes.length + 1);
  if (how === 0) return bytes.subarray(0, place);
  if (how === 1) return Buffer.concat([bytes.subarray(0, place), Buffer.of(byte), bytes.subarray(place)]);
  const copy = Buffer.from(bytes);
  if (place < copy.length) copy[place] = byte;
  return copy;
}

for (const [name, schema] of [["with the rest kept", Plain], ["without", record("PlainClosed", Object.fromEntries(Plain.columns.flatMap(({ name: column, column: type }) => (type.kind === "rest" ? [] : [[column, type]]))))]] as const) {
  t.test(`Any payload reads the same with and without a known layout, ${name}`, async (t) => {
    let quick = 0;
    fc.assert(
      fc.property(shape, fc.dictionary(fc.constantFrom(...NAMES, "other"), token, { maxKeys: 3 }), fc.nat(400), fc.nat(6), fc.nat(255), (layout, changes, at, how, byte) => {
        const learnt = compileDecoder(schema);
        const lesson = Buffer.from(payload(layout, GOOD));
        learnt(lesson);
        const text = payload(layout, { ...GOOD, ...changes });
        const bytes = how < 3 ? damaged(text, at, how, byte) : Buffer.from(text);
        const seen = layoutOf(lesson);
        const direct = seen && compileQuickDecode(schema, seen)?.(bytes, 0, bytes.length);
        if (direct !== undefined) quick++;
        const [now, usual] = [shown(learnt(bytes)), shown(compileDecoder(schema)(bytes))];
        if (now !== usual) throw new Error(`${bytes.toString("latin1")}: ${now} instead of ${usual}`);
        // Amid other bytes, what follows may go on just as the payload would have.
        const around = Buffer.concat([Buffer.from("{\"a\":1,".slice(0, at % 7)), bytes, Buffer.from(text).subarray(at % (text.length + 1))]);
        const amid = shown(learnt(around, at % 7, (at % 7) + bytes.length));
        if (amid !== usual) throw new Error(`${around.toString("latin1")} from ${at % 7}: ${amid} instead of ${usual}`);
        return direct === undefined || shown(direct) === usual;
      }),
      { seed, numRuns: 4_000 },
    );
    t.ok(quick > 150, `${quick} of 4,000 payloads were read from their bytes`);
  });
}

t.test("Decimal text reads as the double that is nearest to it", async (t) => {
  const Value = record("Value", { value: c.float64() });
  const bytes = Buffer.from('{"value":1}');
  const layout = layoutOf(bytes);
  const decode = layout && compileQuickDecode(Value, layout);
  fc.assert(
    fc.property(fc.nat({ max: 10 ** 13 }), fc.nat(13), fc.boolean(), (mantissa, point, minus) => {
      const digits = String(mantissa).padStart(point + 1, "0");
      const text = `${minus && mantissa > 0 ? "-" : ""}${digits.slice(0, digits.length - point)}${point === 0 ? "" : `.${digits.slice(digits.length - point)}`}`;
      const payload = Buffer.from(`{"value":${text}}`);
      const out = decode?.(payload, 0, payload.length) as { value: number } | undefined;
      return out !== undefined && Object.is(out.value, Number(text));
    }),
    { seed, numRuns: 5_000 },
  );
  t.pass();
});

t.test("Texts that seldom come again and texts that do are told apart from none", async (t) => {
  const Id = record("Id", { id: c.string(), kind: c.string() });
  const decode = compileDecoder(Id);
  let wrong = 0;
  for (let n = 0; n < 60_000; n++) {
    const out = decode(Buffer.from(`{"id":"id-${n}","kind":"k${n % 50}"}`));
    if (out instanceof CastFailure || out.id !== `id-${n}` || out.kind !== `k${n % 50}`) wrong++;
  }
  t.equal(wrong, 0);
});

t.test("Many layouts, and payloads that are never plain, read right too", async (t) => {
  const decode = compileDecoder(Plain);
  const shapes = fc.sample(shape, { seed, numRuns: 12 });
  let wrong = 0;
  for (let n = 0; n < 40_000; n++) {
    const layout = shapes[n % shapes.length] as Shape;
    const out = decode(Buffer.from(payload(layout, { ...GOOD, seq: String(n), deviceId: n % 3 === 0 ? '"d\\u00e9v"' : '"dev"' })));
    if (layout.names.includes("deviceId") && layout.names.includes("seq") && !(out instanceof CastFailure) && (out.seq !== BigInt(n) || out.device_id !== (n % 3 === 0 ? "dév" : "dev"))) wrong++;
  }
  t.equal(wrong, 0);
});

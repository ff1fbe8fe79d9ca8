/** Our Avro against another implementation of it: what we write is read by it as it was, and what it writes is read by us. */
import avsc from "avsc";
import { ByteWriter, c, CastFailure, compileCaster, record, type RecordSchema } from "@iot-topology/core";
import fc from "fast-check";
import t from "tap";
import { compileAvroReader } from "../../src/schema-registry/avro/avro-reader.ts";
import { toAvroSchema } from "../../src/schema-registry/avro/avro-schema.ts";
import { parseAvroType } from "../../src/schema-registry/avro/avro-type.ts";
import { compileAvroWriter } from "../../src/schema-registry/avro/avro-writer.ts";
import { ByteCursor } from "../../src/schema-registry/byte-cursor.ts";
import { All, anyRecord, seed, shown } from "./all-columns.ts";

t.comment(`seed ${seed}`);

function encode(schema: RecordSchema<unknown, unknown>, value: unknown): Buffer {
  const writer = new ByteWriter(64);
  compileAvroWriter(schema)(writer, value);
  return writer.take();
}

/** Reads bytes written with a schema's text by another schema. */
function decode<V>(written: string, schema: RecordSchema<V, unknown>, bytes: Buffer): V | CastFailure {
  const cursor = new ByteCursor();
  cursor.reset(bytes, 0);
  const plain = compileAvroReader(parseAvroType(written), schema)(cursor);
  t.equal(cursor.remaining, 0, "all bytes were read");
  return compileCaster(schema)(plain);
}

const long = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === "bigint",
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});
const independent = (schema: unknown) => avsc.Type.forSchema(JSON.parse(JSON.stringify(schema)) as never, { wrapUnions: true, typeHook: (part: unknown) => (part === "long" || (part as { type?: unknown }).type === "long" ? long : undefined) });

t.test("every record comes back from Avro as it was", (t) => {
  const text = JSON.stringify(toAvroSchema(All, { namespace: "com.example" }));
  const reader = compileAvroReader(parseAvroType(text), All);
  const write = compileAvroWriter(All);
  const cast = compileCaster(All);
  const other = independent(toAvroSchema(All));
  const cursor = new ByteCursor();
  fc.assert(
    fc.property(anyRecord, (value) => {
      const writer = new ByteWriter(64);
      write(writer, value);
      const bytes = writer.take();
      // The other implementation takes the bytes as valid for the schema, and gives the same bytes back. It loses keys named __proto__.
      if (!Object.hasOwn(value.m, "__proto__") && !other.toBuffer(other.fromBuffer(bytes)).equals(bytes)) throw new Error("the other implementation writes other bytes");
      cursor.reset(bytes, 0);
      const out = cast(reader(cursor));
      if (out instanceof CastFailure) throw new Error(out.message);
      if (cursor.remaining > 0) throw new Error("bytes are left");
      if (shown(out) !== shown(value)) throw new Error(`${shown(out)}\n!==\n${shown(value)}`);
    }),
    { seed, numRuns: 500 },
  );
  t.pass("500 records");
  t.end();
});

t.test("the schema is what the table of types says", (t) => {
  const Small = record("Small", {
    id: c.uint64(),
    price: c.decimal(10, 2, { default: "1.25" }),
    at: c.dateTime64(6, "UTC", { from: "when", description: "when it was" }),
    level: c.nullable(c.int32(), { default: 7 }),
    note: c.nullable(c.string()),
    state: c.enum8({ on: 1, off: 2 }),
    big: c.int64({ default: 9_007_199_254_740_993n }),
    more: c.rest(),
  });
  const schema = toAvroSchema(Small, { namespace: "shop" });
  t.same(JSON.parse(JSON.stringify(schema)), {
    type: "record",
    name: "Small",
    namespace: "shop",
    fields: [
      { name: "id", type: { type: "bytes", logicalType: "decimal", precision: 20, scale: 0 } },
      { name: "price", type: { type: "bytes", logicalType: "decimal", precision: 10, scale: 2 }, default: "}" },
      { name: "when", type: { type: "long", logicalType: "timestamp-micros" }, doc: "when it was" },
      { name: "level", type: ["int", "null"], default: 7 },
      { name: "note", type: ["null", "string"], default: null },
      { name: "state", type: { type: "enum", name: "Small_state", symbols: ["on", "off"] } },
      { name: "big", type: "long", default: 9_007_199_254_740_992 },
      { name: "more", type: { type: "string", logicalType: "json" }, default: "{}" },
    ],
  });
  t.match(JSON.stringify(schema), '"default":9007199254740993}', "a default beyond 2^53 is exact in the text");
  t.throws(() => toAvroSchema(record("not a name", { a: c.int8() })), { code: "SCHEMA_INVALID" });
  t.throws(() => toAvroSchema(record("Twice", { a: c.int8({ from: "b-c" }), x: c.int8({ from: "a" }) })), { code: "SCHEMA_INVALID" });
  t.end();
});

t.test("what was written with an older schema is cast by the newer one: defaults, nulls, widened types, the rest", (t) => {
  const Old = record("Reading", { id: c.string(), n: c.int32(), gone: c.float64(), more: c.rest() });
  const written = JSON.stringify(toAvroSchema(Old));
  const bytes = encode(Old, { id: "a", n: 5, gone: 1.5, more: { promoted: 3, kept: "x" } });
  const New = record("Reading", { id: c.string(), n: c.int64(), added: c.string({ default: "none" }), maybe: c.nullable(c.int8()), promoted: c.int32(), more: c.rest() });
  t.same(decode(written, New, bytes), { id: "a", n: 5n, added: "none", maybe: null, promoted: 3, more: { gone: 1.5, kept: "x" } });
  const Narrow = record("Reading", { id: c.string() });
  t.same(decode(written, Narrow, bytes), { id: "a" }, "fields that are not declared are left out");
  const Wanting = record("Reading", { id: c.string(), wanted: c.string() });
  t.match(decode(written, Wanting, bytes), { code: "CAST_FAILED", field: "wanted" });
  t.end();
});

t.test("what others write is read: nested records, recursion, references, enums, fixed, logical types, unions", (t) => {
  const schema = {
    type: "record",
    name: "Node",
    namespace: "x.y",
    fields: [
      { name: "id", type: { type: "string", logicalType: "uuid" } },
      { name: "amount", type: { type: "fixed", name: "Amount", size: 4, logicalType: "decimal", precision: 9, scale: 2 } },
      { name: "at", type: { type: "long", logicalType: "timestamp-micros" } },
      { name: "raw", type: { type: "long", logicalType: "timestamp-micros" } },
      { name: "day", type: { type: "int", logicalType: "date" } },
      { name: "any", type: ["null", "string", "long", { type: "array", items: "double" }] },
      { name: "blob", type: "bytes" },
      { name: "next", type: ["null", "Node"] },
    ],
  };
  const amount = Buffer.alloc(4);
  amount.writeInt32BE(-12_345);
  const node = { id: "0192f0c4-0000-7000-8000-000000000000", amount, at: 1_700_000_000_123_456n, raw: 7n, day: 19_000, any: { long: 9_223_372_036_854_775_807n }, blob: Buffer.from([1, 2, 255]), next: null };
  const bytes = independent(schema).toBuffer({ ...node, next: { "x.y.Node": node } });
  const Node = record("Node", {
    id: c.uuid(),
    amount: c.decimal(9, 2),
    at: c.dateTime64(6),
    ms: c.dateTime64(3, "UTC", { from: "at_ms", default: 0 }),
    raw: c.int64(),
    day: c.date(),
    any: c.int64(),
    blob: c.string(),
    next: c.nullable(c.string({ default: "" })),
    rest: c.rest(),
  });
  const Whole = record("Whole", { at: c.dateTime64(3), rest: c.rest() });
  t.same(decode(JSON.stringify(schema), Whole, bytes), {
    at: 1_700_000_000_123,
    rest: {
      id: node.id, amount: "-123.45", raw: "1970-01-01T00:00:00.000007Z", day: "2022-01-08", any: { rawJSON: "9223372036854775807" }, blob: "AQL/",
      next: { id: node.id, amount: "-123.45", at: "2023-11-14T22:13:20.123456Z", raw: "1970-01-01T00:00:00.000007Z", day: "2022-01-08", any: { rawJSON: "9223372036854775807" }, blob: "AQL/", next: null },
    },
  });
  const alone = independent(schema).toBuffer({ ...node, blob: Buffer.from("text"), next: null });
  t.match(decode(JSON.stringify(schema), Node, alone), { at: 1_700_000_000_123_456n, raw: 7n, any: 9_223_372_036_854_775_807n, amount: "-123.45", day: "2022-01-08", blob: "text", next: null });
  t.end();
});

t.test("poison is refused with a RangeError, whatever it is", (t) => {
  const Poison = record("Poison", { a: c.array(c.nullable(c.int8())), m: c.map(c.string(), c.string()), s: c.string(), e: c.enum8({ x: 1 }), u: c.uint64(), rest: c.rest() });
  const read = compileAvroReader(parseAvroType(JSON.stringify(toAvroSchema(Poison))), Poison);
  const good = encode(Poison, { a: [1, null], m: { k: "v" }, s: "text", e: "x", u: 2n ** 64n - 1n, rest: { z: 1 } });
  const cursor = new ByteCursor();
  let refused = 0;
  const tryBytes = (bytes: Buffer): void => {
    cursor.reset(bytes, 0);
    try {
      read(cursor);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      refused++;
    }
  };
  for (let length = 0; length < good.length; length++) tryBytes(good.subarray(0, length));
  t.equal(refused, good.length, "every torn record");
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => tryBytes(Buffer.from(bytes))), { seed, numRuns: 2_000 });
  const nulls = compileAvroReader(parseAvroType('{"type":"record","name":"N","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}'), Poison);
  const writer = new ByteWriter(16);
  writer.varint(2 * 2 ** 40);
  cursor.reset(writer.take(), 0);
  t.throws(() => nulls(cursor), RangeError, "elements without bytes are bounded");
  const list = '{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}';
  cursor.reset(Buffer.concat([Buffer.alloc(1_000, 2), Buffer.from([0])]), 0);
  t.throws(() => compileAvroReader(parseAvroType(list), Poison)(cursor), RangeError, "recursion is bounded");
  cursor.reset(Buffer.from([2, 2, 0]), 0);
  t.same({ ...compileAvroReader(parseAvroType(list), Poison)(cursor) }, { next: { next: { next: null } } }, "and a reader goes on after a refusal");
  t.end();
});

t.test("a value that does not fit names its field", (t) => {
  const Fit = record("Fit", { n: c.int8(), d: c.decimal(4, 2), rest: c.rest() });
  t.throws(() => encode(Fit, { n: 500, d: "1", rest: {} }), { code: "CAST_FAILED", message: /^n: / });
  t.throws(() => encode(Fit, { n: 5, d: "100.001", rest: {} }), { code: "CAST_FAILED", message: /^d: / });
  t.throws(() => encode(Fit, { n: 5, d: "1", rest: { n: 6 } }), { code: "CAST_FAILED", message: /repeats the field/ });
  t.end();
});

t.test("a wrong Avro schema is refused with its reason", (t) => {
  for (const [text, reason] of [
    ['{"type":"record","name":"A"}', /no list of fields/],
    ['"nothing"', /no type nothing/],
    ['{"type":"record","name":"A","fields":[{"name":"a","type":{"type":"record","name":"A","fields":[]}}]}', /declared twice/],
    [`${'{"type":"array","items":'.repeat(100)}"int"${"}".repeat(100)}`, /deeper/],
    ['{"type":"enum","name":"E","symbols":"x"}', /symbols/],
  ] as const) {
    t.throws(() => parseAvroType(text), reason);
  }
  t.end();
});

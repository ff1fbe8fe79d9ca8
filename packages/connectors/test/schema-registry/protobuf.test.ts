/** Protobuf: columns to messages and back, files with imports, message indexes, presence, and poison. */
import { type AnySchema, c, CastFailure, compileCaster, record, type RecordSchema } from "@iot-topology/core";
import fc from "fast-check";
import protobuf from "protobufjs";
import t from "tap";
import { parseProto } from "../../src/schema-registry/protobuf/proto-file.ts";
import { compileProtoReader } from "../../src/schema-registry/protobuf/proto-reader.ts";
import { compileProtoWriter } from "../../src/schema-registry/protobuf/proto-writer.ts";
import { messageIndexOf, readMessageIndex } from "../../src/schema-registry/wire-format.ts";
import { seed, shown } from "./all-columns.ts";

t.comment(`seed ${seed}`);

const PROTO = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
enum State { OFF = 0; ON = 1; }
message Kinds {
  int32 i8 = 1; uint32 u32 = 2; int64 i64 = 3; uint64 u64 = 4; sint64 s64 = 5; fixed64 f64 = 6; sfixed32 s32 = 7;
  string u256 = 8; string d = 9; float f = 10; double g = 11; bool b = 12; string s = 13; bytes raw = 14;
  State e = 15; google.protobuf.Timestamp at = 16; int64 at_ms = 17; string at_text = 18; string day = 19;
  optional string note = 20; repeated int64 list = 21; map<string, string> texts = 22; map<int64, uint64> by = 23; string json = 24;
}`;
const Kinds = record("Kinds", {
  i8: c.int8(), u32: c.uint32(), i64: c.int64(), u64: c.uint64(), s64: c.int64(), f64: c.uint64(), s32: c.int32(),
  u256: c.uint256(), d: c.decimal(38, 4), f: c.float32(), g: c.float64(), b: c.bool(), s: c.string(), raw: c.string(),
  e: c.enum8({ OFF: 0, ON: 1 }), at: c.dateTime64(9), atMs: c.dateTime64(3), at_text: c.dateTime64(6), day: c.date32(),
  note: c.nullable(c.string()), list: c.array(c.int64()), texts: c.map(c.string(), c.decimal(9, 2)), by: c.map(c.int64(), c.uint64()), json: c.json(),
});
const long = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const ulong = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 2n ** 64n - 1n, 2n ** 53n + 1n));
const decimal = (digits: number, scale: number) => fc.bigInt({ min: 0n, max: 10n ** BigInt(digits) - 1n }).map((n) => n.toString().padStart(scale + 1, "0").replace(new RegExp(`(\\d{${scale}})$`), ".$1"));
const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "é€😀"));
const anyKinds = fc.record({
  i8: fc.integer({ min: -128, max: 127 }), u32: fc.integer({ min: 0, max: 2 ** 32 - 1 }), i64: long, u64: ulong, s64: long, f64: ulong, s32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  u256: fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }), d: decimal(38, 4), f: fc.float({ noNaN: true, noDefaultInfinity: true }), g: fc.double({ noNaN: true, noDefaultInfinity: true }), b: fc.boolean(), s: text, raw: text,
  e: fc.constantFrom("OFF", "ON"), at: fc.bigInt({ min: -2_208_988_800_000_000_000n, max: 2n ** 63n - 1n }), atMs: fc.integer({ min: -2_208_988_800_000, max: 10_413_791_999_999 }), at_text: fc.bigInt({ min: -2_208_988_800_000_000n, max: 10_413_791_999_999_999n }), day: fc.constantFrom("1900-01-01", "2026-02-28"),
  note: fc.option(text), list: fc.array(long, { maxLength: 4 }), texts: fc.dictionary(fc.string().filter((key) => key !== "__proto__"), decimal(9, 2), { maxKeys: 3 }), by: fc.dictionary(long.map(String), ulong, { maxKeys: 3 }), json: fc.constantFrom({}, { a: [1, { b: null }] }),
});

function roundTrip<V>(proto: string, schema: RecordSchema<V, never>, value: unknown): V | CastFailure {
  const type = parseProto(proto).typeAt([0]);
  return compileCaster(schema)(compileProtoReader(type, schema)(compileProtoWriter(type, schema)(value)));
}

t.test("every record comes back from Protobuf as it was", (t) => {
  const type = parseProto(PROTO).typeAt([0]);
  const [write, read, cast] = [compileProtoWriter(type, Kinds), compileProtoReader(type, Kinds), compileCaster(Kinds)];
  fc.assert(
    fc.property(anyKinds, (value) => {
      const bytes = write(value);
      const out = cast(read(bytes));
      if (out instanceof CastFailure) throw new Error(out.message);
      if (shown(out) !== shown(value)) throw new Error(`${shown(out)}\n!==\n${shown(value)}`);
    }),
    { seed, numRuns: 300 },
  );
  t.pass("300 records");
  t.end();
});

t.test("a message is found by its index, and a file by what it imports", (t) => {
  const file = parseProto(
    `syntax = "proto3"; package a; import "b.proto"; import "google/protobuf/wrappers.proto";
     enum Before { X = 0; } message First { string id = 1; } service S {} message Second { message Inner { int32 n = 1; } enum E { Y = 0; } message Other { google.protobuf.Int64Value n = 1; Common common = 2; } Inner inner = 1; }`,
    [{ name: "b.proto", text: 'syntax = "proto3"; package a; message Common { string what = 1; }' }],
  );
  for (const [name, path] of [["First", [0]], ["a.Second", [1]], ["Second.Inner", [1, 0]], ["a.Second.Other", [1, 1]]] as const) {
    t.same(file.pathOf(name), path, name);
    t.equal(file.typeAt(path).fullName, `.a.${name.replace(/^a\./, "")}`);
  }
  t.same(file.pathOf(), [0]);
  t.throws(() => file.pathOf("Common"), /no message/, "an imported message is not the file's own");
  t.throws(() => file.typeAt([2]), RangeError);
  const Other = record("Other", { n: c.nullable(c.int64()), common: c.json() });
  const type = file.typeAt([1, 1]);
  const bytes = type.encode({ n: { value: protobuf.util.Long === undefined ? 5 : 5 }, common: { what: "x" } }).finish();
  t.same(compileCaster(Other)(compileProtoReader(type, Other)(bytes)), { n: 5n, common: { what: "x" } });
  for (const path of [[0], [1], [1, 0], [0, 0], [70, 300]]) {
    const index = messageIndexOf(path);
    t.same(readMessageIndex(Buffer.concat([index, Buffer.from("rest")])), { path, position: index.length });
  }
  t.same([...messageIndexOf([0])], [0]);
  t.same([...messageIndexOf([1])], [2, 2]);
  for (const torn of [[], [2], [4, 2], [1, 0], [255, 255, 255, 255, 15]]) t.throws(() => readMessageIndex(Buffer.from(torn)), RangeError);
  t.end();
});

t.test("what is absent takes defaults, and what has no presence is never absent", (t) => {
  const proto = 'syntax = "proto3"; message M { string id = 1; int32 n = 2; optional int32 maybe = 3; string device_id = 4; repeated string tags = 5; string extra = 6; oneof one { string left = 7; string right = 8; } }';
  const M = record("M", { id: c.string(), n: c.int32(), maybe: c.int32({ default: 7 }), deviceId: c.string(), tags: c.array(c.string()), left: c.nullable(c.string()), right: c.nullable(c.string()), rest: c.rest() });
  const read = compileProtoReader(parseProto(proto).typeAt([0]), M);
  t.same(compileCaster(M)(read(new Uint8Array())), { id: "", n: 0, maybe: 7, deviceId: "", tags: [], left: null, right: null, rest: { extra: "" } });
  const type = parseProto(proto).typeAt([0]);
  t.match(compileCaster(M)(read(type.encode({ id: "a", device_id: "d", maybe: 0, right: "" }).finish())), { id: "a", deviceId: "d", maybe: 0, left: null, right: "" });
  t.end();
});

t.test("a column that has no field, or one that does not hold it, is told before a record is written", (t) => {
  const writer = (proto: string, schema: AnySchema) => () => compileProtoWriter(parseProto(proto).typeAt([0]), schema);
  t.throws(writer('syntax = "proto3"; message M { string a = 1; }', record("M", { b: c.string() })), { code: "SCHEMA_INVALID", message: /no field for b/ });
  t.throws(writer('syntax = "proto3"; message M { repeated string a = 1; }', record("M", { a: c.string() })), { code: "SCHEMA_INVALID" });
  t.throws(writer('syntax = "proto3"; message M { int64 a = 1; }', record("M", { a: c.dateTime64(6) })), { code: "SCHEMA_INVALID", message: /too coarse/ });
  t.throws(() => roundTrip('syntax = "proto3"; message M { int32 a = 1; }', record("M", { a: c.int64() }) as never, { a: 2n ** 40n }), { code: "CAST_FAILED", message: /^a: / });
  t.throws(() => roundTrip('syntax = "proto3"; enum E { X = 0; } message M { E a = 1; }', record("M", { a: c.string() }) as never, { a: "toString" }), { code: "CAST_FAILED" });
  t.throws(() => parseProto("message {"), Error);
  t.end();
});

t.test("poison never hangs a reader or gets out as a bug", (t) => {
  const type = parseProto(PROTO).typeAt([0]);
  const read = compileProtoReader(type, Kinds);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        compileCaster(Kinds)(read(bytes));
      } catch (error) {
        if (error instanceof TypeError || !(error instanceof Error)) throw error;
      }
    }),
    { seed, numRuns: 3_000 },
  );
  const deep = parseProto('syntax = "proto3"; message L { L next = 1; }').typeAt([0]);
  let bytes = Buffer.alloc(0);
  for (let level = 0; level < 80; level++) bytes = Buffer.concat([Buffer.from([10]), Buffer.from(bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7]), bytes]);
  t.throws(() => compileProtoReader(deep, record("L", { next: c.json() }))(bytes), Error);
  t.end();
});

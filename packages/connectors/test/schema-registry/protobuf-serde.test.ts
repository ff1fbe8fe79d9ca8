import fc from "fast-check";
import t from "tap";
import { ByteWriter, type Serde } from "@iot-topology/core";
import { protobufSerde } from "@iot-topology/connectors/protobuf";

const PROTO = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "money.proto";
message Order {
  string id = 1;
  int64 seq = 2;
  uint32 count = 3;
  double weight = 4;
  float ratio = 5;
  bool paid = 6;
  bytes digest = 7;
  State state = 8;
  repeated string tags = 9;
  map<string, int32> counts = 10;
  map<int64, bool> flags = 11;
  map<bool, string> answers = 12;
  optional string note = 13;
  shop.Money total = 14;
  oneof how { string card = 15; uint64 cash = 16; }
  google.protobuf.Timestamp at = 17;
  repeated sint32 deltas = 18;
  enum State { open = 0; closed = 1; }
  message Line { string sku = 1; Line next = 2; }
  Line line = 19;
}`;
const imports = [{ name: "money.proto", text: 'syntax = "proto3"; package shop; message Money { int64 cents = 1; string currency = 2; }' }];
type Order = Readonly<Record<string, unknown>>;
const orders = protobufSerde<Order>(PROTO, { imports });
const bigOrders = protobufSerde<Order>(PROTO, { imports, longs: "bigint" });
/** What a message without any field reads as. */
const EMPTY = { id: "", seq: 0, count: 0, weight: 0, ratio: 0, paid: false, digest: Buffer.alloc(0), state: "open", tags: [], counts: {}, flags: {}, answers: {}, deltas: [] };
const order: Order = {
  id: "ü-1", seq: -9_007_199_254_740_991, count: 4_294_967_295, weight: 1.5, ratio: 0.5, paid: true, digest: Buffer.from([0, 255]), state: "closed", tags: ["a", ""],
  counts: { x: -1 }, flags: { "-5": true, "9007199254740993": false }, answers: { true: "yes", false: "no" }, note: "", total: { cents: 5, currency: "EUR" }, cash: 7,
  at: { seconds: 1_772_359_200, nanos: 5 }, deltas: [-1, 2_147_483_647], line: { sku: "s", next: { sku: "t" } },
};

function bytesOf<T>(by: Serde<T>, value: T): Buffer {
  const writer = new ByteWriter(16);
  by.encode(writer, value);
  return Buffer.from(writer.buffer.subarray(0, writer.position));
}

t.test("what is written is read back; fields without presence are always there, absent others are not", (t) => {
  t.same(orders.decode(bytesOf(orders, order)), order);
  t.same(orders.decode(Buffer.alloc(0)), EMPTY);
  t.same(orders.decode(bytesOf(orders, { note: undefined, total: null })), EMPTY);
  t.same(bytesOf(protobufSerde<object>('syntax = "proto3"; message A { int32 a = 1; }'), { a: 150 }), Buffer.from([8, 150, 1]), "the encoding guide's own bytes");
  const bytes = bytesOf(orders, order);
  const decoded = orders.decode(bytes);
  bytes.fill(0);
  t.same(decoded, order, "values do not look into the bytes");
  t.end();
});

t.test("a message is named, and another file is another form", (t) => {
  const line = protobufSerde<Order>(PROTO, { imports, message: "Order.Line" });
  t.same(line.decode(bytesOf(line, { sku: "s" })), { sku: "s" });
  t.match(orders.name, /^protobuf shop\.Order [0-9a-f]{16}$/);
  t.not(protobufSerde(PROTO.replace("id = 1", "id = 21"), { imports }).name, orders.name);
  t.equal(protobufSerde(`// a text more\n${PROTO}`, { imports }).name, orders.name);
  t.end();
});

t.test("64-bit integers are numbers that are exact, or bigints", (t) => {
  for (const seq of [2n ** 63n - 1n, -(2n ** 63n), 0n]) t.match(bigOrders.decode(bytesOf(bigOrders, { seq })), { seq });
  t.match(bigOrders.decode(bytesOf(bigOrders, { cash: 2n ** 64n - 1n })), { cash: 2n ** 64n - 1n });
  t.throws(() => orders.decode(bytesOf(bigOrders, { seq: 2n ** 60n })), { code: "INVALID_ENCODING", message: /1152921504606846976 is no safe number/ });
  t.end();
});

t.test("what the format would cut off, wrap or leave out is refused with its field", (t) => {
  for (const [value, message] of [
    [{ count: -1 }, /count is no uint32/],
    [{ count: 2 ** 32 }, /count is no uint32/],
    [{ count: 1.5 }, /count is no uint32/],
    [{ seq: 2 ** 60 }, /seq is no int64/],
    [{ cash: -1n }, /cash is no uint64/],
    [{ ratio: 1e300 }, /ratio is no float/],
    [{ weight: "1" }, /weight is no double/],
    [{ paid: 1 }, /paid is no bool/],
    [{ id: "\ud800" }, /id is no well-formed text/],
    [{ digest: "text" }, /digest is no bytes/],
    [{ state: "lost" }, /state is no State/],
    [{ tags: "a" }, /tags is no list/],
    [{ tags: ["a", 1] }, /tags\[1\] is no well-formed text/],
    [{ counts: { x: 1.5 } }, /counts\.x is no int32/],
    [{ flags: { x: true } }, /flags\.x is no int64/],
    [{ answers: { maybe: "" } }, /answers\.maybe is no bool/],
    [{ total: { cent: 1 } }, /total\.cent is no field of Money/],
    [{ card: "c", cash: 1 }, /how is given twice, as card and cash/],
    ["text", /the value is no Order/],
  ] as const) {
    t.throws(() => bytesOf(orders, value as never), { code: "CAST_FAILED", message }, JSON.stringify(value, (_key, member: unknown) => (typeof member === "bigint" ? String(member) : member)));
  }
  t.end();
});

t.test("torn and foreign bytes are refused", (t) => {
  const one = protobufSerde<object>('syntax = "proto3"; message A { string a = 1; repeated double b = 2; A c = 3; }');
  const whole = bytesOf(one, { a: "text", b: [1, 2], c: { a: "inner" } });
  const refused = Array.from({ length: whole.length }, (_, length) => {
    try {
      one.decode(whole.subarray(0, length));
      return 0;
    } catch (error) {
      t.equal((error as { code?: string }).code, "INVALID_ENCODING");
      return 1;
    }
  }).reduce<number>((sum, each) => sum + each, 0);
  t.equal(refused, whole.length - 3, "nothing, and a cut behind each of the first two fields, is a whole message; every other cut is refused");
  t.throws(() => one.decode(Buffer.from([26, 3, 10, 9, 65, 10, 8, 66, 66, 66, 66, 66, 66, 66, 66])), { code: "INVALID_ENCODING", message: /too early/ }, "a text that reaches beyond its message");
  t.throws(() => one.decode(Buffer.from([8, 5])), { code: "INVALID_ENCODING", message: /field 1 has the form 0, not 2/ }, "a number where a text belongs");
  t.same(one.decode(Buffer.from([17, 0, 0, 0, 0, 0, 0, 240, 63, 160, 6, 1])), { a: "", b: [1] }, "a list may come one by one, and fields of a later file are left out");
  t.throws(() => one.decode(Buffer.from([10, 2, 0xff, 0xfe])), { code: "INVALID_ENCODING", message: /UTF-8/ });
  t.same(one.decode(bytesOf(one, { a: "\ufffd" })), { a: "\ufffd", b: [] }, "a U+FFFD of the text's own is text");
  let deep = Buffer.alloc(0);
  for (let depth = 0; depth < 200; depth++) deep = Buffer.concat([Buffer.from([26, ...(deep.length < 128 ? [deep.length] : [(deep.length & 127) | 128, deep.length >> 7])]), deep]);
  t.throws(() => one.decode(deep), { code: "INVALID_ENCODING" }, "nested deeper than 64");
  t.end();
});

t.test("random bytes are refused or read, and nothing else is ever thrown", (t) => {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.comment(`SEED=${seed}`);
  const whole = bytesOf(orders, order);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(whole.length - 1), fc.nat(255), (random, at, byte) => {
      const flipped = Buffer.from(whole);
      flipped[at] = byte;
      for (const bytes of [Buffer.from(random), flipped]) {
        try {
          orders.decode(bytes);
        } catch (error) {
          if ((error as { code?: string }).code !== "INVALID_ENCODING") throw error;
        }
      }
    }),
    { seed, numRuns: 3_000 },
  );
  t.end();
});

t.test("a file that is none, or lacks the message, is refused where it is given", (t) => {
  t.throws(() => protobufSerde("message {"), { code: "SCHEMA_INVALID" });
  t.throws(() => protobufSerde(PROTO, { imports, message: "Bill" }), { code: "SCHEMA_INVALID", message: /no message Bill/ });
  t.throws(() => protobufSerde(PROTO), { code: "SCHEMA_INVALID" });
  t.end();
});

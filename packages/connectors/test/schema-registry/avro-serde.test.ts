import fc from "fast-check";
import t from "tap";
import { ByteWriter, type DeadLetter, defineTopology, type Serde, serde, topic } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";
import { avroSerde } from "@iot-topology/connectors/avro";

interface Order {
  readonly id: string;
  readonly cents: number;
  readonly weight: number;
  readonly paid: boolean;
  readonly state: "open" | "closed";
  readonly tags: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly note: string | null;
  readonly digest: Buffer;
}

const SCHEMA = {
  type: "record",
  name: "Order",
  namespace: "shop",
  fields: [
    { name: "id", type: "string" },
    { name: "cents", type: "long" },
    { name: "weight", type: "double" },
    { name: "paid", type: "boolean" },
    { name: "state", type: { type: "enum", name: "State", symbols: ["open", "closed"] } },
    { name: "tags", type: { type: "array", items: "string" } },
    { name: "counts", type: { type: "map", values: "int" } },
    { name: "note", type: ["null", "string"], default: null },
    { name: "digest", type: { type: "fixed", name: "Digest", size: 4 } },
  ],
};
const orders = avroSerde<Order>(SCHEMA);
const order: Order = { id: "ü-1", cents: 9_007_199_254_740_990, weight: 1.5, paid: true, state: "closed", tags: ["a", ""], counts: { x: -1, y: 2 }, note: null, digest: Buffer.from("abcd") };

function bytesOf<T>(by: Serde<T>, value: T): Buffer {
  const writer = new ByteWriter(16);
  by.encode(writer, value);
  return Buffer.from(writer.buffer.subarray(0, writer.position));
}

t.test("what is written is read back, and stands alone in its bytes", (t) => {
  t.same(orders.decode(bytesOf(orders, order)), order);
  t.same(bytesOf(avroSerde<number>('"int"'), -3), Buffer.from([5]), "the specification's own bytes");
  t.match(orders.name, /^avro shop\.Order [0-9a-f]{16}$/);
  t.equal(avroSerde({ ...SCHEMA, doc: "a text more" }).name, orders.name, "what changes no byte is no other form");
  t.not(avroSerde({ ...SCHEMA, fields: SCHEMA.fields.slice(1) }).name, orders.name);
  const bytes = bytesOf(orders, order);
  const decoded = orders.decode(bytes);
  bytes.fill(0);
  t.same(decoded, order, "values do not look into the bytes");
  t.end();
});

t.test("longs are numbers that are exact, or bigints", (t) => {
  const bigints = avroSerde<bigint>('"long"', { longs: "bigint" });
  for (const value of [0n, -1n, 5n, 2n ** 63n - 1n, -(2n ** 63n)]) t.equal(bigints.decode(bytesOf(bigints, value)), value);
  t.throws(() => bytesOf(bigints, 2n ** 63n), { code: "CAST_FAILED" });
  t.throws(() => avroSerde<number>('"long"').decode(bytesOf(bigints, 2n ** 60n)), { code: "INVALID_ENCODING" }, "a rounded number is refused");
  t.end();
});

t.test("a value that does not fit is refused with its fields", (t) => {
  t.throws(() => bytesOf(orders, { ...order, cents: 1.5, state: "lost" as never }), { code: "CAST_FAILED", message: /cents is no long; state is no shop\.State/ });
  t.throws(() => bytesOf(orders, null as never), { code: "CAST_FAILED" });
  t.end();
});

t.test("every cut of the bytes, a byte more, and every count that is no count are refused", (t) => {
  const whole = bytesOf(orders, order);
  for (let length = 0; length < whole.length; length++) t.throws(() => orders.decode(whole.subarray(0, length)), { code: "INVALID_ENCODING" }, `cut at ${length}`);
  t.throws(() => orders.decode(Buffer.concat([whole, Buffer.from([0])])), { code: "INVALID_ENCODING", message: /1 bytes follow/ });
  const nothings = avroSerde<readonly null[]>({ type: "array", items: "null" });
  t.same(nothings.decode(bytesOf(nothings, [null, null])), [null, null]);
  const many = bytesOf(avroSerde<bigint>('"long"', { longs: "bigint" }), 2n ** 50n);
  t.throws(() => nothings.decode(Buffer.concat([many, Buffer.from([0])])), { code: "INVALID_ENCODING", message: /more than 1000000 elements/ }, "2^50 elements without bytes");
  t.throws(() => avroSerde<string>('"string"').decode(Buffer.from([4, 0xff, 0xfe])), { code: "INVALID_ENCODING", message: /UTF-8/ });
  t.throws(() => avroSerde<string>('"int"').decode(many), { code: "INVALID_ENCODING" });
  t.end();
});

t.test("a type that holds itself is bounded in depth", (t) => {
  interface List {
    readonly next: List | null;
  }
  const lists = avroSerde<List>({ type: "record", name: "List", fields: [{ name: "next", type: ["null", "List"] }] });
  t.same(lists.decode(bytesOf(lists, { next: { next: null } })), { next: { next: null } });
  t.throws(() => lists.decode(Buffer.alloc(100_000, 2)), { code: "INVALID_ENCODING", message: /nested deeper/ });
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
          const value = orders.decode(bytes);
          if (!Buffer.from(bytesOf(orders, value)).equals(bytes)) orders.decode(bytesOf(orders, value));
        } catch (error) {
          if ((error as { code?: string }).code !== "INVALID_ENCODING") throw error;
        }
      }
    }),
    { seed, numRuns: 3_000 },
  );
  t.end();
});

t.test("a schema that is none is refused where it is given", (t) => {
  for (const wrong of ["{", { type: "recrod" }, { type: "record", name: "X" }]) t.throws(() => avroSerde(wrong), { code: "SCHEMA_INVALID", place: "avroSerde" });
  t.end();
});

t.test("it is the serde of a source, a store and a topic", async (t) => {
  const driver = testDriver(
    defineTopology("orders", (b) => {
      const dead = b.deadLetter("dead");
      b.source("orders").decode(orders, { name: "decode-orders", onError: dead }).groupByKey().reduce("last", { value: avroSerde<Order | null>(SCHEMA) as never }, (_, now) => now).toStream().sink(topic("last", orders), collect("rows"));
      dead.sink(collect("dead"));
    }),
  );
  driver.pipe("orders", { key: "a", value: bytesOf(orders, { ...order, cents: 1 }) }, { key: "a", value: Buffer.from("torn") });
  await driver.commit();
  driver.crash();
  driver.pipe("orders", { key: "a", value: bytesOf(orders, order) });
  await driver.commit();
  t.match(driver.values("rows"), [{ cents: 1 }, { cents: order.cents, state: "closed" }]);
  t.same((driver.values("dead") as DeadLetter[]).map(({ code, step }) => [code, step]), [["INVALID_ENCODING", "decode-orders"]]);
  t.ok(serde);
});

/** A topology with a real schema registry: formats, evolution under a running topology, what is unknown, and a registry that goes away. */
import { SchemaRegistry as OtherClient } from "@kafkajs/confluent-schema-registry";
import { c, defineTopology, type DeadLetter, openInstance, record, type SourceLog, topic, type Topology, type TopologyError } from "@iot-topology/core";
import { collect, collectConnector, memoryLog, type MemoryLog } from "@iot-topology/core/testing";
import { schemaRegistry, type SchemaRegistry, toAvroSchema, withRegistry } from "@iot-topology/connectors/schema-registry";
import t from "tap";
import { apicurio } from "./apicurio.ts";

t.setTimeout(120_000);

const Order = record("Order", {
  id: c.string({ nonEmpty: true }),
  customer: c.string({ from: "customer_id" }),
  amount: c.decimal(18, 2),
  count: c.uint64(),
  at: c.dateTime64(6, "UTC"),
  note: c.nullable(c.string()),
  tags: c.array(c.string()),
  attributes: c.map(c.string(), c.int64()),
});
const order = { id: "o-1", customer_id: "ada", amount: "12.50", count: "18446744073709551615", at: "2026-03-01T10:00:00.123456Z", note: null, tags: ["a", "é"], attributes: { x: 9_007_199_254_740_991 } };
const cast = { id: "o-1", customer: "ada", amount: "12.50", count: 2n ** 64n - 1n, at: 1_772_359_200_123_456n, note: null, tags: ["a", "é"], attributes: { x: 9_007_199_254_740_991n } };

const PROTO = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
message Header { string trace = 1; }
message Order {
  message Line { string sku = 1; }
  string id = 1;
  string customer_id = 2;
  string amount = 3;
  uint64 count = 4;
  google.protobuf.Timestamp at = 5;
  optional string note = 6;
  repeated string tags = 7;
  map<string, int64> attributes = 8;
}`;

const small = { partitions: 1, commitIntervalMs: 5 };

/** Runs a topology over a log until all is processed. */
async function runThrough(topology: Topology, log: SourceLog): Promise<readonly { readonly target: string; readonly values: readonly unknown[] }[]> {
  const connector = collectConnector();
  const instance = await openInstance(topology, { log: await withRegistry(log, topology), connectors: [connector], stateDir: null, ...small });
  instance.run();
  await instance.drain();
  await instance.stop();
  return ["orders", "dead"].map((target) => ({ target, values: connector.values(target) }));
}

const writing = (registry: SchemaRegistry, to: string, options: Parameters<SchemaRegistry["format"]>[0]): Topology =>
  defineTopology("writer", (b) => b.source("plain").cast(Order).sink(topic(to, Order, { format: registry.format(options) })));

const reading = (registry: SchemaRegistry, from: string): Topology =>
  defineTopology("reader", (b) => {
    const dead = b.deadLetter("dead");
    b.source(from).cast(Order, { format: registry.format(), onError: dead }).sink(collect("orders"));
    dead.sink(collect("dead"));
  });

async function plainLog(...topics: string[]): Promise<MemoryLog> {
  const log = memoryLog();
  for (const name of ["plain", ...topics]) await log.ensureTopic(name, { partitions: 1 });
  return log;
}

const append = (log: SourceLog, to: string, value: Uint8Array | string, timestamp = 1): Promise<unknown> => log.append(to, [{ key: null, value, timestamp }]);
const until = async (condition: () => boolean): Promise<void> => {
  for (const deadline = Date.now() + 20_000; !condition() && Date.now() < deadline; ) await new Promise((resolve) => setTimeout(resolve, 10));
};

t.test("a schema registry", async (t) => {
  const server = await apicurio(t);
  if (server === undefined) return;
  const registry = schemaRegistry({ url: server.url });
  t.teardown(() => registry.close());
  // What it gives decodes with wrapped unions and plain longs, which suits these small records.
  const other = new OtherClient({ host: server.url }, {});

  for (const [type, options] of [["avro", { namespace: "shop" }], ["json", {}], ["protobuf", { protobuf: { text: PROTO, message: "Order" } }]] as const) {
    t.test(`records come back as they were from ${type}`, async (t) => {
      const log = await plainLog(`orders-${type}`);
      await append(log, "plain", JSON.stringify(order));
      await append(log, "plain", JSON.stringify({ ...order, id: "o-2", note: "hi", count: 0, amount: "-0.01", tags: [], attributes: {} }));
      await runThrough(writing(registry, `orders-${type}`, { type, ...options }), log);
      const [first] = log.recordsOf(`orders-${type}`);
      t.equal(first?.value?.[0], 0, "the magic byte");
      const latest = await registry.latest(`orders-${type}-value`);
      t.equal(latest?.type, type);
      t.equal(first?.value?.readUInt32BE(1), latest?.id, "the id of the registered schema");
      const [orders, dead] = await runThrough(reading(registry, `orders-${type}`), log);
      t.same(dead?.values, []);
      t.strictSame(orders?.values, [cast, { ...cast, id: "o-2", note: "hi", count: 0n, amount: "-0.01", tags: [], attributes: {} }]);
    });
  }

  t.test("the library's own client reads what is written, and what it writes is read", async (t) => {
    const Small = record("Small", { id: c.string(), n: c.int32(), note: c.nullable(c.string()) });
    const log = await plainLog("small-avro", "small-json");
    await append(log, "plain", '{"id":"a","n":5,"note":"x"}');
    await runThrough(defineTopology("small", (b) => b.source("plain").cast(Small).sink(topic("small-avro", Small, { format: registry.format({ type: "avro" }) }), topic("small-json", Small, { format: registry.format({ type: "json" }) }))), log);
    for (const name of ["small-avro", "small-json"]) {
      const [written] = log.recordsOf(name);
      t.same(await other.decode(written?.value as Buffer), { id: "a", n: 5, note: "x" }, name);
      const id = written?.value?.readUInt32BE(1) ?? 0;
      await append(log, name, await other.encode(id, { id: "b", n: -1, note: null }));
    }
    const Either = defineTopology("either", (b) => b.source(["small-avro", "small-json"]).cast(Small, { format: registry.format(), onError: "fail" }).sink(collect("orders")));
    const [read] = await runThrough(Either, log);
    t.same([...(read?.values ?? [])].map((value) => (value as { id: string }).id).sort(), ["a", "a", "b", "b"]);
  });

  t.test("a subject under BACKWARD takes a field with a default, and refuses one without, by name and with the cure", async (t) => {
    const log = await plainLog("evolving");
    const of = (schema: typeof Order | ReturnType<typeof record>) => defineTopology("evolve", (b) => b.source("plain").cast(schema).sink(topic("evolving", schema, { format: registry.format({ type: "avro", compatibility: "BACKWARD" }) })));
    const V1 = record("Event", { id: c.string(), n: c.int32() });
    await withRegistry(log, of(V1));
    t.equal(await registry.compatibility("evolving-value"), "BACKWARD", "the setting of a new subject");
    await withRegistry(log, of(record("Event", { id: c.string(), n: c.int64(), more: c.string({ default: "-" }) })));
    t.equal((await registry.latest("evolving-value"))?.version, 2, "widened, and with a default: taken");
    await withRegistry(log, of(V1));
    t.equal((await registry.latest("evolving-value"))?.version, 2, "a schema that the subject has is not registered again");
    const refused = [
      [record("Event", { id: c.string(), n: c.int64(), more: c.string({ default: "-" }), must: c.uuid() }), "must", /give must a default/],
      [record("Event", { id: c.string(), n: c.string(), more: c.string({ default: "-" }) }), "n", /keep the type/],
    ] as const;
    for (const [schema, field, cure] of refused) {
      const error = (await withRegistry(log, of(schema)).then(() => undefined, (cause: unknown) => cause)) as TopologyError;
      t.match(error, { code: "SCHEMA_INCOMPATIBLE", place: `evolving-value, field ${field}`, cure, retriable: false });
    }
    t.equal((await registry.latest("evolving-value"))?.version, 2, "nothing was registered");
    const text = JSON.stringify(toAvroSchema(refused[0][0]));
    await t.rejects(registry.checkCompatibility("evolving-value", { type: "avro", text }), { code: "SCHEMA_INCOMPATIBLE" });
    await t.rejects(registry.register("evolving-value", { type: "avro", text }), { code: "SCHEMA_INCOMPATIBLE" }, "the registry itself refuses it too");
    const off = defineTopology("off", (b) => b.source("plain").cast(V1).sink(topic("never-registered", V1, { format: registry.format({ register: false }) })));
    await t.rejects(withRegistry(log, off), { code: "SCHEMA_INCOMPATIBLE", message: /`register` is off/ });
  });

  t.test("F12: the producer's schema changes under a running topology", async (t) => {
    const log = await plainLog("changing");
    const Read = record("Changing", { id: c.string(), n: c.int64(), added: c.string({ default: "absent" }), rest: c.rest() });
    const connector = collectConnector();
    const topology = defineTopology("changing", (b) => {
      const dead = b.deadLetter("dead");
      b.source("changing").cast(Read, { format: registry.format(), onError: dead }).sink(collect("orders"));
      dead.sink(collect("dead"));
    });
    const schemas = [
      { fields: [{ name: "id", type: "string" }, { name: "n", type: "int" }], value: { id: "1", n: 1 } },
      // Compatible: a new field, a wider type.
      { fields: [{ name: "id", type: "string" }, { name: "n", type: "long" }, { name: "added", type: "string", default: "" }, { name: "extra", type: "double", default: 0 }], value: { id: "2", n: 2, added: "here", extra: 1.5 } },
      // Incompatible: a field that is needed is gone, another has a type that does not fit.
      { fields: [{ name: "id", type: "string" }], value: { id: "3" } },
      { fields: [{ name: "id", type: "string" }, { name: "n", type: "string" }], value: { id: "4", n: "many" } },
    ];
    const instance = await openInstance(topology, { log: await withRegistry(log, topology), connectors: [connector], stateDir: null, ...small });
    instance.run();
    const sent: Buffer[] = [];
    for (const [index, { fields, value }] of schemas.entries()) {
      const id = await registry.register("changing-value", { type: "avro", text: JSON.stringify({ type: "record", name: "Changing", namespace: "x", fields }) });
      sent.push(await other.encode(id, value));
      await append(log, "changing", sent[index] as Buffer);
      await until(() => connector.values("orders").length + connector.values("dead").length > index);
    }
    const [first] = sent;
    await append(log, "changing", first as Buffer);
    await instance.drain();
    await instance.stop();
    t.strictSame(connector.values("orders").map((value) => ({ ...(value as object), rest: { ...(value as { rest: object }).rest } })), [
      { id: "1", n: 1n, added: "absent", rest: {} },
      { id: "2", n: 2n, added: "here", rest: { extra: 1.5 } },
      { id: "1", n: 1n, added: "absent", rest: {} },
    ]);
    const dead = connector.values("dead") as DeadLetter[];
    t.same(dead.map(({ code, field }) => [code, field]), [["CAST_FAILED", "n"], ["CAST_FAILED", "n"]]);
    t.same(dead.map(({ value }) => Buffer.from(value ?? [])), sent.slice(2), "with their bytes");
    await t.rejects(withRegistry(log, defineTopology("late", (b) => b.source("changing").cast(record("Changing", { other: c.int8() }), { format: registry.format() }).sink(collect("orders")))), { code: "SCHEMA_INCOMPATIBLE", place: "changing-value, field other" }, "a cast that no record could pass is refused at the start");
  });

  t.test("what names no known schema goes to the dead letters with its bytes, and others go on", async (t) => {
    const log = await plainLog("strange");
    await append(log, "plain", JSON.stringify(order));
    await runThrough(writing(registry, "strange", { type: "avro" }), log);
    const good = log.recordsOf("strange")[0]?.value as Buffer;
    const unknown = Buffer.concat([Buffer.from([0, 0x7f, 0, 0, 1]), Buffer.from("x")]);
    const strange = [unknown, Buffer.from('{"plain":"json"}'), Buffer.from([0, 0]), good.subarray(0, good.length - 1), Buffer.concat([good, Buffer.from([0])])];
    for (const bytes of strange) await append(log, "strange", bytes);
    await log.append("strange", [{ key: null, value: null, timestamp: 1 }]);
    await append(log, "strange", good);
    const [orders, dead] = await runThrough(reading(registry, "strange"), log);
    t.equal(orders?.values.length, 2);
    const letters = (dead?.values ?? []) as DeadLetter[];
    t.same(letters.map(({ code }) => code), ["SCHEMA_UNKNOWN", "INVALID_ENCODING", "INVALID_ENCODING", "INVALID_ENCODING", "INVALID_ENCODING", "TOMBSTONE"]);
    t.same(letters.slice(0, 5).map(({ value }) => Buffer.from(value ?? [])), strange);
  });

  t.test("a registry that is down at the start, and one that goes away in mid-run", async (t) => {
    const proxied = schemaRegistry({ url: server.proxied, attemptsMax: 2, backoffMs: 10, requestTimeoutMs: 2_000 });
    t.teardown(() => proxied.close());
    const log = await plainLog("away");
    const topology = reading(proxied, "away");
    server.setDown(true);
    await t.rejects(withRegistry(log, topology), { code: "REGISTRY_UNREACHABLE", retriable: true });
    server.setDown(false);
    const schema = (version: number) => ({ type: "avro" as const, text: JSON.stringify(toAvroSchema(Order, { namespace: `v${version}` })) });
    const ids = [await registry.register("away-value", schema(1)), await registry.register("away-value", schema(2))];
    const raw = memoryLog();
    await raw.ensureTopic("plain", { partitions: 1 });
    await raw.ensureTopic("x", { partitions: 1 });
    await append(raw, "plain", JSON.stringify(order));
    await runThrough(writing(registry, "x", { type: "avro" }), raw);
    const bytes = (id: number, name: string): Buffer => {
      const value = Buffer.from(raw.recordsOf("x")[0]?.value ?? []);
      value.writeUInt32BE(id, 1);
      value.write(name, 6);
      return value;
    };
    const connector = collectConnector();
    const before = server.requests();
    const instance = await openInstance(topology, { log: await withRegistry(log, topology), connectors: [connector], stateDir: null, ...small });
    const failures: unknown[] = [];
    instance.run();
    void instance.failed.then((error) => failures.push(error));
    await append(log, "away", bytes(ids[0] ?? 0, "k-1"));
    await until(() => connector.values("orders").length === 1);
    server.setDown(true);
    for (const name of ["k-2", "k-3"]) await append(log, "away", bytes(ids[0] ?? 0, name));
    await until(() => connector.values("orders").length === 3);
    t.equal(connector.values("orders").length, 3, "records of known schemas go on");
    await append(log, "away", bytes(ids[1] ?? 0, "k-4"));
    await new Promise((resolve) => setTimeout(resolve, 300));
    t.equal(connector.values("orders").length, 3, "one of an unknown schema waits");
    server.setDown(false);
    await instance.drain();
    await instance.stop();
    t.same(connector.values("orders").map((value) => (value as { id: string }).id), ["k-1", "k-2", "k-3", "k-4"], "and nothing is lost");
    t.same(connector.values("dead"), []);
    t.same(failures, []);
    t.ok(server.requests() - before <= 8, "each schema was asked for once, and the tries while it was away");
  });

  t.test("two subjects by record and by topic and record; names that need escapes", async (t) => {
    const log = await plainLog("named");
    const Named = record("Named", { id: c.string() });
    const to = (subject: "record" | "topic-record" | (() => string)) => defineTopology("named", (b) => b.source("plain").cast(Named).sink(topic("named", Named, { format: registry.format({ namespace: "shop", subject }) })));
    await withRegistry(log, to("record"));
    await withRegistry(log, to("topic-record"));
    await withRegistry(log, to(() => "a b/c%ü?x=1"));
    for (const subject of ["shop.Named", "named-shop.Named", "a b/c%ü?x=1"]) t.ok((await registry.latest(subject))?.id, subject);
    t.equal(await registry.latest("nobody"), undefined);
    t.equal(await registry.schema(2_000_000_000), undefined);
  });
});

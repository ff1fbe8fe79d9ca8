/** A registry and a broker, both real: records in the wire format through a replicated topology, in transactions. */
import { c, defineTopology, openInstance, record, topic } from "@iot-topology/core";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { schemaRegistry, withRegistry } from "@iot-topology/connectors/schema-registry";
import { SchemaRegistry as OtherClient } from "@kafkajs/confluent-schema-registry";
import t from "tap";
import { kafkaBrokers } from "../kafka/kafka-brokers.ts";
import { apicurio } from "./apicurio.ts";

t.setTimeout(180_000);

const Reading = record("Reading", { id: c.string(), n: c.int64(), note: c.string({ default: "-" }) });
const V1 = { type: "record", name: "Reading", fields: [{ name: "id", type: "string" }, { name: "n", type: "int" }] };
const V2 = { type: "record", name: "Reading", fields: [...V1.fields, { name: "note", type: "string", default: "" }] };

t.test("records of two schema versions go through Kafka and come out in the registered schema, each once", async (t) => {
  const kafka = await kafkaBrokers(t);
  if (kafka === undefined) return;
  const server = await apicurio(t);
  if (server === undefined) return;
  const registry = schemaRegistry({ url: server.url });
  t.teardown(() => registry.close());
  const log = await openKafkaLog({ brokers: kafka.brokers });
  t.teardown(() => log.close());
  const [from, to, dead] = [kafka.name("readings"), kafka.name("clean"), kafka.name("dead")];
  for (const name of [from, to, dead]) await log.ensureTopic(name, { partitions: 2 });

  const other = new OtherClient({ host: server.url });
  const ids: number[] = [];
  for (const schema of [V1, V2]) ids.push(await registry.register(`${from}-value`, { type: "avro", text: JSON.stringify(schema) }));
  const records = Array.from({ length: 40 }, (_, index) => ({ id: `k-${index}`, n: index, ...(index % 2 === 1 ? { note: "second" } : {}) }));
  const values = await Promise.all(records.map((value, index) => other.encode(ids[index % 2] ?? 0, value)));
  await log.append(from, [...values, Buffer.from("no header")].map((value, index) => ({ key: `k-${index}`, value, timestamp: 1_000 + index })));

  const topology = defineTopology(kafka.name("registry"), (b) => {
    const letters = b.deadLetter("letters");
    b.source(from).cast(Reading, { format: registry.format(), onError: letters }).sink(topic(to, Reading, { format: registry.format({ type: "avro" }), key: ({ id }) => id }));
    letters.map(({ code }) => ({ code })).sink(topic(dead, record("Dead", { code: c.string() })));
  });
  const instance = await openInstance(topology, { log: await withRegistry(log, topology), connectors: [], stateDir: null, createTopics: true, commitIntervalMs: 20 });
  instance.run();
  await instance.drain();
  await instance.stop();

  const read = async (name: string): Promise<Buffer[]> => {
    const out: Buffer[] = [];
    for (const partition of [0, 1]) {
      const { end } = await log.offsets(name, partition);
      for (let offset = 0; offset < end; ) {
        const { records: found, nextOffset } = await log.fetch(name, partition, offset, { recordsMax: 1_000, bytesMax: 1 << 20 });
        out.push(...found.flatMap(({ value }) => (value === null ? [] : [value])));
        offset = nextOffset;
      }
    }
    return out;
  };
  const decoded = (await Promise.all((await read(to)).map((value) => other.decode(value)))) as { id: string; n: number; note: string }[];
  t.same(decoded.map(({ id, n, note }) => ({ id, n, note })).sort((a, b) => a.n - b.n), records.map(({ id, n, note = "-" }) => ({ id, n, note })));
  t.same((await read(dead)).map((value) => JSON.parse(value.toString()) as unknown), [{ code: "INVALID_ENCODING" }]);
});

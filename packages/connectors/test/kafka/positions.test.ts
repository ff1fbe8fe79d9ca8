import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { ingestFile } from "@iot-topology/connectors/file";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { apiKeys } from "../../../../test/kafka/cutting-proxy.ts";
import { kafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import { clients, failureOf, readAll, textOf } from "./fixture.ts";

t.setTimeout(120_000);
const dir = mkdtempSync(join(tmpdir(), "iot-positions-"));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

const line = (index: number): string => JSON.stringify({ deviceId: `d${index % 7}`, seq: index });
const lines = (count: number): string => Array.from({ length: count }, (_, index) => `${line(index)}\n`).join("");

t.test("a file's records are in Kafka once, however often it is read, and whatever is lost on the way", async (t) => {
  const kafka = await kafkaBrokers(t, { proxied: true });
  const [proxy] = kafka?.proxies ?? [];
  if (kafka === undefined || proxy === undefined) return;
  for (const client of clients) {
    const positionsTopic = kafka.name("positions");
    const open = () => openKafkaLog({ brokers: kafka.brokers, client, positionsTopic, deadlineMs: 20_000 });
    const topic = kafka.name("readings");
    const path = join(dir, `${topic}.ndjson`);
    writeFileSync(path, lines(25_000));
    const log = await open();
    await log.createTopics([{ topic, partitions: 1 }]);
    const reading = { path, format: "ndjson", topic, key: "deviceId" } as const;
    const before = proxy.fired;
    proxy.arm({ apiKey: apiKeys.endTxn, at: "reply" });
    t.match(await ingestFile({ ...reading, log }), { status: "new", records: 25_000, finished: true }, client);
    t.equal(proxy.fired, before + 1, "the fault struck");
    t.match(await ingestFile({ ...reading, log }), { status: "unchanged", records: 0 });
    const second = await open();
    t.match(await ingestFile({ ...reading, log: second }), { status: "unchanged", records: 0 }, "another process knows");
    writeFileSync(path, lines(30_000));
    t.match(await ingestFile({ ...reading, log: second }), { status: "continued", records: 5_000 });
    const found = (await readAll(log, topic)).map(textOf);
    t.equal(found.length, 30_000);
    t.ok(found.every((value, index) => value === line(index)));
    await second.close();
    await log.close();
  }
});

t.test("two that read one source do not both move its position", async (t) => {
  const kafka = await kafkaBrokers(t);
  if (kafka === undefined) return;
  for (const client of clients) {
    const positionsTopic = kafka.name("positions");
    const [one, two] = await Promise.all([0, 1].map(() => openKafkaLog({ brokers: kafka.brokers, client, positionsTopic })));
    if (one === undefined || two === undefined) return;
    const topic = kafka.name("t");
    await one.createTopics([{ topic, partitions: 1 }]);
    const part = (value: string) => [{ topic, records: [{ key: null, value, timestamp: 1 }] }];
    const at = (text: string) => Buffer.from(text);
    t.equal(await one.sourcePosition("s"), undefined);
    await one.appendWithPosition("s", at("1"), part("one"), { position: undefined });
    t.equal((await failureOf(two.appendWithPosition("s", at("1"), part("other"), { position: undefined }))).code, "PRODUCER_FENCED", "it was moved");
    await two.appendWithPosition("s", at("2"), part("two"), { position: at("1") });
    t.equal((await failureOf(one.appendWithPosition("s", at("2"), part("again"), { position: at("1") }))).code, "PRODUCER_FENCED", "another took over");
    t.equal((await one.sourcePosition("s"))?.toString(), "2");
    await one.appendWithPosition("r", at("9"), part("three"));
    const all: [string, string][] = [];
    for await (const [source, position] of two.sourcePositions()) all.push([source, position.toString()]);
    t.same(all, [["r", "9"], ["s", "2"]]);
    t.same((await readAll(one, topic)).map(textOf), ["one", "two", "three"]);
    await Promise.all([one.close(), two.close()]);
  }
});

t.test("what Apache's producer compresses is read, and what we compress Apache's consumer reads", async (t) => {
  const kafka = await kafkaBrokers(t);
  if (kafka?.apache === undefined) return;
  const log = await openKafkaLog({ brokers: kafka.brokers });
  // Some of it repeats, some does not.
  const values = Array.from({ length: 3_000 }, (_, index) => `${index}:${"reading ".repeat(index % 40)}${Math.imul(index, 2_654_435_761).toString(36)}`);
  for (const codec of ["gzip", "snappy", "lz4", "zstd"]) {
    const topic = kafka.name(codec);
    await log.createTopics([{ topic, partitions: 1 }]);
    await kafka.apache.run("ConsoleProducer", ["--topic", topic, "--compression-codec", codec, "--batch-size", "200000", "--timeout", "200"], `${values.join("\n")}\n`);
    t.same((await readAll(log, topic)).map(textOf), values, codec);
  }
  await log.close();
  for (const compression of ["gzip", "zstd"] as const) {
    const topic = kafka.name(compression);
    const writer = await openKafkaLog({ brokers: kafka.brokers, compression });
    await writer.createTopics([{ topic, partitions: 1 }]);
    await writer.append(topic, values.map((value) => ({ key: "k", value, timestamp: 1_000 })));
    t.same((await readAll(writer, topic)).map(textOf), values);
    t.same((await kafka.apache.consume(topic, { count: values.length })).map(({ value }) => value), values, compression);
    await writer.close();
  }
});

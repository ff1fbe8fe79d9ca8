/** docs/schema-registry.md shows the example as it is and the schema as it comes out, and the example runs. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openInstance } from "@iot-topology/core";
import { memoryLog } from "@iot-topology/core/testing";
import { schemaRegistry, toAvroSchema, toJsonSchema, withRegistry } from "@iot-topology/connectors/schema-registry";
import t from "tap";
import { runCli } from "../iot/cli.ts";
import { apicurio } from "./apicurio.ts";

t.setTimeout(120_000);
const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const blocks = (language: string): readonly string[] => [...read("docs/schema-registry.md").matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, "gm"))].map((match) => match[1] ?? "");

t.test("the documentation's example is the file", (t) => {
  t.equal(blocks("ts")[0], read("examples/04-schema-registry/topology.ts"));
  t.end();
});

t.test("04: orders in each format go through the example, and what cannot be read has its reason", async (t) => {
  const server = await apicurio(t);
  if (server === undefined) return;
  process.env["SCHEMA_REGISTRY_URL"] = server.url;
  const { default: topology, Order } = await import("../../examples/04-schema-registry/topology.ts");
  t.same(JSON.parse(JSON.stringify(toAvroSchema(Order, { namespace: "shop" }))), JSON.parse(blocks("json")[0] ?? ""), "the documentation's schema is what comes out");
  const registry = schemaRegistry({ url: server.url });
  t.teardown(() => registry.close());
  const log = memoryLog();
  for (const topic of ["orders", "paid-orders", "dead-orders"]) await log.ensureTopic(topic, { partitions: 1 });
  const id = await registry.register("orders-value", { type: "json", text: JSON.stringify(toJsonSchema(Order)) });
  const value = (order: object): Buffer => {
    const header = Buffer.alloc(5);
    header.writeUInt32BE(id, 1);
    return Buffer.concat([header, Buffer.from(JSON.stringify(order))]);
  };
  const order = { id: "o-1", amount: 12.5, at: "2026-03-01T10:00:00Z", status: "paid" };
  await log.append("orders", [value(order), value({ ...order, id: "o-2", status: "open" }), value({ ...order, id: "" }), Buffer.from("{}")].map((bytes) => ({ key: null, value: bytes, timestamp: 1 })));
  const instance = await openInstance(topology, { log: await withRegistry(log, topology), connectors: [], stateDir: null });
  instance.run();
  await instance.drain();
  await instance.stop();
  t.equal(log.recordsOf("paid-orders").length, 1);
  t.same(log.recordsOf("dead-orders").map(({ value: dead }) => (JSON.parse(String(dead)) as { code: string }).code), ["CAST_FAILED", "INVALID_ENCODING"]);
  const latest = await registry.latest("paid-orders-value");
  t.equal(log.recordsOf("paid-orders")[0]?.value?.readUInt32BE(1), latest?.id);
  t.equal(await registry.compatibility("paid-orders-value"), "BACKWARD");

  // The command prepares the formats by itself. A replay file holds plain JSON, which is not in the wire format.
  const folder = mkdtempSync(join(tmpdir(), "iot-topology-registry-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "orders.ndjson"), `${JSON.stringify({ topic: "orders", key: "o-1", ts: 1_772_359_200_000, payload: JSON.stringify(order) })}\n`);
  const { code, stderr, stdout } = await runCli(["start", fileURLToPath(new URL("../../examples/04-schema-registry/topology.ts", import.meta.url)), "--replay", join(folder, "orders.ndjson"), "--until-end", "--data", join(folder, "data")]);
  t.equal(code, 0, stderr);
  t.match(stdout + stderr, /dead/i);
});

import { c, defineTopology, record, topic, type Topology } from "@iot-topology/core";
import { schemaRegistry } from "@iot-topology/connectors/schema-registry";

const registry = schemaRegistry({ url: process.env["SCHEMA_REGISTRY_URL"] ?? "http://127.0.0.1:8081" });

export const Order = record("Order", {
  id: c.string({ nonEmpty: true }),
  amount: c.decimal(12, 2),
  at: c.dateTime64(3, "UTC"),
  status: c.enum8({ open: 1, paid: 2 }, { default: "open" }),
  note: c.nullable(c.string()),
});

/** Orders in Avro, JSON or Protobuf, whichever each was written in; paid ones go on as Avro. */
const topology: Topology = defineTopology("paid-orders", (t) => {
  const dead = t.deadLetter("dead-orders");
  t.source("orders")
    .cast(Order, { format: registry.format(), timestamp: "at", onError: dead })
    .filter((order) => order.status === "paid")
    .sink(topic("paid-orders", Order, { format: registry.format({ type: "avro", namespace: "shop", compatibility: "BACKWARD" }) }));
  dead.map(({ code, message, offset }) => ({ code, message, offset: BigInt(offset) })).sink(topic("dead-orders", record("DeadOrder", { code: c.string(), message: c.string(), offset: c.uint64() })));
});
export default topology;

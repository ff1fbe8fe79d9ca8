import { c, record, type Infer } from "@iot-topology/core";

/** The whole state of a device, gateway or site at a moment, as it comes to `iot.entities`. */
export const Entity = record("Entity", {
  entity: c.lowCardinality(c.string({ nonEmpty: true })),
  id: c.string({ nonEmpty: true }),
  event_time: c.dateTime64(3, "UTC", { from: "ts" }),
  attributes: c.map(c.string(), c.string()),
  relationships: c.map(c.string(), c.string()),
});
export type Entity = Infer<typeof Entity>;

import { c, record, type Infer } from "@iot-topology/core";

/** A measurement, as devices send it to `iot.readings`. What it does not name is kept in `extra`. */
export const Reading = record("Reading", {
  device_id: c.string({ from: "deviceId", nonEmpty: true }),
  metric: c.lowCardinality(c.string({ nonEmpty: true })),
  seq: c.uint64(),
  event_time: c.dateTime64(3, "UTC", { from: "ts" }),
  value: c.float64(),
  unit: c.lowCardinality(c.string()),
  extra: c.rest(),
});
export type Reading = Infer<typeof Reading>;

/** A row of the engine's windows over readings; `updates` is the version by which the newest row of a window stands. */
export const ReadingWindow = record("ReadingWindow", {
  window_start: c.dateTime64(3, "UTC"),
  device_id: c.string(),
  metric: c.lowCardinality(c.string()),
  n: c.uint64(),
  min: c.float64(),
  max: c.float64(),
  sum: c.float64(),
  avg: c.float64(),
  updates: c.uint64(),
});

import { avg, c, count, defineTopology, max, minutes, record, tumbling, type Topology } from "@iot-topology/core";
import { clickhouse } from "@iot-topology/connectors/clickhouse";

const Temperature = record("Temperature", {
  room: c.string({ nonEmpty: true }),
  celsius: c.float64(),
  at: c.dateTime64(3, "UTC"),
});

const TenMinutes = record("TenMinutes", {
  room: c.string(),
  window_start: c.dateTime64(3, "UTC"),
  window_end: c.dateTime64(3, "UTC"),
  n: c.uint64(),
  highest: c.float64(),
  mean: c.float64(),
  updates: c.uint64(),
});

/** Windows of ten minutes that wait twenty minutes for stragglers; what comes later has a table of its own. */
const topology: Topology = defineTopology("rooms", (t) => {
  const windows = t
    .source("temperatures")
    .cast(Temperature, { timestamp: "at", partitionedBy: "room", onError: "skip" })
    .groupBy("room")
    .windowed(tumbling(minutes(10), { grace: minutes(20) }))
    .aggregate("ten-minutes", { n: count(), highest: max("celsius"), mean: avg("celsius") });
  windows.sink(clickhouse.upsert("ten_minutes", TenMinutes, { key: ["room", "window_start"], version: "updates" }));
  windows.late.sink(clickhouse.history("late_temperatures", Temperature, { orderBy: ["room", "at"] }));
});
export default topology;

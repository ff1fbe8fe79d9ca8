/** What threads are given: a topology with two parts, of which one reads what the other writes. */
import { count, defineTopology, hours, sum, tumbling, type Topology } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";
import { Event } from "./plant-events.ts";

const topology: Topology = defineTopology("plant-threads", (b) => {
  const dead = b.deadLetter("dead");
  dead.sink(collect("dead"));
  const unique = b.source("events").cast(Event, { timestamp: "at", partitionedBy: "id", onError: dead }).dedup("seen", { by: ["id", "seq"] });
  unique.sink(collect("history"));
  unique.groupBy("id").windowed(tumbling(hours(1), { grace: "unbounded" })).aggregate("hourly", { n: count(), total: sum("value") }).sink(collect("hourly"));
  unique.repartition("by-seq", { by: ["seq"], partitions: 2 }).groupBy("seq").aggregate("a-seq", { n: count() }).sink(collect("a-seq"));
});

export default topology;

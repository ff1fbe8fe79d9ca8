import { c, defineTopology, record, type Topology } from "@iot-topology/core";
import { clickhouse } from "@iot-topology/connectors/clickhouse";

const Click = record("Click", {
  user: c.string({ nonEmpty: true }),
  page: c.lowCardinality(c.string()),
  at: c.dateTime64(3, "UTC"),
});

// npx iot-topology start examples/01-first-topology/topology.ts --replay examples/01-first-topology/clicks.ndjson --until-end
const topology: Topology = defineTopology("clicks", (t) => {
  const dead = t.deadLetter("dead-letters");
  dead.sink(clickhouse.deadLetters("dead_letters"));
  t.source("clicks")
    .cast(Click, { timestamp: "at", onError: dead })
    .dedup("seen-clicks", { by: ["user", "page", "at"] })
    .sink(clickhouse.history("clicks", Click, { orderBy: ["user", "at", "page"] }));
});
export default topology;

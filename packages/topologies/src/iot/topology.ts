import { avg, count, days, defineTopology, hours, max, min, minutes, sum, tumbling, type Topology } from "@iot-topology/core";
import { clickhouse } from "@iot-topology/connectors/clickhouse";
import { Entity } from "./entity.ts";
import { Reading, ReadingWindow } from "./reading.ts";

const statistics = { n: count(), min: min("value"), max: max("value"), sum: sum("value"), avg: avg("value") } as const;
const series = ["device_id", "metric"] as const;
const thing = ["entity", "id"] as const;
const byReadingTime = { by: series, newest: ["event_time", "seq"] } as const;
const byEntityTime = { by: thing, newest: ["event_time"] } as const;
const window = { time: "event_time", by: series, aggregates: statistics } as const;

/** Readings come up to four days late and replays in any order, so windows and identities are kept for good: hours of a fleet and its changes of state, both few. */
const ACCEPTED = { "windows-1h": ["STATE_UNBOUNDED"], "seen-entities": ["STATE_UNBOUNDED"] } as const;

/**
 * The IoT load: readings and entity states from two topics into the ClickHouse database `iot`, each with its history, its latest
 * values, its values as they were known at any moment, and for readings the statistics of minutes, hours and days.
 */
const iot: Topology = defineTopology("iot", { accepts: ACCEPTED }, (t) => {
  const dead = t.deadLetter("dead-letters");
  dead.sink(clickhouse.deadLetters("dead_letters"));

  const readings = t
    .source("iot.readings")
    .cast(Reading, { timestamp: "event_time", partitionedBy: "device_id", onError: dead })
    .dedup("seen-readings", { by: series, sequence: "seq" });
  readings.sink(
    clickhouse.history("readings", Reading, {
      orderBy: [...series, "event_time", "seq"],
      latest: [{ view: "readings_latest", ...byReadingTime }],
      windows: [
        { view: "readings_1m", every: minutes(1), ...window },
        { view: "readings_1h", every: hours(1), ...window },
        { view: "readings_1d", every: days(1), ...window },
      ],
      asOfDaily: [{ table: "readings_as_of_daily", ...byReadingTime }],
      asOf: [{ view: "readings_as_of", ...byReadingTime }],
    }),
  );

  // The same hours from the engine; a window never closes.
  readings
    .groupBy(...series)
    .windowed(tumbling(hours(1), { grace: "unbounded" }))
    .aggregate("windows-1h", statistics)
    .sink(clickhouse.upsert("windows_1h", ReadingWindow, { key: [...series, "window_start"], version: "updates" }));

  t.source("iot.entities")
    .cast(Entity, { timestamp: "event_time", onError: dead })
    .dedup("seen-entities", { by: [...thing, "event_time"] })
    .sink(
      clickhouse.history("entities", Entity, {
        orderBy: [...thing, "event_time"],
        latest: [{ view: "entities_latest", ...byEntityTime }],
        asOfDaily: [{ table: "entities_as_of_daily", ...byEntityTime }],
        asOf: [{ view: "entities_as_of", ...byEntityTime }],
        views: [
          {
            view: "relationships_latest",
            select: `SELECT entity, id, relationship.1 AS relation, relationship.2 AS related_id, event_time
                     FROM {entities_latest} ARRAY JOIN CAST(relationships, 'Array(Tuple(String, String))') AS relationship`,
          },
        ],
      }),
    );
});

export default iot;

/**
 * The topology under fault: two parts with a repartition between them, three stores, five topics of output, and on request a ClickHouse history with two
 * views. Each run has names of its own, so that runs share a broker.
 *
 *   input -> cast -> filter -> dedup "seen" -> clean
 *                                           -> device-hours (grace of two hours) -> device-hours, late
 *                                           -> repartition "by-site" -> site-hours -> site-hours
 *                                           -> readings in ClickHouse, readings_1h, readings_latest
 */
import { clickhouse } from "@iot-topology/connectors/clickhouse";
import { c, count, defineTopology, hours, max, min, record, sum, topic, type Topology, tumbling } from "@iot-topology/core";

export const PARTITIONS = 4;
/** Records with this value are filtered out. */
export const FILTERED_VALUE = 13;
export const DEVICE_GRACE_HOURS = 2;
export const SITE_HOURS = 6;

/** How a run's topology differs from the plain one. */
export interface Variant {
  /** Adds the ClickHouse history. */
  readonly clickhouse?: boolean;
  readonly version?: number;
  /** `wider` reads one more field, which old records lack (compatible); `other` has one more store (another shape). */
  readonly change?: "wider" | "other";
}

const event = {
  device: c.string(),
  seq: c.uint32(),
  site: c.string(),
  value: c.float64(),
  at: c.dateTime64(3, "UTC"),
} as const;
const Event = record("Event", event);
const WiderEvent = record("Event", { ...event, unit: c.string({ default: "none" }) });
const Refused = record("Refused", { partition: c.uint32(), offset: c.uint32(), code: c.string() });
const DeviceHours = record("DeviceHours", { device: c.string(), window_start: c.dateTime64(3, "UTC"), n: c.uint32(), total: c.float64(), updates: c.uint32() });
const SiteHours = record("SiteHours", { site: c.string(), window_start: c.dateTime64(3, "UTC"), n: c.uint32(), total: c.float64(), low: c.float64(), high: c.float64(), updates: c.uint32() });
const Count = record("Count", { site: c.string(), n: c.uint32(), updates: c.uint32() });

/** The outputs of the topology, each a topic of its own. */
export const OUTPUTS = ["clean", "dead", "device-hours", "late", "site-hours"] as const;
export type Output = (typeof OUTPUTS)[number];

/** A run's topics by what they hold. */
export const topicOf = (name: string, what: "input" | Output): string => `${name}.${what}`;
export const repartitionOf = (name: string): string => `${name}-by-site-repartition`;

/** The topology of a run. */
export function faultTopology(name: string, variant: Variant = {}): Topology {
  return defineTopology(name, variant.version === undefined ? {} : { version: variant.version }, (t) => {
    const out = (what: Output): string => topicOf(name, what);
    const schema = variant.change === "wider" ? (WiderEvent as unknown as typeof Event) : Event;
    const dead = t.deadLetter("refused");
    dead.map(({ partition, offset, code }) => ({ partition, offset, code }), { name: "refused-row" }).sink(topic(out("dead"), Refused));
    const unique = t
      .source(topicOf(name, "input"))
      .cast(schema, { timestamp: "at", partitionedBy: "device", onError: dead })
      .filter(({ value }) => value !== FILTERED_VALUE)
      .dedup("seen", { by: ["device", "seq"] });
    unique.sink(topic(out("clean"), Event));
    const deviceHours = unique.groupBy("device").windowed(tumbling(hours(1), { grace: hours(DEVICE_GRACE_HOURS) })).aggregate("device-hours", { n: count(), total: sum("value") });
    deviceHours.sink(topic(out("device-hours"), DeviceHours));
    deviceHours.late.sink(topic(out("late"), Event));
    // Its own schema, so that records on their way are read by a version whose events have more fields.
    const bySite = unique.repartition("by-site", { by: ["site"], schema: Event });
    bySite
      .groupBy("site")
      .windowed(tumbling(hours(SITE_HOURS), { grace: "unbounded" }))
      .aggregate("site-hours", { n: count(), total: sum("value"), low: min("value"), high: max("value") })
      .sink(topic(out("site-hours"), SiteHours));
    if (variant.change === "other") bySite.groupBy("site").count("site-counts").sink(topic(`${name}.site-counts`, Count));
    if (variant.clickhouse === true) {
      unique.sink(
        clickhouse.history("readings", Event, {
          orderBy: ["device", "at", "seq"],
          latest: [{ view: "readings_latest", by: ["device"], newest: ["at", "seq"] }],
          windows: [{ view: "readings_1h", every: hours(1), time: "at", by: ["device"], aggregates: { n: count(), total: sum("value"), high: max("value") } }],
        }),
      );
    }
  });
}

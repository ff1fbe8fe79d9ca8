import { avg, c, count, defineTopology, max, min, minutes, record, seconds, type SinkSpec, sum, type Topology, topic, tumbling } from "@iot-topology/core";

/** The reading of the benchmark's input. */
export const Sensor = record("Sensor", {
  device_id: c.string({ from: "deviceId", nonEmpty: true }),
  metric: c.lowCardinality(c.string({ nonEmpty: true })),
  seq: c.int64(),
  event_time: c.dateTime64(3, "UTC", { from: "ts" }),
  value: c.float64(),
  unit: c.string(),
  site: c.string(),
});
type SensorIn = { readonly device_id: string; readonly metric: string; readonly seq: bigint; readonly event_time: number; readonly value: number; readonly unit: string; readonly site: string };

const Minute = record("Minute", {
  device_id: c.string(),
  window_start: c.dateTime64(3, "UTC"),
  n: c.uint64(),
  sum: c.float64(),
  min: c.float64(),
  max: c.float64(),
});

/** Which dedup the run uses: a key a reading (as the Kafka Streams peer does), or ranges of sequence numbers. */
export type DedupForm = "keys" | "ranges";

/** Parse and cast, drop malformed, dedup by (device, seq), clean records to a sink, tumbling minutes to another: the peer's work. */
export function sensorTopology(form: DedupForm, clean?: SinkSpec<SensorIn>): Topology {
  return defineTopology(`sensor-${form}`, (t) => {
    const readings = t.source("sensor-raw").cast(Sensor, { timestamp: "event_time", partitionedBy: "device_id", onError: "skip" });
    const unique = form === "keys" ? readings.dedup("dedup", { by: ["device_id", "seq"] }) : readings.dedup("dedup", { by: ["device_id"], sequence: "seq" });
    unique.sink(clean ?? topic("sensor-clean", Sensor, { key: (value) => value.device_id }));
    unique
      .groupBy("device_id")
      .windowed(tumbling(minutes(1), { grace: seconds(30) }))
      .aggregate("agg1m", { n: count(), sum: sum("value"), min: min("value"), max: max("value"), mean: avg("value") })
      .sink(topic("sensor-1m", Minute, { key: (value) => value.device_id }));
  });
}

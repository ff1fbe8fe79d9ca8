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

/** The topology's name and those of its topics, where several runs share a log. */
export interface SensorNames {
  readonly topology: string;
  readonly raw: string;
  readonly clean: string;
  readonly minute: string;
}

/** Parse and cast, drop malformed, dedup by (device, seq), clean records to a sink, tumbling minutes to another: the peer's work. */
export function sensorTopology(form: DedupForm, clean?: SinkSpec<SensorIn>, names: SensorNames = { topology: `sensor-${form}`, raw: "sensor-raw", clean: "sensor-clean", minute: "sensor-1m" }): Topology {
  return defineTopology(names.topology, (t) => {
    const readings = t.source(names.raw).cast(Sensor, { timestamp: "event_time", partitionedBy: "device_id", onError: "skip" });
    const unique = form === "keys" ? readings.dedup("dedup", { by: ["device_id", "seq"] }) : readings.dedup("dedup", { by: ["device_id"], sequence: "seq" });
    unique.sink(clean ?? topic(names.clean, Sensor, { key: (value) => value.device_id }));
    unique
      .groupBy("device_id")
      .windowed(tumbling(minutes(1), { grace: seconds(30) }))
      .aggregate("agg1m", { n: count(), sum: sum("value"), min: min("value"), max: max("value"), mean: avg("value") })
      .sink(topic(names.minute, Minute, { key: (value) => value.device_id }));
  });
}

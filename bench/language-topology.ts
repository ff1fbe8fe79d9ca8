/** The suites of the language beyond the peer's work: a join of two streams, and session windows. */
import { defineTopology, joinWindow, seconds, serde, session, type Topology } from "@iot-topology/core";
import { nullJson } from "./null-sink.ts";
import { Sensor } from "./topology.ts";

/** Temperatures joined with the humidities of the same device within five seconds. */
export const joinTopology: Topology = defineTopology("sensor-join", (t) => {
  const readings = t.source("sensor-raw").cast(Sensor, { timestamp: "event_time", partitionedBy: "device_id", onError: "skip" });
  const humidity = readings.filter(({ metric }) => metric === "humidity");
  readings
    .filter(({ metric }) => metric === "temperature")
    .join(humidity, (left, right) => ({ device_id: left.device_id, at: left.event_time, temperature: left.value, humidity: right.value }), {
      name: "pairs",
      within: joinWindow({ before: seconds(5), after: seconds(5), grace: seconds(5) }),
      left: serde.binary(Sensor),
      right: serde.binary(Sensor),
    })
    .sink(nullJson("pairs"));
});

/** Sessions of a device: readings no more than ten seconds apart, counted, each change sent on. */
export const sessionTopology: Topology = defineTopology("sensor-session", (t) => {
  t.source("sensor-raw")
    .cast(Sensor, { timestamp: "event_time", partitionedBy: "device_id", onError: "skip" })
    .groupByKey()
    .windowed(session(seconds(10), { grace: seconds(5) }))
    .count("sessions")
    .toStream()
    .sink(nullJson("sessions"));
});

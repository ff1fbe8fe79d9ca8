/** What the benchmark's threads load. */
import type { Topology } from "@iot-topology/core";
import { nullClean } from "./null-sink.ts";
import { type DedupForm, sensorTopology } from "./topology.ts";

export default (form: unknown): Topology => sensorTopology(form as DedupForm, nullClean);

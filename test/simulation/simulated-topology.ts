import type { Topology } from "@iot-topology/core";
import type { SimulationOptions } from "@iot-topology/core/testing";

/** A topology with its model, as `npm run simulate` runs it. */
export interface SimulatedTopology extends Pick<SimulationOptions, "inputs" | "model" | "partitions" | "modes"> {
  readonly name: string;
  readonly topology: Topology;
}

import type { Topology } from "@iot-topology/core";
import type { SimulatedRecord, SimulationOptions, SimulationRandom } from "@iot-topology/core/testing";

/** A topology with its model, as `npm run simulate` runs it. */
export interface SimulatedTopology extends Pick<SimulationOptions, "model" | "partitions" | "modes"> {
  readonly name: string;
  /** Where records carry numbers that rise, the first is behind `numbersFrom`. */
  readonly inputs: (random: SimulationRandom, numbersFrom?: number) => readonly SimulatedRecord[];
  readonly topology: Topology;
}

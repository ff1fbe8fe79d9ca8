/** Ready topologies. Each has an entry of its own too: `iot-topology/iot`. */
export * from "./iot/index.ts";

import { compileRowEncoder, type InferInput, type RowEncoder, type SinkConnector, type SinkSpec } from "@iot-topology/core";
import { Sensor } from "./topology.ts";

type SensorIn = InferInput<typeof Sensor>;

/** Rows as RowBinary, sealed and committed like any other, and acknowledged at once: what the engine costs without its receivers. */
export const nullClean: SinkSpec<SensorIn> = Object.freeze({
  kind: "sink",
  connector: "null",
  target: "sensor-clean",
  guarantee: Object.freeze({ level: "exactly-once", by: "nothing is kept" } as const),
  summary: "nowhere",
  rebuildable: "by-key",
  dependents: Object.freeze([]),
  problems: Object.freeze([]),
  declaration: undefined,
  encoder: (): RowEncoder<SensorIn> => {
    const encode = compileRowEncoder(Sensor);
    return (writer, value) => encode(writer, value);
  },
});

/** Counts what it is given. */
export function nullConnector(): SinkConnector & { readonly totals: { rows: number; bytes: number } } {
  const totals = { rows: 0, bytes: 0 };
  return {
    name: "null",
    totals,
    open: (_context, specs) =>
      Promise.resolve(
        specs.map(() => ({
          deliver(batch) {
            totals.rows += batch.rowCount;
            totals.bytes += batch.bytes.length;
            return Promise.resolve();
          },
          settle: () => Promise.resolve(),
        })),
      ),
    reset: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

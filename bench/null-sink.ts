import { compileRowEncoder, type InferInput, type RowEncoder, type SinkConnector, type SinkSpec } from "@iot-topology/core";
import { Sensor } from "./topology.ts";

type SensorIn = InferInput<typeof Sensor>;

/** Rows sealed and committed like any other, and acknowledged at once: what the engine costs without its receivers. */
export function nullSink<V>(target: string, encoder: () => RowEncoder<V>): SinkSpec<V> {
  return Object.freeze({
    kind: "sink",
    connector: "null",
    target,
    guarantee: Object.freeze({ level: "exactly-once", by: "nothing is kept" } as const),
    summary: "nowhere",
    rebuildable: "by-key",
    dependents: Object.freeze([]),
    problems: Object.freeze([]),
    declaration: undefined,
    encoder,
  });
}

/** Readings as RowBinary. */
export const nullClean: SinkSpec<SensorIn> = nullSink("sensor-clean", () => {
  const encode = compileRowEncoder(Sensor);
  return (writer, value) => encode(writer, value);
});

/** Values as JSON. */
export const nullJson = (target: string): SinkSpec<unknown> => nullSink(target, () => (writer, value) => writer.text(JSON.stringify(value)));

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

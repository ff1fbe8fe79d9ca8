/** What any right program finds in the input, by a model of a few lines that knows neither Kafka nor the engine. */
import { sensorData } from "../sensor-data.ts";

export const SEED = 42;
const MINUTE_MS = 60_000;

/** The outputs' content as numbers: `check` of the meter says the same of what was written. */
export interface Outputs {
  readonly clean: number;
  readonly windows: number;
  readonly n: number;
  readonly sum: number;
  /** The sum over all windows of their least, and of their greatest value. */
  readonly min: number;
  readonly max: number;
}

export function expectedOutputs(records: number): Outputs & { readonly malformed: number; readonly repeated: number } {
  const seen = new Set<string>();
  const windows = new Map<string, { n: number; sum: number; min: number; max: number }>();
  let malformed = 0;
  let repeated = 0;
  for (const { value } of sensorData(records, SEED)) {
    let reading: { deviceId: string; seq: number; ts: string; value: string };
    try {
      reading = JSON.parse(value) as typeof reading;
    } catch {
      malformed++;
      continue;
    }
    const number = Number(reading.value);
    if (Number.isNaN(number)) {
      malformed++;
      continue;
    }
    const name = `${reading.deviceId}/${reading.seq}`;
    if (seen.has(name)) {
      repeated++;
      continue;
    }
    seen.add(name);
    const window = `${reading.deviceId}@${Math.floor(Date.parse(reading.ts) / MINUTE_MS)}`;
    const known = windows.get(window);
    if (known === undefined) windows.set(window, { n: 1, sum: number, min: number, max: number });
    else {
      known.n++;
      known.sum += number;
      known.min = Math.min(known.min, number);
      known.max = Math.max(known.max, number);
    }
  }
  const total = (of: (window: { n: number; sum: number; min: number; max: number }) => number): number => [...windows.values()].reduce((sum, each) => sum + of(each), 0);
  return { malformed, repeated, clean: seen.size, windows: windows.size, n: total((each) => each.n), sum: total((each) => each.sum), min: total((each) => each.min), max: total((each) => each.max) };
}

import type { EmbeddedLog } from "@iot-topology/connectors/embedded-log";

const PARTITIONS = 4;
const LIMITS = { recordsMax: 5_000, bytesMax: 4 << 20 };

/** A loop without the engine: parse, cast by hand, a Set for dedup and a Map for windows, nothing stored. The ratio to it is what can be compared over machines. */
export async function plainLoop(log: EmbeddedLog): Promise<number> {
  const seen = new Set<string>();
  const windows = new Map<string, { n: number; sum: number }>();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (let offset = 0; ; ) {
      const { records, nextOffset, endOffset } = await log.fetch("sensor-raw", partition, offset, LIMITS);
      for (const { value } of records) take(value, seen, windows);
      offset = nextOffset;
      if (offset >= endOffset) break;
    }
  }
  return seen.size;
}

function take(value: Buffer | null, seen: Set<string>, windows: Map<string, { n: number; sum: number }>): void {
  try {
    const { deviceId, seq, ts, value: text } = JSON.parse(value?.toString() ?? "") as { deviceId: string; seq: number; ts: string; value: string };
    const number = Number(text);
    const name = `${deviceId}/${seq}`;
    if (Number.isNaN(number) || seen.has(name)) return;
    seen.add(name);
    const window = `${deviceId}@${Math.floor(Date.parse(ts) / 60_000)}`;
    const known = windows.get(window);
    if (known === undefined) windows.set(window, { n: 1, sum: number });
    else {
      known.n++;
      known.sum += number;
    }
  } catch {
    // Malformed: not counted.
  }
}

import type { ProducerRecord } from "@iot-topology/core";

/** A record as POST /produce takes it; bytes as base64. */
export interface ProducedRecord {
  readonly key: string | null;
  readonly value: string | null;
  /** Epoch milliseconds; the moment of the append when absent. */
  readonly timestamp?: number;
  readonly headers?: readonly { readonly key: string; readonly value: string | null }[];
}

const bytes = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, "base64"));
const isText = (value: unknown): boolean => value === null || typeof value === "string";

/** Records for a log. Those without a time are loaded now, whatever became of them before. */
export function fromProduced(records: readonly ProducedRecord[]): ProducerRecord[] {
  const now = Date.now();
  return records.map(({ key, value, timestamp, headers }) => ({
    key: bytes(key),
    value: bytes(value),
    timestamp: timestamp ?? now,
    ...(headers === undefined ? {} : { headers: headers.map((header) => ({ key: header.key, value: bytes(header.value) })) }),
  }));
}

/** Whether JSON from outside is such a record. */
export function isProducedRecord(record: unknown): record is ProducedRecord {
  const { key, value, timestamp, headers } = (record ?? {}) as { readonly [name: string]: unknown };
  if (!isText(key) || !isText(value) || key === undefined || value === undefined) return false;
  if (timestamp !== undefined && !(Number.isSafeInteger(timestamp) && (timestamp as number) >= 0)) return false;
  return headers === undefined || (Array.isArray(headers) && headers.length <= 1_000 && headers.every(isHeader));
}

function isHeader(header: unknown): boolean {
  const { key, value } = (header ?? {}) as { readonly [name: string]: unknown };
  return typeof key === "string" && isText(value);
}

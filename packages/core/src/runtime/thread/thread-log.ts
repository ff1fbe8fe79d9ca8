import { type LogRecord, TopologyError } from "../../model/index.ts";
import type { FetchedFrames, FetchResult, SourceLog } from "../../port/index.ts";
import type { LogCall } from "./message.ts";

/** Asks the instance's log. */
export type CallLog = (call: LogCall, ...values: readonly unknown[]) => Promise<unknown>;

/** A copy that came over a port is a plain array of bytes. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function recordOf(record: LogRecord): LogRecord {
  return { ...record, key: record.key === null ? null : bufferOf(record.key), value: record.value === null ? null : bufferOf(record.value) };
}

const refused = (): never => {
  throw new TopologyError("INTERNAL", "a thread reads the log and nothing else");
};

/** The instance's log as a thread sees it: what a task needs of it, asked over the port. `onAppend` is told by `appended`. */
export function threadLog(name: string, hasFrames: boolean, call: CallLog): { readonly log: SourceLog; readonly appended: () => void } {
  const listeners = new Set<() => void>();
  const log: SourceLog = {
    name,
    partitionCount: async (topic) => (await call("partitionCount", topic)) as number | undefined,
    offsets: async (topic, partition) => (await call("offsets", topic, partition)) as { start: number; end: number },
    fetch: async (topic, partition, from, limits) => {
      const result = (await call("fetch", topic, partition, from, limits)) as FetchResult;
      return { ...result, records: result.records.map(recordOf) };
    },
    onAppend: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    ensureTopic: refused,
    append: refused,
    appendFrames: refused,
    deleteRecordsBefore: refused,
    forgetProducers: refused,
    close: () => Promise.resolve(),
    ...(hasFrames
      ? {
          fetchFrames: async (topic: string, partition: number, from: number, limits: { readonly recordsMax: number; readonly bytesMax: number }) => {
            const result = (await call("fetchFrames", topic, partition, from, limits)) as FetchedFrames;
            return { ...result, batches: result.batches.map((batch) => ({ ...batch, bytes: bufferOf(batch.bytes) })) };
          },
        }
      : {}),
  };
  return {
    log,
    appended: () => {
      for (const listener of listeners) listener();
    },
  };
}

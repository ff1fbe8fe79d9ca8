import type { SourceLog } from "../../port/index.ts";
import type { MemoryLog } from "../memory-log.ts";
import type { ProcessLine, Timeline } from "./timeline.ts";

/**
 * The embedded log as one process sees it: every call takes time on its way in and on its way out. What a killed process had sent may be done or not; what is
 * done is durable, which is what the embedded log promises.
 */
export function simulatedLog(log: MemoryLog, line: ProcessLine, timeline: Timeline): SourceLog {
  const call = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
    await timeline.wait(timeline.latency(), line, `log ${what}`);
    const reply = await act();
    await timeline.wait(timeline.latency(), line, `log replies to ${what}`);
    return reply;
  };
  return {
    name: log.name,
    partitionCount: (topic) => call("partitionCount", () => log.partitionCount(topic)),
    ensureTopic: (topic, options) => call("ensureTopic", () => log.ensureTopic(topic, options)),
    offsets: (topic, partition) => call("offsets", () => log.offsets(topic, partition)),
    fetch: (topic, partition, fromOffset, limits) => call("fetch", () => log.fetch(topic, partition, fromOffset, limits)),
    onAppend: (listener) =>
      log.onAppend(() => {
        if (line.isAlive) timeline.after(timeline.latency(), line, "log tells of an append", listener);
      }),
    append: (topic, records, producer) => call("append", () => log.append(topic, records, producer)),
    appendFrames: (topic, frames, recordCount, producer) => {
      const sent = Buffer.from(frames);
      return call("append", () => log.appendFrames(topic, sent, recordCount, producer));
    },
    deleteRecordsBefore: (topic, partition, offset) => call("deleteRecords", () => log.deleteRecordsBefore(topic, partition, offset)),
    forgetProducers: (idPrefix) => call("forgetProducers", () => log.forgetProducers(idPrefix)),
    close: () => call("close", () => Promise.resolve()),
  };
}

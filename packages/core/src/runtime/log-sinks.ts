import type { SealedBatch, Sink, SinkConnector, SinkSpec, SourceLog } from "../port/index.ts";

/** Topics of the log as sinks: the producer sequence of each task drops repeats, whatever happened before. */
export function logSinks(log: SourceLog, partitions: number): SinkConnector {
  const sinkFor = (target: string): Sink => ({
    async deliver(batch: SealedBatch) {
      const producerId = `${batch.topology}:${batch.task}:${target}`;
      await log.appendFrames(target, batch.bytes, batch.rowCount, { producerId, epoch: 1, sequence: batch.sequence });
    },
    settle: () => Promise.resolve(),
  });
  return {
    name: "log",
    async open(_context, specs: readonly SinkSpec<never>[]) {
      for (const { target } of specs) await log.ensureTopic(target, { partitions: (await log.partitionCount(target)) ?? partitions });
      return specs.map(({ target }) => sinkFor(target));
    },
    reset: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

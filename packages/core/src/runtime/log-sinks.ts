import { TopologyError } from "../model/index.ts";
import type { DeliveryHint, SealedBatch, Sink, SinkConnector, SinkSpec, SourceLog } from "../port/index.ts";

/** Topics of the log as sinks: the producer sequence of each task drops repeats, whatever happened before. `internal` are those of repartitions. */
export function logSinks(log: SourceLog, partitions: number, internal: ReadonlySet<string>): SinkConnector {
  const sinkFor = (target: string): Sink => ({
    async deliver(batch: SealedBatch, hint: DeliveryHint) {
      const producerId = `${batch.topology}:${batch.task}:${target}`;
      const { repeated } = await log.appendFrames(target, batch.bytes, batch.rowCount, { producerId, epoch: 1, sequence: batch.sequence });
      if (!repeated || hint.uncertain) return;
      // A batch that was never sent before cannot be a repeat: the state that counted the sequence is older than the topic.
      throw new TopologyError("SINK_MISMATCH", `topic ${target} already holds batch ${batch.sequence} of ${producerId}, which this state has never sent`, {
        place: target,
        cure: "the state folder was lost or replaced: restore it, or reset the topology and its output topics together",
      });
    },
    settle: () => Promise.resolve(),
  });
  return {
    name: "log",
    async open(_context, specs: readonly SinkSpec<never>[]) {
      for (const { target } of specs) await log.ensureTopic(target, { partitions: (await log.partitionCount(target)) ?? partitions });
      return specs.map(({ target }) => sinkFor(target));
    },
    async reset({ topology, logger }, specs) {
      await log.forgetProducers(`${topology}:`);
      // What stands in a repartition's topic is written again, and would be read twice.
      for (const { target } of specs) if (internal.has(target)) await emptyTopic(log, target);
      const kept = specs.flatMap(({ target }) => (internal.has(target) ? [] : [target]));
      if (kept.length > 0) logger.warn({ topics: kept }, "output topics keep their records: processing the log again appends to them once more");
    },
    close: () => Promise.resolve(),
  };
}

async function emptyTopic(log: SourceLog, topic: string): Promise<void> {
  const partitions = (await log.partitionCount(topic)) ?? 0;
  for (let partition = 0; partition < partitions; partition++) await log.deleteRecordsBefore(topic, partition, (await log.offsets(topic, partition)).end);
}

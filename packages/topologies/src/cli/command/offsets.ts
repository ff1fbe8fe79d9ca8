import { readStoredOffsets, silentLogger, type TopicPartition, TopologyError, topicPartitionName } from "@iot-topology/core";
import type { KafkaLog } from "@iot-topology/connectors/kafka";
import { moment } from "../action.ts";
import type { Context } from "../context.ts";
import { runningInstance } from "../data-folder.ts";
import { confirm } from "../output/confirm.ts";
import { columns } from "../output/style.ts";
import { locate, type Located, type TopologyFlags, withCluster } from "../run/cluster.ts";
import { type GroupLag, groupLag, groupOf, refuseMembers } from "../run/group.ts";
import { isKafka } from "../run/kafka.ts";
import { openLog } from "../run/log.ts";

/** Prints where a topology stands in each partition of its input: of its group on Kafka, of its checkpoints on the embedded log. */
export async function offsetsGet(context: Context, _: string | undefined, flags: TopologyFlags): Promise<number> {
  const located = await locate(context, undefined, flags);
  const rows = isKafka(located.config) ? await withCluster(located.config, (log) => groupLag(log, located.plan)) : await storedLag(located);
  show(context, rows);
  return 0;
}

/** What the checkpoints in the data folder say, or the running instance of them. */
async function storedLag({ config, folder, plan }: Located): Promise<readonly GroupLag[]> {
  const instance = runningInstance(folder);
  if (instance !== undefined) {
    const response = await fetch(`${instance.statusUrl}/status`, { headers: { authorization: `Bearer ${instance.token}` }, signal: AbortSignal.timeout(10_000) });
    const { tasks } = (await response.json()) as { readonly tasks: readonly { readonly inputs: readonly (TopicPartition & { readonly committed: number; readonly end: number })[] }[] };
    return tasks.flatMap(({ inputs }) => inputs.map(({ topic, partition, committed, end }) => ({ topic, partition, committed, start: 0, end, lag: Math.max(0, end - committed) })));
  }
  const stored = await readStoredOffsets(plan.topology.name, folder.state);
  const { log } = await openLog(config, folder, silentLogger);
  try {
    const rows: GroupLag[] = [];
    for (const topic of new Set(plan.subTopologies.flatMap((part) => part.topics))) {
      const count = (await log.partitionCount(topic)) ?? 0;
      for (let partition = 0; partition < count; partition++) {
        const { start, end } = await log.offsets(topic, partition);
        const committed = stored.get(topicPartitionName(topic, partition));
        rows.push({ topic, partition, committed, start, end, lag: Math.max(0, end - Math.max(start, committed ?? start)) });
      }
    }
    return rows;
  } finally {
    await log.close();
  }
}

function show({ stdout, json }: Context, rows: readonly GroupLag[]): void {
  if (json) {
    stdout.write(`${JSON.stringify({ partitions: rows.map((row) => ({ ...row, committed: row.committed ?? null })) })}\n`);
    return;
  }
  const body = rows.map(({ topic, partition, committed, start, end, lag }) => [`${topic}-${partition}`, String(committed ?? "-"), String(start), String(end), String(lag)]);
  stdout.write(`${columns([["partition", "committed", "start", "end", "lag"], ...body])}\n`);
}

/** Sets offsets of a group without members: `topic:partition=offset`, as many as wanted. */
export async function offsetsSet(context: Context, _: string | undefined, flags: TopologyFlags & { readonly yes?: boolean }, given: readonly string[]): Promise<number> {
  const located = await locate(context, undefined, flags);
  refuseEmbedded(located);
  const wanted = given.map(parsePosition);
  return change(context, located, flags.yes === true, async (_log, rows) => {
    for (const { topic, partition, offset } of wanted) {
      const row = rows.find((one) => one.topic === topic && one.partition === partition);
      if (row === undefined) throw new TopologyError("USAGE", `${topic}-${partition} is not an input of ${located.plan.topology.name}`, { cure: `its inputs are ${rows.map((one) => topicPartitionName(one.topic, one.partition)).join(", ") || "none: the topics do not exist"}` });
      const { start, end } = row;
      if (offset < start || offset > end) throw new TopologyError("OFFSET_OUT_OF_RANGE", `${offset} is not in ${topic}-${partition}, which reaches from ${start} to ${end}`, { place: `${topic}:${partition}=${offset}`, cure: `give an offset from ${start} to ${end}` });
    }
    return wanted;
  });
}

function parsePosition(text: string): TopicPartition & { readonly offset: number } {
  const match = /^([^:=]+):(\d{1,9})=(\d{1,15})$/.exec(text);
  if (match !== null) return { topic: match[1] ?? "", partition: Number(match[2]), offset: Number(match[3]) };
  throw new TopologyError("USAGE", `${JSON.stringify(text)} is not TOPIC:PARTITION=OFFSET`, { cure: "write it as iot.readings:0=12345" });
}

/** Sets all offsets, or a topic's, to a place. Records without a later one in their partition stand for its end. */
export async function offsetsReset(context: Context, _: string | undefined, flags: Omit<TopologyFlags, "topology"> & { readonly to: string; readonly topic?: string; readonly topology?: string; readonly yes?: boolean }): Promise<number> {
  const located = await locate(context, undefined, flags);
  refuseEmbedded(located);
  const at = flags.to === "earliest" || flags.to === "latest" ? flags.to : timeOf(flags.to);
  return change(context, located, flags.yes === true, async (log, rows) => {
    const chosen = rows.filter(({ topic }) => flags.topic === undefined || topic === flags.topic);
    if (chosen.length === 0) throw new TopologyError("USAGE", `${flags.topic ?? "the topology"} is no input that exists`, { cure: "`iot-topology offsets get` shows the inputs" });
    return Promise.all(chosen.map(async ({ topic, partition, start, end }) => ({ topic, partition, offset: at === "earliest" ? start : at === "latest" ? end : await log.offsetForTime(topic, partition, at) })));
  });
}

function timeOf(text: string): number {
  try {
    return moment(text);
  } catch {
    throw new TopologyError("USAGE", `--to ${JSON.stringify(text)} is none of earliest, latest and a time`, { cure: "write a time as 2026-01-01T00:00:00Z" });
  }
}

function refuseEmbedded({ config, plan }: Located): void {
  if (isKafka(config)) return;
  throw new TopologyError("USAGE", `on the embedded log the offsets of ${plan.topology.name} are part of its state, in one batch with it, and cannot be set apart from it`, {
    cure: "`iot-topology reset` makes it process the log anew; `iot-topology start --from-savepoint` goes back to a savepoint",
  });
}

/** Sets what `choose` gives, after everything that forbids it was looked at and the person has said yes. */
async function change(
  context: Context,
  { config, plan }: Located,
  yes: boolean,
  choose: (log: KafkaLog, rows: readonly GroupLag[]) => Promise<readonly (TopicPartition & { readonly offset: number })[]>,
): Promise<number> {
  return withCluster(config, async (log) => {
    const group = groupOf(plan);
    await refuseMembers(log, group);
    const rows = await groupLag(log, plan);
    const positions = await choose(log, rows);
    const question = `Set ${positions.length} ${positions.length === 1 ? "offset" : "offsets"} of ${group}? The state stays as it is: records that are read again count again, except where a dedup knows them.`;
    if (!(await confirm(context, question, yes))) return 1;
    await log.setCommittedOffsets(group, positions);
    const before = (topic: string, partition: number) => rows.find((row) => row.topic === topic && row.partition === partition)?.committed ?? null;
    if (context.json) context.stdout.write(`${JSON.stringify({ group, positions: positions.map((position) => ({ ...position, before: before(position.topic, position.partition) })) })}\n`);
    else context.stdout.write(`${columns([["partition", "before", "now"], ...positions.map(({ topic, partition, offset }) => [topicPartitionName(topic, partition), String(before(topic, partition) ?? "-"), String(offset)])])}\n`);
    return 0;
  });
}

import { TopologyError } from "../model/index.ts";
import { partitionsWanted, type Plan, stepsBoundToOnePartition, type SubTopology } from "../plan/index.ts";
import type { ClusterLog, TopicDescription } from "../port/index.ts";
import { agreedCount, checkAskedCount } from "./agreed-count.ts";
import { globalCounts } from "./global-inputs.ts";
import type { ResolvedOptions } from "./options.ts";

/** A sub-topology with its tasks and its changelog. */
export interface ClusterPart {
  readonly part: SubTopology;
  readonly partitionCount: number;
  readonly changelog: string;
  /** Partitions of the topics of its global tables. */
  readonly globals: ReadonlyMap<string, number>;
}

/** A name as Kafka allows it; the parts of a name are joined by `+` here, which Kafka does not. */
function kafkaName(name: string): string {
  return name.replaceAll("+", "__");
}

/** The topic that holds the state of a part's tasks. */
export function changelogTopic(plan: Plan, part: SubTopology): string {
  return `${plan.topology.name}-${kafkaName(part.name)}-changelog`;
}

/** The transactional id of a task: who opens a producer with it owns the task. */
export function transactionalIdOf(topology: string, taskId: string): string {
  // No name holds a colon, so that no two tasks share an id.
  return `${topology}:${taskId}`;
}

/** What a topic of the engine's own must be: kept until the engine itself drops what is dead, or processed. */
export const OWN_TOPIC_CONFIG: Readonly<Record<string, string>> = { "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1" };

function mismatch(code: "TOPIC_MISMATCH" | "CHANGELOG_MISMATCH", topic: string, message: string, cure: string): TopologyError {
  return new TopologyError(code, message, { place: `topic ${topic}`, cure });
}

function checkChangelog({ topic, partitions, config }: TopicDescription, part: SubTopology, partitionCount: number): void {
  if (partitions !== partitionCount) {
    throw mismatch(
      "TOPIC_MISMATCH",
      topic,
      `the state of ${part.name} is spread over ${partitions} partitions, but its topics have ${partitionCount} now: a key's state and its records would be in different tasks`,
      "give the topics their former number of partitions back (in new topics), or reset the topology so that the state is made again from the log",
    );
  }
  for (const [name, wanted] of Object.entries(OWN_TOPIC_CONFIG)) {
    const found = config[name];
    if (found === undefined || found === wanted) continue;
    throw mismatch("CHANGELOG_MISMATCH", topic, `${name} is ${found}, so the broker would drop state`, `set it to ${wanted}: kafka-configs --alter --entity-type topics --entity-name ${topic} --add-config ${name}=${wanted}`);
  }
}

async function countOf(log: ClusterLog, topic: string, wanted: number | undefined, options: ResolvedOptions): Promise<number> {
  const known = await log.partitionCount(topic);
  if (known !== undefined) return known;
  if (wanted === undefined) {
    throw new TopologyError("TOPIC_NOT_FOUND", `topic "${topic}" does not exist`, { place: topic, cure: "create it, or let it be created: `--create-topics`, or createTopics: true" });
  }
  await log.createTopics([{ topic, partitions: wanted, ...replication(options) }]);
  return wanted;
}

function replication({ replicationFactor }: ResolvedOptions): { replicationFactor?: number } {
  return replicationFactor === undefined ? {} : { replicationFactor };
}

function internalTopic(plan: Plan, topic: string): Plan["internalTopics"][number] | undefined {
  return plan.internalTopics.find((other) => other.topic === topic);
}

/** Looks at the topics that a part reads and makes those that may be made; tells the partitions of each. */
async function countsOf(plan: Plan, part: SubTopology, parts: ReadonlyMap<string, number>, log: ClusterLog, options: ResolvedOptions): Promise<number[]> {
  const known: (number | undefined)[] = [];
  for (const topic of part.topics) known.push(await log.partitionCount(topic));
  const existing = known.find((count) => count !== undefined);
  checkAskedCount(plan, part, existing);
  const wanted = partitionsWanted(plan, part, { existing, parts, otherwise: stepsBoundToOnePartition(part).length > 0 ? 1 : options.partitions });
  const counts: number[] = [];
  for (const [index, topic] of part.topics.entries()) {
    if (internalTopic(plan, topic) !== undefined) counts.push(await openRepartition(log, topic, known[index] === undefined ? wanted : undefined, options));
    else counts.push(known[index] ?? (await countOf(log, topic, options.createTopics ? wanted : undefined, options)));
  }
  return counts;
}

/** `absent` is given where the topic is to be made, with so many partitions. */
async function openRepartition(log: ClusterLog, topic: string, absent: number | undefined, options: ResolvedOptions): Promise<number> {
  if (absent !== undefined) await log.createTopics([{ topic, partitions: absent, config: OWN_TOPIC_CONFIG, ...replication(options) }]);
  const found = await log.describeTopic(topic);
  const policy = found?.config["cleanup.policy"] ?? "delete";
  if (policy !== "delete") {
    throw mismatch("TOPIC_MISMATCH", topic, `its cleanup.policy is ${policy}, so the broker would drop records that were not processed yet`, `set it to delete: kafka-configs --alter --entity-type topics --entity-name ${topic} --add-config cleanup.policy=delete`);
  }
  return found?.partitions ?? absent ?? 1;
}

/**
 * Checks and creates the topics of a topology: those it reads must exist (or may be created), with partition counts that fit; changelogs and repartition topics are
 * created where they are absent, and must be what the engine needs where they exist. Throws TOPIC_NOT_FOUND, TOPIC_MISMATCH, CHANGELOG_MISMATCH.
 */
export async function openTopics(plan: Plan, log: ClusterLog, options: ResolvedOptions): Promise<ClusterPart[]> {
  const parts: ClusterPart[] = [];
  const counts = new Map<string, number>();
  for (const part of plan.subTopologies) {
    const partitionCount = agreedCount(part, await countsOf(plan, part, counts, log, options));
    counts.set(part.name, partitionCount);
    for (const { topic } of part.globals) await countOf(log, topic, options.createTopics ? options.partitions : undefined, options);
    parts.push({ part, partitionCount, globals: await globalCounts(part, log), changelog: await openChangelog(plan, part, partitionCount, log, options) });
  }
  for (const spec of plan.sinks) if (spec.connector === "log") await countOf(log, spec.target, wantedOutput(plan, spec.target, options), options);
  return parts;
}

function wantedOutput(plan: Plan, topic: string, options: ResolvedOptions): number | undefined {
  return options.createTopics || internalTopic(plan, topic) !== undefined ? options.partitions : undefined;
}

async function openChangelog(plan: Plan, part: SubTopology, partitionCount: number, log: ClusterLog, options: ResolvedOptions): Promise<string> {
  const topic = changelogTopic(plan, part);
  if ((await log.partitionCount(topic)) === undefined) {
    await log.createTopics([{ topic, partitions: partitionCount, config: OWN_TOPIC_CONFIG, ...replication(options) }]);
  }
  const description = await log.describeTopic(topic);
  if (description !== undefined) checkChangelog(description, part, partitionCount);
  return topic;
}

/** Throws TOPIC_MISMATCH where a topic that is read has got more partitions since: their records would be read by nobody. */
export async function checkPartitionCounts(parts: readonly ClusterPart[], log: ClusterLog): Promise<void> {
  for (const { part, partitionCount, globals } of parts) {
    for (const [topic, before] of globals) {
      const now = await log.partitionCount(topic);
      if (now === before) continue;
      throw mismatch("TOPIC_MISMATCH", topic, `the topic of a global table had ${before} partitions at the start and has ${now ?? "none"} now`, "start again: all of its partitions are read then, each from where the table is in it");
    }
    for (const topic of part.topics) {
      const now = await log.partitionCount(topic);
      if (now === undefined) throw new TopologyError("TOPIC_NOT_FOUND", `topic "${topic}" has been deleted while it was read`, { place: topic, cure: "make it again, and reset the topology if it is to start anew" });
      if (now === partitionCount) continue;
      throw mismatch(
        "TOPIC_MISMATCH",
        topic,
        `it had ${partitionCount} partitions at the start and has ${now} now: keys have moved between partitions, but their state has not`,
        "reset the topology so that the state is made again over all partitions, or write to a topic with the former number of partitions",
      );
    }
  }
}

/** Throws CONFIG_INVALID while processes run the topology. */
export async function refuseWithMembers(log: ClusterLog, group: string): Promise<void> {
  const { members } = await log.describeGroup(group);
  if (members.length === 0) return;
  throw new TopologyError("CONFIG_INVALID", `${members.length === 1 ? "a process runs" : `${members.length} processes run`} this topology: ${members.map(({ clientId, host }) => `${clientId} on ${host}`).join(", ")}`, {
    place: `group ${group}`,
    cure: "stop them first; one that was killed counts until its session is over",
  });
}

/** Deletes what a topology keeps in the cluster: changelogs, repartition topics, committed offsets. */
export async function resetCluster(plan: Plan, log: ClusterLog, { logger }: ResolvedOptions): Promise<void> {
  const wanted = [...plan.subTopologies.map((part) => changelogTopic(plan, part)), ...plan.internalTopics.map(({ topic }) => topic)];
  const topics: string[] = [];
  for (const topic of wanted) if ((await log.partitionCount(topic)) !== undefined) topics.push(topic);
  if (topics.length > 0) await log.deleteTopics(topics);
  await log.deleteGroup(plan.topology.name);
  const outputs = plan.sinks.filter(({ connector, target }) => connector === "log" && !topics.includes(target)).map(({ target }) => target);
  if (outputs.length > 0) logger.warn({ topics: outputs }, "output topics keep their records: processing the log again appends to them once more");
}

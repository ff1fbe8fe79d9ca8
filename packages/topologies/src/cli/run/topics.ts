/**
 * The topics that a topology needs, and how those that are there differ from it:
 *
 *   input        what a part reads; all of a part have the same number of partitions, and one only where its state cannot be split; topics of global tables any number
 *   repartition  what one part writes for another; made by the engine
 *   changelog    what a part's state is restored from, a partition a task; made by the engine, and nothing in it may go but by the engine's own hand
 *   output       what it writes to; any number of partitions
 */
import { boundCure, changelogTopic, type ClusterLog, type ErrorCode, OWN_TOPIC_CONFIG, partitionsWanted, type Plan, type SourceLog, stepsBoundToOnePartition, type TopicCreation, type TopicDescription, TopologyError } from "@iot-topology/core";
import type { Config } from "../config/keys.ts";

/** Partitions of topics that are made, where none are configured. */
const PARTITIONS_EMBEDDED = 1;
const PARTITIONS_KAFKA = 4;
/** Records of a changelog are at most about 900 kB; brokers take 1 MiB unless told otherwise. */
const CHANGELOG_MESSAGE_BYTES_MIN = 1_000_000;

/** What is wrong with a topic. */
export interface TopicProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly cure: string;
}

/** A topic that a topology needs. */
export interface NeededTopic {
  readonly topic: string;
  readonly role: "input" | "repartition" | "changelog" | "output";
  /** What it should have; undefined where any number will do. */
  readonly partitions: number | undefined;
  /** What it has; undefined where it does not exist. */
  readonly found: TopicDescription | undefined;
  readonly problem: TopicProblem | undefined;
}

/** The partitions that a topology's topics get. */
export function partitionsOf(config: Config): number {
  return config.partitions ?? (config["kafka.brokers"] === undefined ? PARTITIONS_EMBEDDED : PARTITIONS_KAFKA);
}

/** The topics of global tables, which may have any number of partitions. */
function globalTopics(plan: Plan): ReadonlySet<string> {
  return new Set(plan.subTopologies.flatMap(({ globals }) => globals.map(({ topic }) => topic)));
}

/** The topics that a topology reads and others write. */
export function inputTopics(plan: Plan): readonly string[] {
  const internal = new Set(plan.internalTopics.map(({ topic }) => topic));
  return [...new Set([...plan.subTopologies.flatMap((part) => part.topics), ...globalTopics(plan)])].filter((topic) => !internal.has(topic));
}

/** Makes the embedded log's topics. Those whose state cannot be split get one partition, whatever is configured for the others. */
export async function makeTopics(plan: Plan, log: SourceLog, config: Config): Promise<void> {
  const parts = new Map<string, number>();
  for (const part of plan.subTopologies) {
    const known: (number | undefined)[] = [];
    for (const topic of part.topics) known.push(await log.partitionCount(topic));
    const otherwise = stepsBoundToOnePartition(part).length > 0 ? 1 : partitionsOf(config);
    const partitions = partitionsWanted(plan, part, { existing: known.find((count) => count !== undefined), parts, otherwise });
    parts.set(part.name, partitions);
    for (const [index, topic] of part.topics.entries()) if (known[index] === undefined) await log.ensureTopic(topic, { partitions });
  }
  for (const topic of globalTopics(plan)) if ((await log.partitionCount(topic)) === undefined) await log.ensureTopic(topic, { partitions: partitionsOf(config) });
}

/** Looks at every topic that the topology needs on a cluster. */
export async function surveyTopics(plan: Plan, log: Pick<ClusterLog, "describeTopic">, config: Config): Promise<readonly NeededTopic[]> {
  const needed: NeededTopic[] = [];
  const counts = new Map<string, number>();
  const internal = new Set(plan.internalTopics.map(({ topic }) => topic));
  for (const part of plan.subTopologies) {
    const found = new Map<string, TopicDescription | undefined>();
    for (const topic of part.topics) found.set(topic, await log.describeTopic(topic));
    const bound = stepsBoundToOnePartition(part);
    const existing = [...found.values()].find((description) => description !== undefined)?.partitions;
    const partitions = bound.length > 0 ? 1 : partitionsWanted(plan, part, { existing, parts: counts, otherwise: partitionsOf(config) });
    counts.set(part.name, partitions);
    for (const [topic, description] of found) {
      const role = internal.has(topic) ? "repartition" : "input";
      needed.push({ topic, role, partitions, found: description, problem: (role === "input" ? missing(topic, description) : undefined) ?? wrongCount(description, partitions, bound, boundCure(part)) });
    }
    const changelog = await log.describeTopic(changelogTopic(plan, part));
    needed.push({ topic: changelogTopic(plan, part), role: "changelog", partitions, found: changelog, problem: changelogProblem(changelog, partitions) });
  }
  for (const topic of globalTopics(plan)) {
    const found = await log.describeTopic(topic);
    needed.push({ topic, role: "input", partitions: found === undefined ? partitionsOf(config) : undefined, found, problem: missing(topic, found) });
  }
  const known = new Set(needed.map(({ topic }) => topic));
  for (const { connector, target } of plan.sinks) {
    if (connector !== "log" || known.has(target)) continue;
    const found = await log.describeTopic(target);
    needed.push({ topic: target, role: "output", partitions: found === undefined ? partitionsOf(config) : undefined, found, problem: missing(target, found) });
  }
  return needed;
}

function missing(topic: string, found: TopicDescription | undefined): TopicProblem | undefined {
  if (found !== undefined) return undefined;
  return { code: "TOPIC_NOT_FOUND", message: `the topic ${topic} does not exist`, cure: "add --create-topics, or create it: `iot-topology topics create`" };
}

function wrongCount(found: TopicDescription | undefined, wanted: number, bound: readonly string[], cure: string): TopicProblem | undefined {
  if (found === undefined || found.partitions === wanted) return undefined;
  if (bound.length > 0) {
    return {
      code: "TOPIC_MISMATCH",
      message: `the topic ${found.topic} has ${found.partitions} partitions, and ${bound.join(" and ")} would keep separate state in each, so results would be wrong`,
      cure,
    };
  }
  return { code: "TOPIC_MISMATCH", message: `the topic ${found.topic} has ${found.partitions} partitions, and another topic that is read with it has ${wanted}`, cure: "topics that are read together need the same number of partitions" };
}

function changelogProblem(found: TopicDescription | undefined, partitions: number): TopicProblem | undefined {
  if (found === undefined) return undefined;
  const differences = [
    ...(found.partitions === partitions ? [] : [`${found.partitions} partitions instead of ${partitions}`]),
    ...Object.entries(OWN_TOPIC_CONFIG).flatMap(([name, wanted]) => (found.config[name] === undefined || found.config[name] === wanted ? [] : [`${name} ${found.config[name]} instead of ${wanted}`])),
    ...(Number(found.config["max.message.bytes"] ?? CHANGELOG_MESSAGE_BYTES_MIN) >= CHANGELOG_MESSAGE_BYTES_MIN ? [] : [`max.message.bytes ${found.config["max.message.bytes"]}, but at least ${CHANGELOG_MESSAGE_BYTES_MIN} is needed`]),
  ];
  if (differences.length === 0) return undefined;
  const cure =
    found.partitions === partitions
      ? "alter the topic's configuration, before brokers delete what state is restored from"
      : "partitions of a topic with keyed state cannot be raised: its keys would be in other tasks. Take the former number, or reset the topology and process its input anew";
  return { code: "CHANGELOG_MISMATCH", message: `the changelog ${found.topic} has ${differences.join(", and ")}`, cure };
}

/** Creates what does not exist; the engine makes its own. */
export async function createMissing(needed: readonly NeededTopic[], log: Pick<ClusterLog, "createTopics">, config: Config): Promise<readonly TopicCreation[]> {
  const replicationFactor = config["kafka.replicationFactor"];
  const creations = needed
    .filter(({ found, role }) => found === undefined && (role === "input" || role === "output"))
    .map(({ topic, partitions }): TopicCreation => ({
      topic,
      partitions: partitions ?? partitionsOf(config),
      ...(replicationFactor === undefined ? {} : { replicationFactor }),
    }));
  if (creations.length > 0) await log.createTopics(creations);
  return creations;
}

/** Throws the problems, all in one message under the code of the first. */
export function refuseProblems(needed: readonly NeededTopic[]): void {
  const problems = needed.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  const [first] = problems;
  if (first === undefined) return;
  const message = problems.length === 1 ? first.message : `${problems.length} topics differ from what the topology needs:\n${problems.map((problem) => `  - ${problem.code}: ${problem.message}`).join("\n")}`;
  throw new TopologyError(first.code, message, { cure: [...new Set(problems.map((problem) => problem.cure))].join("; ") });
}

/** Before a start on a cluster: creates what is missing where that is asked for, and refuses what differs. */
export async function prepareTopics(plan: Plan, log: ClusterLog, config: Config): Promise<readonly TopicCreation[]> {
  const needed = await surveyTopics(plan, log, config);
  refuseProblems(needed.filter(({ problem }) => !(config["kafka.createTopics"] && problem?.code === "TOPIC_NOT_FOUND")));
  return config["kafka.createTopics"] ? createMissing(needed, log, config) : [];
}

/** What must hold of a cluster when all is done: offsets at the ends, no transaction open, stores equal to their changelogs. */
import { topicPartitionName } from "../../model/index.ts";
import type { Plan } from "../../plan/index.ts";
import { type ClusterLog, silentLogger } from "../../port/index.ts";
import { changelogTopic } from "../../runtime/cluster-topics.ts";
import { FollowedStore } from "../../runtime/restore.ts";
import { CHANGELOG_POSITION_KEY } from "../../state/changelog.ts";
import { memoryBackend } from "../../state/memory-backend.ts";
import { taskFolder } from "../../state/state-disk.ts";
import type { SimulatedDisk } from "./simulated-disk.ts";
import type { Timeline } from "./timeline.ts";

/** A process as it ended: the tasks it had, and where their stores are. */
export interface EndedProcess {
  readonly tasks: readonly string[];
  readonly disk: SimulatedDisk | undefined;
}

/** The folder of all processes, each on the disk of its own machine. */
export const STATE_DIR = "state";

/** Tells what is wrong. */
export async function checkCluster(plan: Plan, log: ClusterLog, processes: readonly EndedProcess[], timeline: Timeline): Promise<string[]> {
  const problems: string[] = [];
  const open = await log.openTransactions(Number.POSITIVE_INFINITY);
  if (open.length > 0) problems.push(`transactions are left open: ${open.map(({ transactionalId }) => transactionalId).join(", ")}`);
  for (const part of plan.subTopologies) {
    const count = (await log.partitionCount(part.topics[0] ?? "")) ?? 0;
    for (let partition = 0; partition < count; partition++) {
      problems.push(...(await checkOffsets(plan.topology.name, part.topics, partition, log)));
      const task = `${part.name}_${partition}`;
      const owner = processes.find(({ tasks }) => tasks.includes(task));
      if (owner === undefined) problems.push(`nobody runs task ${task}`);
      const held = owner?.disk?.contents(taskFolder(STATE_DIR, plan.topology.name, task));
      if (held !== undefined) problems.push(...(await checkStore(held, { topic: changelogTopic(plan, part), partition }, log, timeline)));
    }
  }
  return problems;
}

async function checkOffsets(group: string, topics: readonly string[], partition: number, log: ClusterLog): Promise<string[]> {
  const committed = await log.committedOffsets(group, topics.map((topic) => ({ topic, partition })));
  const problems: string[] = [];
  for (const topic of topics) {
    const { start, end } = await log.offsets(topic, partition);
    const name = topicPartitionName(topic, partition);
    if (end > start && committed.get(name) !== end) problems.push(`the committed offset of ${name} is ${committed.get(name) ?? "none"}, and its end is ${end}`);
  }
  return problems;
}

async function checkStore(held: ReadonlyMap<string, Buffer>, changelog: { readonly topic: string; readonly partition: number }, log: ClusterLog, timeline: Timeline): Promise<string[]> {
  const place = topicPartitionName(changelog.topic, changelog.partition);
  const open = () => Promise.resolve(memoryBackend());
  const clock = timeline.clockOf({ name: "observer", isAlive: true, held: undefined });
  const disk = { remove: () => Promise.resolve() };
  const store = await FollowedStore.open({ log, changelog, logger: silentLogger, clock, disk, open, dir: null, signal: new AbortController().signal, onProgress: () => {} });
  await store.catchUp();
  const replayed = new Map<string, Buffer>();
  for await (const [key, value] of store.backend.entries({})) replayed.set(key.latin1Slice(), value);
  const position = CHANGELOG_POSITION_KEY.latin1Slice();
  // A window that is over leaves the store at once and the changelog with the next commit; and a power cut may bring it back into the store until the next one is over.
  const isPassing = (key: string): boolean => key.startsWith("w\0") && (!held.has(key) || !replayed.has(key));
  const wrong = [...held].filter(([key, value]) => key !== position && !isPassing(key) && replayed.get(key)?.equals(value) !== true).map(([key]) => key);
  const extra = [...replayed.keys()].filter((key) => key !== position && !held.has(key) && !isPassing(key));
  if (wrong.length + extra.length === 0) return [];
  return [`the store of ${place} differs from its changelog at ${[...wrong, ...extra].slice(0, 5).map((key) => JSON.stringify(key)).join(", ")}`];
}

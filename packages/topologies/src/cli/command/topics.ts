import type { Context } from "../context.ts";
import { columns, paint } from "../output/style.ts";
import { locate, type TopologyFlags, withCluster } from "../run/cluster.ts";
import { createMissing, type NeededTopic, refuseProblems, surveyTopics } from "../run/topics.ts";

/** Compares the topics that a topology needs with those that there are. The exit code is 1 where one differs. */
export async function topicsCheck(context: Context, nameOrFile: string | undefined, flags: TopologyFlags): Promise<number> {
  const { config, plan } = await locate(context, nameOrFile, flags);
  const needed = await withCluster(config, (log) => surveyTopics(plan, log, config));
  show(context, needed);
  return needed.some(({ problem }) => problem !== undefined) ? 1 : 0;
}

/** Creates what is missing. What exists and differs is not altered: it ends the command before anything is created. */
export async function topicsCreate(context: Context, nameOrFile: string | undefined, flags: TopologyFlags): Promise<number> {
  const { config, plan } = await locate(context, nameOrFile, flags);
  const created = await withCluster(config, async (log) => {
    const needed = await surveyTopics(plan, log, config);
    refuseProblems(needed.filter(({ problem }) => problem?.code !== "TOPIC_NOT_FOUND"));
    return createMissing(needed, log, config);
  });
  if (context.json) context.stdout.write(`${JSON.stringify({ created })}\n`);
  else if (created.length === 0) context.stdout.write("nothing to create\n");
  else context.stdout.write(`${columns(created.map(({ topic, partitions }) => ["created", topic, `${partitions} ${partitions === 1 ? "partition" : "partitions"}`]))}\n`);
  return 0;
}

function show({ stdout, json, style }: Context, needed: readonly NeededTopic[]): void {
  if (json) {
    const topics = needed.map(({ topic, role, partitions, found, problem }) => ({ topic, role, wanted: partitions ?? null, found: found ?? null, problem: problem ?? null }));
    stdout.write(`${JSON.stringify({ topics })}\n`);
    return;
  }
  const rows = needed.map(({ topic, role, partitions, found, problem }) => {
    const state = problem !== undefined ? paint(style, "red", problem.code) : found === undefined ? "made at the start" : paint(style, "green", "ok");
    const count = found === undefined ? `${partitions ?? "any"} wanted` : `${found.partitions}, ${found.replicationFactor} ${found.replicationFactor === 1 ? "replica" : "replicas"}`;
    return [topic, role, count, state];
  });
  stdout.write(`${columns([["topic", "role", "partitions", "state"], ...rows])}\n`);
  for (const { problem } of needed) if (problem !== undefined) stdout.write(`\n${problem.code}: ${problem.message}\n  cure: ${problem.cure}\n`);
}

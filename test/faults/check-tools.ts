/** The same questions put to Apache's command-line tools. They take seconds each, so not every run asks them. */
import type { ApacheTools } from "../kafka/apache.ts";
import type { ApacheClient } from "./apache-client.ts";
import { compareSets, type Findings } from "./findings.ts";
import { repartitionOf, topicOf } from "./topology.ts";

/** Output by the console consumer, offsets by the group tool, transactions by the transactions tool. */
export async function checkTools(findings: Findings, name: string, tools: ApacheTools, apache: ApacheClient): Promise<void> {
  for (const output of ["clean", "site-hours"] as const) {
    const seen = apache.seen(topicOf(name, output));
    const consumed = await tools.consume(topicOf(name, output), { count: seen.length });
    const text = (partition: number, offset: number, value: string | null): string => `${partition}/${offset} ${value ?? "-"}`;
    compareSets(findings, `${output} by the console consumer`, consumed.map(({ partition, offset, value }) => text(partition, offset, value)), seen.map(({ partition, offset, value }) => text(partition, offset, value?.toString() ?? null)));
  }
  const rows = (await tools.describeGroup(name)).filter(({ topic }) => topic === topicOf(name, "input") || topic === repartitionOf(name));
  if (rows.length === 0) findings.problems.push("the group tool knows nothing of the group");
  for (const { topic, partition, lag } of rows) if (lag !== undefined && lag !== 0) findings.problems.push(`the group tool sees a lag of ${lag} in ${topic}-${partition}`);
  const open = [...(await tools.transactions())].filter(([id, state]) => id.startsWith(`${name}:`) && state !== "CompleteCommit" && state !== "CompleteAbort" && state !== "Empty");
  if (open.length > 0) findings.problems.push(`the transactions tool sees ${open.join(", ")}`);
}

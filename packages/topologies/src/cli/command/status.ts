import { type InstanceStatus, TopologyError } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { dataFolder, readFolderRecord, runningInstance } from "../data-folder.ts";
import { columns } from "../output/style.ts";

/** Shows how the running instance stands. */
export async function status(context: Context): Promise<number> {
  const { config } = context.load();
  const folder = dataFolder(config.data);
  const instance = runningInstance(folder);
  if (instance === undefined) {
    const last = readFolderRecord(folder);
    throw new TopologyError("NOT_RUNNING", last === undefined ? "nothing runs in this data folder, and nothing has" : `nothing runs in this data folder; ${last.topology} did last`, {
      place: folder.root,
      cure: "run `iot-topology start`, or name another folder with --data",
    });
  }
  const found = await fetchStatus(instance.statusUrl);
  context.stdout.write(context.json ? `${JSON.stringify({ ...found, pid: instance.pid, clickhouseUrl: instance.clickhouseUrl, statusUrl: instance.statusUrl })}\n` : `${table(found, instance)}\n`);
  return found.state === "failed" ? 1 : 0;
}

async function fetchStatus(url: string): Promise<InstanceStatus> {
  try {
    const response = await fetch(`${url}/status`, { signal: AbortSignal.timeout(10_000) });
    return (await response.json()) as InstanceStatus;
  } catch (cause) {
    throw new TopologyError("NOT_RUNNING", "the instance does not answer", { place: url, cure: "it may be starting or ending: try again", cause });
  }
}

function table(found: InstanceStatus, instance: { readonly pid: number; readonly clickhouseUrl: string; readonly statusUrl: string }): string {
  const { counters } = found;
  const list = (counts: Readonly<Record<string, number>>) => Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ") || "none";
  const rows: string[][] = [
    ["topology", `${found.topology} version ${found.version}, ${found.state}, process ${instance.pid}, since ${new Date(found.startedAt).toISOString()}`],
    ["clickhouse", instance.clickhouseUrl],
    ["status", instance.statusUrl],
    ["records", `read ${counters.read}, repeats ${counters.deduplicated}, filtered ${counters.filtered}, skipped ${counters.skipped}, late ${counters.late}`],
    ["rows", list(counters.written)],
    ["dead letters", list(counters.deadLetters)],
    ["windows", `${found.windowsOpen} in memory`],
    ...found.tasks.flatMap((task) => task.inputs.map((input) => [`${input.topic}-${input.partition}`, `at ${input.position} of ${input.end}, lag ${input.lag}${task.rebuilding ? ", rebuilding" : ""}`])),
    ...found.outbox.map((lane) => [`sink ${lane.target}`, `${lane.batches} batches wait, ${lane.delivered} delivered${lane.lastError === null ? "" : `, ${lane.lastError}`}`]),
  ];
  return columns(rows);
}

import { type InstanceStatus, TopologyError } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { type DataFolder, dataFolder, type InstanceRecord, readFolderRecord, runningInstance } from "../data-folder.ts";
import { columns } from "../output/style.ts";
import { locate, onRecordedLog, type TopologyFlags, withCluster } from "../run/cluster.ts";
import { groupLag, groupOf } from "../run/group.ts";
import { isKafka } from "../run/kafka.ts";

/** Shows how the running instance stands; where none runs here and the log is Kafka, how its group stands. */
export async function status(context: Context, flags: TopologyFlags): Promise<number> {
  const { config } = context.load({ "kafka.brokers": flags.kafka });
  const folder = dataFolder(config.data);
  const instance = runningInstance(folder);
  if (instance === undefined && isKafka(onRecordedLog(config, folder))) return groupStatus(context, flags);
  if (instance === undefined) throw notRunning(folder);
  const found = await fetchStatus(instance);
  context.stdout.write(context.json ? `${JSON.stringify({ ...found, pid: instance.pid, clickhouseUrl: instance.clickhouseUrl, statusUrl: instance.statusUrl })}\n` : `${table(found, instance)}\n`);
  return found.state === "failed" ? 1 : 0;
}

function notRunning(folder: DataFolder): TopologyError {
  const last = readFolderRecord(folder);
  return new TopologyError("NOT_RUNNING", last === undefined ? "nothing runs in this data folder, and nothing has" : `nothing runs in this data folder; ${last.topology} did last`, {
    place: folder.root,
    cure: "run `iot-topology start`, or name another folder with --data",
  });
}

async function groupStatus(context: Context, flags: TopologyFlags): Promise<number> {
  const { config, plan } = await locate(context, undefined, flags);
  const group = groupOf(plan);
  await withCluster(config, async (log) => {
    const [{ state, members }, lags] = [await log.describeGroup(group), await groupLag(log, plan)];
    const total = lags.reduce((sum, { lag }) => sum + lag, 0);
    if (context.json) {
      const named = members.map(({ memberId, clientId, host }) => ({ memberId, clientId, host }));
      context.stdout.write(`${JSON.stringify({ topology: plan.topology.name, group, state, members: named, lag: total, partitions: lags })}\n`);
      return;
    }
    const rows = [
      ["topology", `${plan.topology.name}, nothing of it runs in this data folder`],
      ["group", `${group}, ${state}, ${members.length} ${members.length === 1 ? "member" : "members"}, lag ${total}`],
      ...members.map(({ memberId, host }) => ["member", `${memberId} at ${host}`]),
      ...lags.map(({ topic, partition, committed, end, lag }) => [`${topic}-${partition}`, `at ${committed ?? "the start"} of ${end}, lag ${lag}`]),
    ];
    context.stdout.write(`${columns(rows)}\n`);
  });
  return 0;
}

async function fetchStatus({ statusUrl: url, token }: InstanceRecord): Promise<InstanceStatus> {
  try {
    const response = await fetch(`${url}/status`, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(10_000) });
    return (await response.json()) as InstanceStatus;
  } catch (cause) {
    throw new TopologyError("NOT_RUNNING", "the instance does not answer", { place: url, cure: "it may be starting or ending: try again", cause });
  }
}

function table(found: InstanceStatus, instance: { readonly pid: number; readonly clickhouseUrl: string; readonly statusUrl: string }): string {
  const { counters, cluster } = found;
  const list = (counts: Readonly<Record<string, number>>) => Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ") || "none";
  const rows: string[][] = [
    ["topology", `${found.topology} version ${found.version}, ${found.state}, process ${instance.pid}, since ${new Date(found.startedAt).toISOString()}`],
    ["clickhouse", instance.clickhouseUrl],
    ["status", instance.statusUrl],
    ...(cluster === undefined ? [] : clusterRows(cluster)),
    ["records", `read ${counters.read}, repeats ${counters.deduplicated}, filtered ${counters.filtered}, skipped ${counters.skipped}, late ${counters.late}`],
    ["dropped", list(counters.dropped)],
    ["rows", list(counters.written)],
    ["dead letters", list(counters.deadLetters)],
    ["windows", `${found.windowsOpen} in memory`],
    ...found.tasks.flatMap((task) => task.inputs.map((input) => [`${input.topic}-${input.partition}`, `at ${input.position} of ${input.end}, lag ${input.lag}${task.rebuilding ? ", rebuilding" : ""}`])),
    ...found.outbox.map((lane) => [`sink ${lane.target}`, `${lane.batches} batches wait, ${lane.delivered} delivered${lane.lastError === null ? "" : `, ${lane.lastError}`}`]),
  ];
  return columns(rows);
}

function clusterRows({ memberId, generation, rebalances, standby, restoring, abortedTransactions, fencedTasks, hangingTransactions, owners }: NonNullable<InstanceStatus["cluster"]>): string[][] {
  return [
    ["group", memberId === null ? "joining" : `member ${memberId}, generation ${generation}, ${rebalances} assignments, ${Object.keys(owners).length} tasks in all`],
    ["transactions", `${abortedTransactions} failed and done again, ${fencedTasks} tasks taken over by others`],
    ...hangingTransactions.map(({ transactionalId, startedAt, partitions }) => ["hanging", `transaction ${transactionalId} is open since ${new Date(startedAt).toISOString()} and holds back ${partitions.join(", ")}`]),
    ...hangingTransactions.map(({ transactionalId, startedAt }) => ["HANGING", `transaction ${transactionalId}, open since ${new Date(startedAt).toISOString()}: its partitions are not read past it`]),
    ...(standby.length === 0 ? [] : [["standby", standby.join(", ")]]),
    ...restoring.map(({ id, position, end }) => [`task ${id}`, `being restored, at ${position} of ${end} of its changelog`]),
  ];
}

import type { InstanceStatus } from "@iot-topology/core";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";

/** A label's values come from the topology (tasks, topics, sinks) or from the table of errors: never from data. */
type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

interface MetricSpec {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly labels: readonly string[];
  readonly read: (status: InstanceStatus) => readonly Sample[];
}

const counts = (label: string, values: Readonly<Record<string, number>>): Sample[] => Object.entries(values).map(([name, value]) => [{ [label]: name }, value]);

/** On the embedded log there is no group. */
const ofCluster = (value: number | undefined): Sample[] => (value === undefined ? [] : [[{}, value]]);

/** Kafka Streams' names where it has the metric, in Prometheus form. */
const METRICS: readonly MetricSpec[] = [
  { name: "process_records_total", help: "Records processed.", type: "counter", labels: [], read: ({ counters }) => [[{}, counters.read]] },
  { name: "commit_total", help: "Commits.", type: "counter", labels: [], read: ({ counters }) => [[{}, counters.commits]] },
  { name: "dropped_records_total", help: "Records that a step skipped, by reason: its error policy (skipped), or its own rule.", type: "counter", labels: ["reason"], read: ({ counters }) => counts("reason", { skipped: counters.skipped, ...counters.dropped }) },
  { name: "late_records_total", help: "Records that came after their window's grace.", type: "counter", labels: [], read: ({ counters }) => [[{}, counters.late]] },
  { name: "filtered_records_total", help: "Records that a filter held back.", type: "counter", labels: [], read: ({ counters }) => [[{}, counters.filtered]] },
  { name: "dedup_hits_total", help: "Repeats dropped.", type: "counter", labels: [], read: ({ counters }) => [[{}, counters.deduplicated]] },
  { name: "dead_letters_total", help: "Records refused, by reason.", type: "counter", labels: ["code"], read: ({ counters }) => counts("code", counters.deadLetters) },
  { name: "sink_rows_total", help: "Rows sealed for a sink.", type: "counter", labels: ["sink"], read: ({ counters }) => counts("sink", counters.written) },
  { name: "sink_batches_total", help: "Sealed batches acknowledged since the start.", type: "counter", labels: ["sink"], read: ({ outbox }) => outbox.map((lane) => [{ sink: lane.target }, lane.delivered]) },
  { name: "sink_uncertain_batches_total", help: "Batches verified because they might have arrived before.", type: "counter", labels: ["sink"], read: ({ outbox }) => outbox.map((lane) => [{ sink: lane.target }, lane.uncertain]) },
  { name: "outbox_batches", help: "Sealed batches that wait for a sink.", type: "gauge", labels: ["sink"], read: ({ outbox }) => outbox.map((lane) => [{ sink: lane.target }, lane.batches]) },
  { name: "outbox_bytes", help: "Their bytes.", type: "gauge", labels: ["sink"], read: ({ outbox }) => outbox.map((lane) => [{ sink: lane.target }, lane.bytes]) },
  {
    name: "records_lag",
    help: "Records of an input partition that are not processed yet.",
    type: "gauge",
    labels: ["topic", "partition"],
    read: ({ tasks }) => tasks.flatMap((task) => task.inputs.map((input): Sample => [{ topic: input.topic, partition: String(input.partition) }, input.lag])),
  },
  {
    name: "stream_time_seconds",
    help: "The greatest event time a task has seen.",
    type: "gauge",
    labels: ["task"],
    read: ({ tasks }) => tasks.flatMap((task): Sample[] => (task.streamTime === null ? [] : [[{ task: task.id }, task.streamTime / 1_000]])),
  },
  {
    name: "restore_active",
    help: "1 while a task's state is rebuilt from the log, or restored from its changelog.",
    type: "gauge",
    labels: ["task"],
    read: ({ tasks, cluster }) => [...tasks.map((task): Sample => [{ task: task.id }, task.rebuilding ? 1 : 0]), ...(cluster?.restoring ?? []).map(({ id }): Sample => [{ task: id }, 1])],
  },
  {
    name: "restore_remaining_records",
    help: "Offsets of a changelog that a task or a standby has still to apply.",
    type: "gauge",
    labels: ["task"],
    read: ({ cluster }) => (cluster?.restoring ?? []).map(({ id, position, end }) => [{ task: id }, Math.max(0, end - position)]),
  },
  { name: "windows_open", help: "Windows held in memory.", type: "gauge", labels: [], read: ({ windowsOpen }) => [[{}, windowsOpen]] },
  { name: "alive_tasks", help: "Tasks of this instance.", type: "gauge", labels: [], read: ({ tasks }) => [[{}, tasks.length]] },
  { name: "standby_tasks", help: "Tasks of which this instance keeps a copy.", type: "gauge", labels: [], read: ({ cluster }) => ofCluster(cluster?.standby.length) },
  { name: "group_tasks", help: "Tasks of the topology in all instances, as of the last assignment.", type: "gauge", labels: [], read: ({ cluster }) => ofCluster(cluster === undefined ? undefined : Object.keys(cluster.owners).length) },
  { name: "rebalance_total", help: "Assignments of tasks since the start.", type: "counter", labels: [], read: ({ cluster }) => ofCluster(cluster?.rebalances) },
  { name: "aborted_transactions_total", help: "Transactions that failed and whose tasks were opened again.", type: "counter", labels: [], read: ({ cluster }) => ofCluster(cluster?.abortedTransactions) },
  { name: "fenced_tasks_total", help: "Tasks that another instance took over before this one gave them up.", type: "counter", labels: [], read: ({ cluster }) => ofCluster(cluster?.fencedTasks) },
  { name: "hanging_transactions", help: "Transactions of others in the input that have been open for too long and hold readers back.", type: "gauge", labels: [], read: ({ cluster }) => ofCluster(cluster?.hangingTransactions.length) },
  { name: "failed", help: "1 where the instance has failed for good.", type: "gauge", labels: [], read: ({ state }) => [[{}, state === "failed" ? 1 : 0]] },
];

/** A registry of the instance's metrics, read when it is scraped, and of the process' own. */
export function metricsRegistry(topology: string, status: () => InstanceStatus): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ topology });
  collectDefaultMetrics({ register: registry });
  for (const spec of METRICS) {
    const options = { name: `iot_topology_${spec.name}`, help: spec.help, labelNames: [...spec.labels], registers: [registry] };
    if (spec.type === "gauge") {
      new Gauge({
        ...options,
        collect() {
          this.reset();
          for (const [labels, value] of spec.read(status())) this.set(labels, value);
        },
      });
    } else {
      new Counter({
        ...options,
        collect() {
          this.reset();
          for (const [labels, value] of spec.read(status())) this.inc(labels, value);
        },
      });
    }
  }
  return registry;
}

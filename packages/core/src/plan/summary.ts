import type { CastForm, ProcessNode, StoreDeclaration, SuppressBuffer, TopologyNode } from "../topology/index.ts";
import { duration } from "./duration.ts";
import { windowsText } from "./window-text.ts";

function castText(reads: CastForm): string {
  if (reads.kind === "standard") return `cast by a schema of ${reads.schema["~standard"].vendor}`;
  return `cast to ${reads.schema.name}${reads.format === undefined ? "" : ` from ${reads.format.name}`}`;
}

function ttlText(ttlMs: number | undefined): string {
  return ttlMs === undefined ? "" : `, rows stand for ${duration(ttlMs)}`;
}

function storeText({ name, form }: StoreDeclaration): string {
  if (form.kind === "custom") return `${name} (custom)`;
  const kept = form.kind === "versioned" ? `, history ${duration(form.historyMs)}` : "retentionMs" in form ? `, retention ${duration(form.retentionMs)}` : form.ttlMs === undefined ? "" : `, TTL ${duration(form.ttlMs)}`;
  return `${name} (${form.kind}, ${form.serde.name}${kept})`;
}

function processText({ keepsKey, stores, schedules }: ProcessNode): string {
  const used = stores.length === 0 ? "" : `; ${stores.length === 1 ? "store" : "stores"} ${stores.map(storeText).join(", ")}`;
  return `process${keepsKey ? " values" : ""}${schedules === "none" ? "" : `, may be called by ${schedules === "wall-clock" ? "wall clock" : "stream time"}`}${used}`;
}

function bufferText({ recordsMax, bytesMax, full }: SuppressBuffer): string {
  if (full === "spill") return "";
  const bounds = [...(recordsMax === undefined ? [] : [`${recordsMax} changes`]), ...(bytesMax === undefined ? [] : [`${bytesMax} bytes`])];
  return `, at most ${bounds.join(" and ")}, then ${full}`;
}

/** One line on what a step does. */
export function summary(node: TopologyNode): string {
  switch (node.kind) {
    case "source":
      return node.repartition === undefined ? `source ${node.topics.join(", ")}` : `repartitioned, topic ${node.topics.join(", ")}`;
    case "repartition":
      if (node.changes !== undefined) return `repartition of changes${node.partitions === undefined ? "" : ` over ${node.partitions} partitions`}, ${node.changes.serde.name}, in topic ${node.topic}`;
      return `repartition by ${node.fields === undefined ? "a function" : node.fields.join(", ")}${node.partitions === undefined ? "" : ` over ${node.partitions} partitions`} in topic ${node.topic}`;
    case "cast":
      return `${castText(node.reads)}${node.timestampField === undefined ? "" : `, event time ${node.timestampField}`}${node.partitionedBy === undefined ? "" : `, partitioned by ${node.partitionedBy}`}`;
    case "branch":
      return `branch ${node.arms.map((arm) => arm.name).join(", ")}, rest`;
    case "arm":
      return `arm ${node.index + 1}`;
    case "dedup": {
      const by = node.fields === undefined ? "a function" : node.fields.join(", ");
      const form = node.sequenceField === undefined ? "" : `, sequence ${node.sequenceField} as ranges`;
      return `dedup by ${by}${form}, ${node.withinMs === undefined ? "unbounded" : `within ${duration(node.withinMs)}`}; store ${node.name}`;
    }
    case "aggregate":
    case "windowed-group": {
      const window = node.kind === "aggregate" ? windowsText(node.window) : windowsText(node.window, node.emit, node.retentionMs);
      const columns = node.aggregation.kind === "reduce" ? "reduce" : Object.entries(node.aggregation.columns).map(([name, column]) => `${name} = ${column.kind}(${column.field ?? ""})`).join(", ");
      return `group by ${node.groupBy.join(", ")}${window}: ${columns}; store ${node.name}`;
    }
    case "decode":
      return `decode ${node.serde.name}`;
    case "table":
      return `table, ${node.serde.name}${node.historyMs === undefined ? "" : `, history ${duration(node.historyMs)}`}${ttlText(node.ttlMs)}; store ${node.name}`;
    case "table-filter":
    case "table-map":
      return `${node.kind === "table-map" ? "map values" : "filter"} of a table${node.serde === undefined ? "" : `, ${node.serde.name}; store ${node.name}`}`;
    case "keyed-aggregate":
      return `${node.aggregation.kind} a key, ${node.serde.name}${ttlText(node.ttlMs)}; store ${node.name}`;
    case "stream-stream-join": {
      const { beforeMs, afterMs, graceMs } = node.window;
      return `${node.join} join within ${duration(beforeMs)} before and ${duration(afterMs)} after, grace ${duration(graceMs)}, ${node.left.name} with ${node.right.name}; store ${node.name}`;
    }
    case "stream-table-join":
      return `${node.join} join with a table${node.hold === undefined ? "" : `, grace ${duration(node.hold.graceMs)}; store ${node.name}`}`;
    case "global-table":
      return `global table of topic ${node.topic}, ${node.serde.name}; store ${node.name}`;
    case "stream-global-table-join":
      return `${node.join} join with a global table by a function`;
    case "table-group":
      return "rows of a table under the keys of their groups";
    case "table-aggregate":
      return `${node.aggregation.kind} of a table's rows, ${node.serde.name}; store ${node.name}`;
    case "table-join":
      return `${node.join} join of tables${node.serde === undefined ? "" : `, ${node.serde.name}; store ${node.name}`}`;
    case "foreign-key-join":
      return `${node.join} join of tables by foreign key; store ${node.name}`;
    case "map-async":
      return `calls, ${node.isOrdered ? "ordered" : "unordered"}, ${node.concurrency} at once, ${node.pendingMax} pending, ${node.attempts === 1 ? "" : `${node.attempts} attempts of `}${duration(node.timeoutMs)} at most; store ${node.name}`;
    case "process":
      return processText(node);
    case "process-child":
      return `child ${node.child}`;
    case "cogroup":
      return `cogroup of ${node.upstream.length} streams a key, ${node.serde.name}; store ${node.name}`;
    case "windowed-aggregate":
      return `${node.aggregation.kind} a key${windowsText(node.window, node.emit, node.retentionMs)}, ${node.serde.name}; store ${node.name}`;
    case "suppress":
      return `suppress until ${node.until.kind === "time-limit" ? `${duration(node.until.limitMs)} have passed` : "windows close"}${bufferText(node.buffer)}; store ${node.name}`;
    case "sink":
      return `sink ${node.spec.summary} [${node.spec.guarantee.level}: ${node.spec.guarantee.by}]`;
    default:
      return node.kind;
  }
}

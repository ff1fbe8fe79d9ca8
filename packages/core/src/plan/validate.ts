import { type Either, left, right } from "fp-ts/lib/Either.js";
import type { NonEmptyArray } from "fp-ts/lib/NonEmptyArray.js";
import { isStableName } from "../model/index.ts";
import type { SinkSpec } from "../port/index.ts";
import { ASYNCHRONOUS_SCHEMA, isAsynchronous } from "../schema/index.ts";
import { globalTableOf, type Topology, type TopologyNode } from "../topology/index.ts";
import { cut } from "./cut.ts";
import { internalTopics } from "./internal-topics.ts";
import { joinProblems } from "./join-problems.ts";
import { processProblems } from "./process-problems.ts";
import { fieldProblems, repartitionProblems } from "./repartition-problems.ts";
import { tableProblems } from "./table-problems.ts";
import { windowStepProblems } from "./window-problems.ts";
import { downstream, type Plan, type PlanError, policyOf, problem, stepName } from "./plan.ts";

function nameProblems(topology: Topology): PlanError[] {
  const problems: PlanError[] = [];
  if (!isStableName(topology.name)) {
    problems.push(problem("NAME_INVALID", topology.name, `the topology's name "${topology.name}" cannot be used`, "use letters, digits, '.', '_' and '-', at most 200"));
  }
  if (!Number.isSafeInteger(topology.version) || topology.version < 1) {
    problems.push(problem("VERSION_INVALID", topology.name, `the version ${topology.version} is not a whole number from 1`, "count versions 1, 2, 3, ..."));
  }
  const seen = new Map<string, TopologyNode>();
  for (const node of topology.nodes) {
    if (node.kind === "sink") continue;
    if (node.name === undefined) {
      if (policyOf(node)?.kind === "dead-letter") {
        problems.push(problem("NAME_REQUIRED", stepName(node), "a step that sends records to the dead letters needs a name, which is stored with them", 'give it { name: "..." }'));
      }
      continue;
    }
    if (node.kind !== "source" && !isStableName(node.name)) {
      problems.push(problem("NAME_INVALID", node.name, `the name "${node.name}" cannot be used`, "use letters, digits, '.', '_' and '-', at most 200"));
    }
    const other = seen.get(node.name);
    if (other !== undefined && other.kind !== "source" && node.kind !== "source") {
      problems.push(problem("NAME_DUPLICATE", node.name, `two steps have the name "${node.name}" (${other.kind} and ${node.kind})`, "names are stored with state and dead letters: give each step its own"));
    }
    seen.set(node.name, node);
  }
  return problems;
}

function sourceProblems(topology: Topology): PlanError[] {
  const problems: PlanError[] = [];
  const sources = topology.nodes.filter((node) => node.kind === "source");
  if (sources.length === 0) problems.push(problem("SOURCE_MISSING", topology.name, "the topology has no source", 'begin with t.source("topic")'));
  const readers = new Map<string, string>();
  for (const source of sources) {
    if (source.redeliveryMs !== undefined && !(source.redeliveryMs >= 0)) problems.push(problem("SOURCE_INVALID", stepName(source), `redelivery is ${source.redeliveryMs} ms`, "give a length of time, 0 where no record is ever sent again"));
    for (const topic of source.topics) {
      if (!isStableName(topic)) problems.push(problem("NAME_INVALID", stepName(source), `the topic name "${topic}" cannot be used`, "use letters, digits, '.', '_' and '-', at most 200"));
      const other = readers.get(topic);
      if (other !== undefined) problems.push(problem("TOPIC_DUPLICATE", stepName(source), `topic "${topic}" is read by two sources`, "read it once and use the stream twice"));
      readers.set(topic, stepName(source));
    }
  }
  for (const node of topology.nodes) {
    if (node.kind !== "global-table") continue;
    const { name, topic } = node;
    if (!isStableName(topic)) problems.push(problem("NAME_INVALID", name, `the topic name "${topic}" cannot be used`, "use letters, digits, '.', '_' and '-', at most 200"));
    if (readers.has(topic)) problems.push(problem("TOPIC_DUPLICATE", name, `topic "${topic}" is read by ${readers.get(topic)} and as a global table`, "read it once: join streams with one global table as often as you like, and write to another topic what a stream needs"));
    readers.set(topic, name);
    if (!topology.nodes.some((other) => globalTableOf(other) === node.id)) problems.push(problem("GLOBAL_TABLE_UNUSED", name, "no stream is joined with this global table", "join one with it, or leave it out"));
  }
  return problems;
}

function stateProblems(node: TopologyNode): PlanError[] {
  if (node.kind === "cast") {
    const fields = [node.timestampField, node.partitionedBy].filter((field) => field !== undefined);
    if (node.reads.kind === "columns") return fieldProblems(stepName(node), node.reads.schema, fields);
    return isAsynchronous(node.reads.schema) ? [problem("SCHEMA_ASYNCHRONOUS", stepName(node), ASYNCHRONOUS_SCHEMA.message, ASYNCHRONOUS_SCHEMA.cure)] : [];
  }
  if (node.kind === "dedup") {
    const fields = [...(node.fields ?? []), ...(node.sequenceField === undefined ? [] : [node.sequenceField])];
    const problems = fieldProblems(node.name, node.schema, fields);
    if (node.fields?.length === 0) problems.push(problem("DEDUP_INVALID", node.name, "a dedup by no fields takes all records for one", "name at least one field"));
    if (node.sequenceField !== undefined && node.fields === undefined) {
      problems.push(problem("DEDUP_INVALID", node.name, "a dedup by sequence needs `by` as fields", 'name the fields whose sequence counts up, as in by: ["deviceId"]'));
    }
    if (node.withinMs !== undefined && !(node.withinMs > 0)) problems.push(problem("DEDUP_INVALID", node.name, `within is ${node.withinMs} ms`, "give a length of time above 0"));
    return problems;
  }
  if (node.kind !== "aggregate" && node.kind !== "windowed-group") return windowStepProblems(node);
  const columns = node.aggregation.kind === "columns" ? Object.values(node.aggregation.columns) : [];
  const problems = fieldProblems(node.name, node.schema, [...node.groupBy, ...columns.flatMap((column) => column.field ?? [])]);
  if (node.groupBy.length === 0) problems.push(problem("FIELD_UNKNOWN", node.name, "groupBy has no fields", "name the fields to group by"));
  return [...problems, ...windowStepProblems(node)];
}

function sinkProblems(topology: Topology): PlanError[] {
  const problems: PlanError[] = [];
  const seen = new Set<string>();
  for (const node of topology.nodes) {
    if (node.kind === "dead-letter" && downstream(topology.nodes, node.id).length === 0) {
      problems.push(problem("DEAD_LETTERS_LOST", node.name, "nothing stores these dead letters", "end the stream in a sink, as in dead.sink(...)"));
    }
    if (node.kind !== "sink") continue;
    if (seen.has(node.name)) {
      problems.push(problem("SINK_DUPLICATE", node.name, `two streams end in ${node.spec.connector} ${node.spec.target}`, "merge them first and sink once"));
    }
    seen.add(node.name);
    for (const text of node.spec.problems) problems.push(problem("SINK_INVALID", node.name, text, "mend the sink's declaration"));
  }
  return problems;
}

/** Checks a topology as a whole and cuts it into the parts that run. Reports all errors at once. */
export function validate(topology: Topology): Either<NonEmptyArray<PlanError>, Plan> {
  const subTopologies = cut(topology);
  const problems = [
    ...nameProblems(topology),
    ...sourceProblems(topology),
    ...topology.nodes.flatMap(stateProblems),
    ...topology.nodes.flatMap((node) => joinProblems(topology, node)),
    ...topology.nodes.flatMap((node) => tableProblems(topology.nodes, node)),
    ...processProblems(topology),
    ...sinkProblems(topology),
    ...repartitionProblems(topology, subTopologies),
  ];
  const [first, ...rest] = problems;
  if (first !== undefined) return left([first, ...rest]);
  const sinks = topology.nodes.flatMap((node) => (node.kind === "sink" || (node.kind === "repartition" && node.spec !== undefined) ? [node.spec as SinkSpec<never>] : []));
  return right(Object.freeze({ topology, subTopologies, sinks: Object.freeze(sinks), internalTopics: internalTopics(topology, subTopologies) }));
}

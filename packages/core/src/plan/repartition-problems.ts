import { TopologyError } from "../model/index.ts";
import { type AnySchema, compileRepartitionKey, type RepartitionNode, type Topology } from "../topology/index.ts";
import { downstream, type PlanError, problem, type SubTopology } from "./plan.ts";

const PARTITIONS_MAX = 10_000;

/** Fields that a step names and its schema does not have. */
export function fieldProblems(step: string, schema: AnySchema | undefined, fields: readonly string[]): PlanError[] {
  if (schema === undefined) return [];
  const known = schema.columns.map((column) => column.name);
  return fields
    .filter((field) => !known.includes(field))
    .map((field) => problem("FIELD_UNKNOWN", step, `${schema.name} has no field "${field}"`, `use one of ${known.join(", ")}`));
}

function keyProblems({ name, form, fields }: RepartitionNode): PlanError[] {
  if (form === undefined || fields === undefined) return [];
  if (fields.length === 0) return [problem("REPARTITION_INVALID", name, "a repartition by no fields brings nothing together", "name at least one field, or give a function")];
  if (form.values.kind === "serde") return [problem("REPARTITION_INVALID", name, "values that a serde keeps have no fields that are known", "give the key by a function, or give a schema")];
  const unknown = fieldProblems(name, form.values.schema, fields);
  if (unknown.length > 0) return unknown;
  try {
    compileRepartitionKey(form, fields);
    return [];
  } catch (cause) {
    if (!(cause instanceof TopologyError)) throw cause;
    return [problem("REPARTITION_INVALID", name, cause.message.split("\n")[0] as string, "repartition by fields that hold text, numbers or moments")];
  }
}

function nodeProblems(topology: Topology, node: RepartitionNode): PlanError[] {
  const { name, partitions, topic } = node;
  const problems = keyProblems(node);
  if (node.form === undefined && node.changes === undefined) {
    problems.push(problem("SCHEMA_REQUIRED", name, "nothing says how these values are kept in the topic: they were mapped, merged or aggregated since their cast, or cast by a schema without columns", "give a record schema of the values, as in .repartition(name, { by, schema: Row }), or a serde and a key, as in .repartition(name, { by: (value) => ..., value: serde.json<Row>() })"));
  }
  if (node.form?.partitioner !== undefined && partitions === undefined) {
    problems.push(problem("REPARTITION_INVALID", name, "a partitioner must know how many partitions there are", "give `partitions` too"));
  }
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1 && partitions <= PARTITIONS_MAX)) {
    problems.push(problem("REPARTITION_INVALID", name, `a topic cannot have ${partitions} partitions`, `give a whole number from 1 to ${PARTITIONS_MAX}, or none`));
  }
  for (const other of topology.nodes) {
    if (other.kind === "source" && other.repartition === undefined && (other.name === name || other.topics.includes(topic))) {
      const what = other.topics.includes(topic) ? `topic "${topic}" is the repartition's own` : `a source has the name "${name}" too, and tasks are named after both`;
      problems.push(problem("NAME_DUPLICATE", name, what, "give the repartition another name"));
    }
    if (other.kind === "sink" && other.spec.connector === "log" && other.spec.target === topic) {
      problems.push(problem("NAME_DUPLICATE", name, `a stream ends in topic "${topic}", which is the repartition's own`, "give the repartition another name"));
    }
    if (other.kind === "source" && other.repartition?.writer === node.id && downstream(topology.nodes, other.id).length === 0) {
      problems.push(problem("REPARTITION_UNUSED", name, "nothing reads what is repartitioned here", "put the steps that need it behind it, or leave it out"));
    }
  }
  return problems;
}

/** Whether a part gets, over whatever other parts, what it writes itself. */
function isInCycle(start: SubTopology, parts: readonly SubTopology[]): boolean {
  const reached = new Set<SubTopology>();
  const readersOf = (part: SubTopology): SubTopology[] => parts.filter((other) => part.repartitions.some(({ topic }) => other.topics.includes(topic)));
  const waiting = readersOf(start);
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (part === start) return true;
    if (reached.has(part)) continue;
    reached.add(part);
    waiting.push(...readersOf(part));
  }
  return false;
}

function partProblems(part: SubTopology, parts: readonly SubTopology[], all: readonly RepartitionNode[]): PlanError[] {
  const problems: PlanError[] = [];
  const written = part.repartitions[0];
  if (written !== undefined && isInCycle(part, parts)) {
    problems.push(
      problem("REPARTITION_CYCLE", written.name, `the records before it and those behind a repartition are merged in one part (${part.name}), which would read what it writes`, "repartition every stream of the merge, or keep what stands behind the repartition apart"),
    );
  }
  const read = all.filter(({ topic, partitions }) => partitions !== undefined && part.topics.includes(topic));
  const [first, ...others] = read;
  for (const other of others) {
    if (other.partitions === first?.partitions) continue;
    problems.push(problem("PARTITIONS_MISMATCH", other.name, `it has ${other.partitions} partitions and ${first?.name}, which is read with it, ${first?.partitions}: equal keys would not meet`, "give both the same number of partitions"));
  }
  return problems;
}

/** What is wrong with a topology's repartitions. */
export function repartitionProblems(topology: Topology, parts: readonly SubTopology[]): PlanError[] {
  const all = topology.nodes.flatMap((node) => (node.kind === "repartition" ? [node] : []));
  const problems = all.flatMap((node) => nodeProblems(topology, node));
  return problems.length > 0 ? problems : parts.flatMap((part) => partProblems(part, parts, all));
}

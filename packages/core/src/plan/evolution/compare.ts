/** What has changed between a topology's lock and the topology as it is, each change with what comes of it, before anything is deployed. */
import { type Difference, isSameShape, readingDifferences } from "../../schema/index.ts";
import type { Plan } from "../plan.ts";
import { storeDifferences } from "./compare-store.ts";
import { type CastLock, lockOf, type RepartitionLock, storesOfPlan, type TopologyLock } from "./lock.ts";

/** A change of a topology. */
export interface Change {
  /** A breaking change loses something, or is refused at the next start. */
  readonly kind: "compatible" | "breaking";
  readonly what: "version" | "part" | "source" | "cast" | "store" | "repartition" | "sink";
  readonly name: string;
  readonly message: string;
  /** How it migrates, or what is lost. */
  readonly effect: string;
}

type What = Change["what"];
type Named<T> = Readonly<Record<string, T>>;

function change(what: What, name: string, { isBreaking, message, effect }: Difference): Change {
  return { kind: isBreaking ? "breaking" : "compatible", what, name, message, effect };
}

/** What became of the entries of one kind: those that are gone, those that are new, and those that are there as before. */
function each<T>(what: What, before: Named<T>, after: Named<T>, say: { readonly gone: Difference; readonly added: Difference; readonly changed: (name: string, was: T, is: T) => readonly Difference[] }): Change[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.flatMap((name) => {
    const [was, is] = [before[name], after[name]];
    if (is === undefined) return [change(what, name, say.gone)];
    if (was === undefined) return [change(what, name, say.added)];
    return say.changed(name, was, is).map((difference) => change(what, name, difference));
  });
}

const lost = (message: string, effect: string): Difference => ({ isBreaking: true, message, effect });
const fine = (message: string, effect: string): Difference => ({ isBreaking: false, message, effect });

function castDifferences(was: CastLock, is: CastLock): readonly Difference[] {
  const found: Difference[] = [];
  if (was.format !== is.format) found.push(lost(`it read ${was.format} and reads ${is.format}`, "what is in its topics in the other format is refused"));
  if (was.timestamp !== is.timestamp) found.push(lost(`event time was ${was.timestamp ?? "the log's"} and is ${is.timestamp ?? "the log's"}`, "the same input makes other rows: raise the version where sinks must hold both"));
  if (was.partitionedBy !== is.partitionedBy) found.push(fine(`partitionedBy was ${was.partitionedBy ?? "none"} and is ${is.partitionedBy ?? "none"}`, "records with other keys are refused where the topic has several partitions"));
  if (was.columns !== undefined && is.columns !== undefined) found.push(...readingDifferences(was.columns, is.columns, "records"));
  else if (was.columns !== is.columns) found.push(lost("columns were exchanged for a schema without, or the reverse", "nobody can tell which records are refused"));
  return found;
}

function repartitionDifferences(was: RepartitionLock, is: RepartitionLock): readonly Difference[] {
  const found: Difference[] = [];
  if (was.by !== is.by) found.push(lost(`it was by ${was.by} and is by ${is.by}`, "equal keys no longer meet what was stored of them behind it"));
  if (!isSameShape(was.value, is.value)) found.push(lost("its values have another form", "records on their way in its topic cannot be read: let the former version drain it first, or give the repartition another name"));
  if (was.partitioner !== is.partitioner) found.push(lost(`partitions were chosen by ${was.partitioner ?? "the log"} and are by ${is.partitioner ?? "the log"}`, "equal keys are in other tasks than what was stored of them"));
  if (was.partitions !== is.partitions) found.push(lost(`its partitions were ${was.partitions ?? "as many as its writers have"} and are ${is.partitions ?? "as many as its writers have"}`, "a topic that exists keeps its partitions; with others, equal keys are in other tasks than their state"));
  return found;
}

function storeChanges(before: TopologyLock, after: TopologyLock, plan: Plan): Change[] {
  const stores = new Map(storesOfPlan(plan).map((store) => [store.name, store]));
  return each("store", before.stores, after.stores, {
    gone: lost("it is gone", "what it holds is lost; a store of that name that comes back later is refused, for it would lack what came in between"),
    added: fine("it is new", "it begins empty: what was processed before is not in it"),
    changed: (name, was, is) => {
      const store = stores.get(name);
      // A global table is in every task that asks it.
      const moved = was.part === is.part || is.kind === "global-table" ? [] : [lost(`it was kept by the tasks of ${was.part} and is by those of ${is.part}`, "what it holds stays with the former tasks")];
      return [...moved, ...(store === undefined ? [] : storeDifferences(was, store))];
    },
  });
}

function versionChanges(before: TopologyLock, after: TopologyLock): Change[] {
  if (before.version === after.version) return [];
  const message = `it was ${before.version} and is ${after.version}`;
  if (after.version < before.version) return [change("version", "version", lost(message, "rows get the tokens of rows that were delivered before, and may be dropped as repeats"))];
  return [change("version", "version", fine(message, "rows of the same input are rows of their own from now on; changes that lose something are taken as meant"))];
}

function sourceChanges(before: TopologyLock, after: TopologyLock): Change[] {
  return each("source", before.sources, after.sources, {
    gone: lost("it is gone", "its topics are no longer read"),
    added: fine("it is new", "its topics are read from their beginning"),
    changed: (_name, was, is) => [
      ...was.topics.filter((topic) => !is.topics.includes(topic)).map((topic) => lost(`it no longer reads ${topic}`, "what comes there is not processed")),
      ...is.topics.filter((topic) => !was.topics.includes(topic)).map((topic) => fine(`it reads ${topic} too`, "from its beginning")),
    ],
  });
}

function partChanges(before: TopologyLock, after: TopologyLock): Change[] {
  return each("part", before.parts, after.parts, {
    gone: lost("it is gone", "its tasks' stores and positions in the input are left behind"),
    added: fine("it is new", "its tasks begin with empty stores, at the beginning of their input"),
    changed: () => [],
  });
}

/**
 * What has changed since a lock was written, in the order version, parts, sources, casts, stores, repartitions, sinks.
 *
 * @example changesSince(lock, plan).filter(({ kind }) => kind === "breaking")
 */
export function changesSince(before: TopologyLock, plan: Plan): readonly Change[] {
  const after = lockOf(plan);
  const specs = new Map(plan.sinks.map((spec) => [`${spec.connector}:${spec.target}`, spec]));
  return [
    ...versionChanges(before, after),
    ...partChanges(before, after),
    ...sourceChanges(before, after),
    ...each("cast", before.casts, after.casts, {
      gone: fine("it is gone", "nothing is stored under it but the name in earlier dead letters"),
      added: fine("it is new", "nothing was stored under it"),
      changed: (_name, was, is) => castDifferences(was, is),
    }),
    ...storeChanges(before, after, plan),
    ...each("repartition", before.repartitions, after.repartitions, {
      gone: lost("it is gone", "records on their way in its topic are never processed: let it drain first"),
      added: fine("it is new", "its topic is made where it may be"),
      changed: (_name, was, is) => repartitionDifferences(was, is),
    }),
    ...each("sink", before.sinks, after.sinks, {
      gone: lost("it is gone", "its target stays as it is and gets nothing more"),
      added: fine("it is new", "it gets rows from now on, not those of what was processed before"),
      changed: (name, was, is) => {
        if (JSON.stringify(was) === JSON.stringify(is)) return [];
        return specs.get(name)?.changesSince?.(was) ?? [lost("its declaration has changed", "the connector cannot tell what that means")];
      },
    }),
  ];
}

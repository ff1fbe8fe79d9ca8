import type { NodeId, TopologyNode } from "../topology/index.ts";
import type { TaskContext } from "./context.ts";
import type { Link } from "./link.ts";
import { aggregateLink } from "./operators/aggregate.ts";
import { castLink } from "./operators/cast.ts";
import { cogroupLinks } from "./operators/cogroup.ts";
import { decodeLink } from "./operators/decode.ts";
import { dedupLink } from "./operators/dedup.ts";
import { foreignKeyJoinLinks } from "./operators/foreign-key-join.ts";
import { globalTableLink } from "./operators/global-table.ts";
import { keyedAggregateLink } from "./operators/keyed-aggregate.ts";
import { mapAsyncLink } from "./operators/map-async.ts";
import { processLink } from "./operators/process.ts";
import { repartitionedChangesLink, repartitionedLink, repartitionLink } from "./operators/repartition.ts";
import { sinkLink } from "./operators/sink.ts";
import { branchLink, filterLink, flatMapLink, flatMapRecordLink, mapLink, mapRecordLink, peekLink, rekeyLink } from "./operators/stateless.ts";
import { streamStreamJoinLinks } from "./operators/stream-stream-join.ts";
import { streamGlobalTableJoinLink, streamTableJoinLinks } from "./operators/stream-table-join.ts";
import { tableAggregateLink, tableGroupLink } from "./operators/table-group.ts";
import { tableJoinLinks } from "./operators/table-join.ts";
import { suppressLink } from "./operators/suppress.ts";
import { tableFilterLink, tableLink, tableMapLink, toStreamLink } from "./operators/table.ts";
import { windowedAggregateLinks } from "./operators/windowed-aggregate.ts";
import { windowedGroupLink } from "./operators/windowed-group.ts";

/** The links behind a node. Each is asked for at most once, while the node is compiled. */
export interface Behind {
  /** What takes the node's records. */
  readonly next: () => Link;
  /** What takes its late records. */
  readonly late: () => Link;
  /** What takes those for the nodes behind it that are accepted. */
  readonly child: (accept: (node: TopologyNode) => boolean) => Link;
  /** The arms of a branch, by index. */
  readonly arms: () => ReadonlyMap<number, Link>;
}

type NodeOf<K extends TopologyNode["kind"]> = TopologyNode & { readonly kind: K };
/** Compiles a node: one link, or a link for each of its inputs. */
type Operator<K extends TopologyNode["kind"]> = (context: TaskContext, node: NodeOf<K>, step: string, behind: Behind) => Link | readonly Link[];

const passOn = (_context: TaskContext, _node: { readonly id: NodeId }, _step: string, behind: Behind): Link => behind.next();

/** How each kind of step is compiled. A new operator is a node, a line here, and its own file. */
const OPERATORS: { readonly [K in TopologyNode["kind"]]: Operator<K> } = {
  source: (_context, { repartition }, _step, behind) => {
    if (repartition?.changes !== undefined) return repartitionedChangesLink(repartition.changes, behind.next());
    return repartition?.form === undefined ? behind.next() : repartitionedLink(repartition.form, behind.next());
  },
  merge: passOn,
  arm: passOn,
  late: passOn,
  "dead-letter": passOn,
  cast: (context, node, step, behind) => castLink(context, node, step, behind.next()),
  decode: (context, node, step, behind) => decodeLink(context, node, step, behind.next()),
  filter: (context, node, step, behind) => filterLink(context, node, step, behind.next()),
  map: (context, node, step, behind) => mapLink(context, node, step, behind.next()),
  flatMap: (context, node, step, behind) => flatMapLink(context, node, step, behind.next()),
  "map-record": (context, node, step, behind) => mapRecordLink(context, node, step, behind.next()),
  "flat-map-record": (context, node, step, behind) => flatMapRecordLink(context, node, step, behind.next()),
  peek: (context, node, step, behind) => peekLink(context, node, step, behind.next()),
  rekey: (context, node, step, behind) => rekeyLink(context, node, step, behind.next()),
  branch: (context, node, step, behind) => branchLink(context, node, step, behind.arms()),
  dedup: (context, node, _step, behind) => dedupLink(context, node, behind.next(), behind.late()),
  aggregate: (context, node, _step, behind) => aggregateLink(context, node, behind.next(), behind.late()),
  repartition: (context, node) => repartitionLink(context, node),
  sink: (context, node) => sinkLink(context, node),
  "map-async": (context, node, _step, behind) => mapAsyncLink(context, node, behind.next()),
  process: (context, node, _step, behind) => processLink(context, node, behind),
  "process-child": passOn,
  table: (context, node, _step, behind) => tableLink(context, node, behind.next()),
  "table-filter": (context, node, step, behind) => tableFilterLink(context, node, step, behind.next()),
  "table-map": (context, node, step, behind) => tableMapLink(context, node, step, behind.next()),
  "to-stream": (context, node, _step, behind) => toStreamLink(context, node, behind.next()),
  "global-table": (context, node) => globalTableLink(context, node),
  "stream-global-table-join": (context, node, step, behind) => streamGlobalTableJoinLink(context, node, step, behind.next()),
  "table-group": (context, node, step, behind) => tableGroupLink(context, node, step, behind.next()),
  "table-aggregate": (context, node, _step, behind) => tableAggregateLink(context, node, behind.next()),
  "table-join": (context, node, step, behind) => tableJoinLinks(context, node, step, behind.next()),
  "foreign-key-join": (context, node, _step, behind) => foreignKeyJoinLinks(context, node, behind.next()),
  "keyed-aggregate": (context, node, _step, behind) => keyedAggregateLink(context, node, behind.next()),
  "stream-stream-join": (context, node, _step, behind) => streamStreamJoinLinks(context, node, behind.next()),
  "stream-table-join": (context, node, step, behind) => streamTableJoinLinks(context, node, step, behind.next()),
  cogroup: (context, node, _step, behind) => cogroupLinks(context, node, behind.next()),
  "windowed-aggregate": (context, node, _step, behind) => windowedAggregateLinks(context, node, behind.next(), behind.late()),
  "windowed-group": (context, node, _step, behind) => windowedGroupLink(context, node, behind.next(), behind.late()),
  suppress: (context, node, _step, behind) => suppressLink(context, node, behind.next()),
};

/** Compiles one node. */
export function operatorOf(context: TaskContext, node: TopologyNode, step: string, behind: Behind): Link | readonly Link[] {
  return (OPERATORS[node.kind] as Operator<never>)(context, node as never, step, behind);
}

/** Dedup in three forms: a key an identity, a key an identity and a stretch of time, ranges of sequence numbers. The first in the log stands. */
import { TopologyError } from "../../model/index.ts";
import { integerCodec } from "../../state/codec.ts";
import { PresenceTable, type WriteKey } from "../../state/presence-table.ts";
import { PAGE_SIZE, SequencePage, sequencePageCodec } from "../../state/sequence-page.ts";
import { RecentEntries } from "../../state/recent-entries.ts";
import { StateTable } from "../../state/table.ts";
import { WindowTable } from "../../state/window-table.ts";
import type { DedupNode } from "../../topology/index.ts";
import { advanceStreamTime, type TaskContext } from "../context.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf, type Refuse } from "../refuse.ts";
import { compileScalarKey, compileScalarKeyWriter } from "../scalar-key.ts";

/** Whether the record is the first of its identity, or too late to tell. Throws where the identity cannot be told. */
type Judge = (record: AnyRecord) => "first" | "repeat" | "late";

function compileIdentity(node: DedupNode): (record: AnyRecord) => string {
  const { identity, fields } = node;
  if (identity !== undefined) return (record) => identity(record.value, record);
  const key = compileScalarKey(fields ?? []);
  return (record) => key(record.value);
}

/** The same identity as bytes. */
function compileIdentityWriter({ identity, fields }: DedupNode): WriteKey<AnyRecord> {
  if (identity !== undefined) return (writer, record) => writer.utf8(identity(record.value, record));
  const write = compileScalarKeyWriter(fields ?? []);
  return (writer, record) => write(writer, record.value);
}

function unbounded(context: TaskContext, node: DedupNode): Judge {
  const write = compileIdentityWriter(node);
  const table = new PresenceTable(context.backend, node.name, { entriesMax: context.cacheEntriesMax });
  context.tables.push(table);
  return (record) => (table.add(write, record) ? "first" : "repeat");
}

const BIGINT_PAGE = BigInt(PAGE_SIZE);

function sequenced(context: TaskContext, node: DedupNode, field: string): Judge {
  const identity = compileIdentity(node);
  const table = new StateTable(context.backend, node.name, sequencePageCodec, { entriesMax: context.cacheEntriesMax, scratch: context.scratch });
  context.tables.push(table);
  const recent = new RecentEntries<SequencePage>(table);
  const only = node.identity === undefined && node.fields?.length === 1 ? node.fields[0] : undefined;
  return (record) => {
    const raw: unknown = record.value[field];
    let page: number | bigint;
    let place: number;
    const small = typeof raw === "bigint" ? Number(raw) : raw;
    if (typeof small !== "number" || (typeof raw === "number" && !Number.isSafeInteger(raw))) throw new TypeError(`field ${field} is not a whole number`);
    if (Number.isSafeInteger(small)) {
      page = Math.floor(small / PAGE_SIZE);
      place = small - page * PAGE_SIZE;
    } else {
      const big = raw as bigint;
      place = Number(((big % BIGINT_PAGE) + BIGINT_PAGE) % BIGINT_PAGE);
      page = (big - BigInt(place)) / BIGINT_PAGE;
    }
    const name: unknown = only === undefined ? undefined : record.value[only];
    let entry = recent.get(name);
    let seen = entry?.value;
    if (entry === undefined || seen === undefined || seen.page !== page) {
      const key = `${identity(record)}#${page}`;
      entry = table.find(key);
      seen = entry?.value;
      if (entry === undefined || seen === undefined) {
        seen = new SequencePage();
        entry = table.insert(key, seen);
      }
      seen.page = page;
      recent.set(name, entry);
    }
    if (!seen.add(place)) return "repeat";
    table.change(entry);
    return "first";
  };
}

/**
 * Within a time: an identity's accepted moments stand in segments as long as that time, so that no segment holds two of them and a look at three
 * segments finds every moment near enough. Segments that stream time has left two lengths behind are dropped; a record that old is late.
 */
function within(context: TaskContext, node: DedupNode, lengthMs: number): Judge {
  const identity = compileIdentity(node);
  const table = new WindowTable(context.backend, node.name, integerCodec, { entriesMax: context.cacheEntriesMax, scratch: context.scratch });
  const oldestKept = () => {
    const streamTime = context.streamTimes[node.name];
    return streamTime === undefined ? Number.NEGATIVE_INFINITY : (Math.floor(streamTime / lengthMs) - 2) * lengthMs;
  };
  context.windows.push({ table: table, startBound: oldestKept });
  return (record) => {
    const { timestamp } = record;
    const key = identity(record);
    const streamTime = advanceStreamTime(context, node.name, timestamp);
    if (timestamp < streamTime - lengthMs) return "late";
    const segment = Math.floor(timestamp / lengthMs) * lengthMs;
    for (let start = segment - lengthMs; start <= segment + lengthMs; start += lengthMs) {
      const moment = table.get(start, key);
      if (moment !== undefined && Math.abs(moment - timestamp) <= lengthMs) return "repeat";
    }
    table.put(segment, key, timestamp);
    return "first";
  };
}

export function dedupLink(context: TaskContext, node: DedupNode, next: Link, late: Link): Link {
  const refuse: Refuse = compileRefuse(context, node.name, node.onError);
  const judge =
    node.withinMs !== undefined
      ? within(context, node, node.withinMs)
      : node.sequenceField !== undefined
        ? sequenced(context, node, node.sequenceField)
        : unbounded(context, node);
  const { counters } = context;
  return (record) => {
    let verdict: "first" | "repeat" | "late";
    try {
      verdict = judge(record);
    } catch (cause) {
      // Damage in the store is not the record's fault.
      if (cause instanceof TopologyError) throw cause;
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    if (verdict === "first") return next(record);
    if (verdict === "repeat") {
      counters.deduplicated++;
      return;
    }
    counters.late++;
    late(record);
  };
}

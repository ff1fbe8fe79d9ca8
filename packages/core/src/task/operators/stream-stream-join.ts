/**
 * Joins of two streams within a time. Each side keeps its records for as long as a record of the other side can find them:
 *
 *   a record of a side -> time goes on -> what nothing can match any more leaves (left and outer joins) -> its matches leave -> it is kept, and held as unmatched if it had none
 *
 * A record is found until its own side's time has passed its own by before + after + grace, as in Kafka Streams; one that is older than that when it comes is joined with what the
 * other side keeps, but not kept itself, and counted as late. Where Kafka Streams differs: an unmatched record leaves once, when the join's time has passed the end of its window and
 * the grace, or at once where that is so when it comes, whichever side it is of; and what has left so matches nothing after that.
 */
import { JoinBuffer } from "../../state/join-buffer.ts";
import type { AnySerde, StreamStreamJoinNode } from "../../topology/index.ts";
import { advanceStreamTime, drop, type TaskContext } from "../context.ts";
import { keyText } from "../key-text.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { frozen } from "./keyed-aggregate.ts";
import { Unmatched, type UnmatchedRecord } from "./unmatched.ts";

// A store of 100 stretches keeps at most a hundredth of it longer than needed, and a look-up goes over a hundredth of it at the most.
const STRETCHES = 100;
const ENTRIES_MIN = 1_000;

/** One of the two streams. */
interface Side {
  readonly isLeft: boolean;
  readonly buffer: JoinBuffer<unknown>;
  /** How far before and after its own time a record looks for the other side's. */
  readonly behindMs: number;
  readonly aheadMs: number;
  /** The name of its own time, the greatest of its records. */
  readonly timeName: string;
  /** Set where its records leave unmatched. */
  readonly unmatched: Unmatched | undefined;
}

function openSide(context: TaskContext, node: StreamStreamJoinNode, isLeft: boolean, retentionMs: number): Side {
  const { beforeMs, afterMs } = node.window;
  const { backend, scratch, cacheEntriesMax } = context;
  const serde: AnySerde = isLeft ? node.left : node.right;
  const timeName = `${node.name}/${isLeft ? "left" : "right"}`;
  const stretchMs = Math.max(beforeMs + afterMs + 1, Math.ceil(retentionMs / STRETCHES));
  // What may be kept decoded is shared by the stretches that are kept at one time.
  const entriesMax = Math.max(ENTRIES_MIN, Math.ceil(cacheEntriesMax / (retentionMs / stretchMs + 2)));
  const buffer = new JoinBuffer<unknown>(backend, timeName, serde, { stretchMs, entriesMax, scratch });
  // By whole stretches, so that LevelDB is asked to clear only when there is something to clear.
  for (const table of buffer.tables) context.windows.push({ table, startBound: () => Math.floor(((context.streamTimes[timeName] ?? Number.NEGATIVE_INFINITY) - retentionMs + 1) / stretchMs) * stretchMs });
  const leavesAlone = node.join === "outer" || (node.join === "left" && isLeft);
  return {
    isLeft,
    buffer,
    behindMs: isLeft ? beforeMs : afterMs,
    aheadMs: isLeft ? afterMs : beforeMs,
    timeName,
    unmatched: leavesAlone ? new Unmatched(context, `${timeName}/unmatched`, serde) : undefined,
  };
}

/** By time, the right side's before the left's, by key. Each side's own come in order. */
function inOrder(left: readonly UnmatchedRecord[], right: readonly UnmatchedRecord[]): { readonly record: UnmatchedRecord; readonly isLeft: boolean }[] {
  const all = [...right.map((record) => ({ record, isLeft: false })), ...left.map((record) => ({ record, isLeft: true }))];
  return left.length === 0 || right.length === 0 ? all : all.sort((a, b) => a.record.timestamp - b.record.timestamp);
}

/** One entry for each stream. */
export function streamStreamJoinLinks(context: TaskContext, node: StreamStreamJoinNode, next: Link): readonly Link[] {
  const { name, joiner, window: { beforeMs, afterMs, graceMs } } = node;
  const { streamTimes, counters } = context;
  const refuse = compileRefuse(context, name, node.onError);
  const retentionMs = beforeMs + afterMs + graceMs;
  const left = openSide(context, node, true, retentionMs);
  const right = openSide(context, node, false, retentionMs);
  /** The join's time at which unmatched records left last: what was due then has left. */
  const closedName = `${name}/closed`;
  const isDue = (side: Side, timestamp: number, time: number): boolean => timestamp + side.aheadMs + graceMs < time;

  const send = (isLeft: boolean, own: unknown, other: unknown, key: string | null, timestamp: number, headers: AnyRecord["headers"]): void => {
    let value: unknown;
    try {
      value = isLeft ? joiner(own, other, key) : joiner(other, own, key);
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    next({ key, value, timestamp, headers });
  };
  const sendUnmatched = (time: number): void => {
    const [lefts, rights] = [left, right].map((side) => side.unmatched?.takeBelow(time - side.aheadMs - graceMs) ?? []) as [UnmatchedRecord[], UnmatchedRecord[]];
    streamTimes[closedName] = time;
    for (const { record: { key, value, timestamp, headers }, isLeft } of inOrder(lefts, rights)) send(isLeft, value, null, key, timestamp, headers);
  };

  /** Sends a record's matches and tells whether there were any. */
  const sendMatches = (own: Side, other: Side, key: string, { value, timestamp, headers }: AnyRecord): boolean => {
    const visible = (streamTimes[other.timeName] ?? Number.NEGATIVE_INFINITY) - retentionMs + 1;
    const from = Math.max(timestamp - own.behindMs, visible);
    let hasMatch = false;
    for (const match of other.buffer.find(key, from, timestamp + own.aheadMs)) {
      if (match.isOpen) {
        if (isDue(other, match.timestamp, streamTimes[closedName] ?? Number.NEGATIVE_INFINITY)) continue;
        other.buffer.close(key, match.timestamp);
        other.unmatched?.release(key, match.timestamp);
      }
      hasMatch = true;
      send(own.isLeft, value, match.value, key, Math.max(timestamp, match.timestamp), headers);
    }
    return hasMatch;
  };

  const link = (own: Side, other: Side): Link => (record) => {
    const { timestamp, headers } = record;
    const time = advanceStreamTime(context, name, timestamp);
    if (record.value === null || record.value === undefined) return drop(context, "null-value");
    const key = keyText(record.key);
    if (key === null) return own.unmatched === undefined ? drop(context, "null-key") : send(own.isLeft, record.value, null, null, timestamp, headers);
    const ownTime = advanceStreamTime(context, own.timeName, timestamp);
    // As in Kafka Streams, a record in the past closes nothing, though one without a value may have moved the time.
    if (node.join !== "inner" && timestamp >= time) sendUnmatched(time);
    const isOpen = !sendMatches(own, other, key, record) && own.unmatched !== undefined;
    if (isOpen && isDue(own, timestamp, time)) return send(own.isLeft, record.value, null, key, timestamp, headers);
    const value: unknown = frozen(record.value);
    if (isOpen) own.unmatched?.hold(key, timestamp, { value, headers });
    if (timestamp > ownTime - retentionMs) own.buffer.add(key, { timestamp, value, isOpen });
    else counters.late++;
  };
  return [link(left, right), link(right, left)];
}

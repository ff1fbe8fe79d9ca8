/**
 * A step whose results come from outside. A task never waits, so a record is put among the pending ones; the runtime makes the calls, and gives back what came of them
 * between two records:
 *
 *   record -> pending (in the commit of its record) -> call -> settle: pending entry deleted, result forwarded (in one commit)
 *
 * A crash between the two leaves the entry, and the call is made again: a call may be made more than once, what comes of it counts once.
 */
import type { LogRecord } from "../../model/index.ts";
import { OrderedTable, timedKey, timeOfKey } from "../../state/ordered-table.ts";
import type { MapAsyncNode } from "../../topology/index.ts";
import { enter, type TaskContext } from "../context.ts";
import type { AnyRecord, Link } from "../link.ts";
import { type PendingRecord, pendingCodec } from "../pending-call.ts";
import { compileRefuse, messageOf, type Refuse } from "../refuse.ts";
import { isInjected } from "../timers.ts";

/** What came of a call. */
export type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly cause: unknown };

/** A call that is to be made, or under way. */
export interface PendingCall {
  readonly step: AsyncStep;
  readonly record: AnyRecord;
  readonly idempotencyKey: string;
}

interface Slot extends PendingCall {
  readonly key: string;
  readonly pending: PendingRecord;
  outcome: Outcome | undefined;
}

/** One asynchronous step of a task. */
export class AsyncStep {
  readonly node: MapAsyncNode;
  readonly #context: TaskContext;
  readonly #next: Link;
  readonly #refuse: Refuse;
  readonly #table: OrderedTable<PendingRecord>;
  readonly #keepsOriginal: boolean;
  /** Those without a result, and in an ordered step those with one that may not leave yet; oldest first. */
  readonly #slots = new Map<string, Slot>();
  /** Those whose call was not made yet; oldest first. */
  readonly #waiting = new Set<Slot>();
  #sequence = 0;
  #lastOrigin: LogRecord | undefined;
  #number = 0;

  constructor(context: TaskContext, node: MapAsyncNode, next: Link) {
    this.node = node;
    this.#context = context;
    this.#next = next;
    this.#refuse = compileRefuse(context, node.name, node.onError);
    this.#keepsOriginal = node.onError.kind === "dead-letter";
    this.#table = new OrderedTable(context.backend, node.name, pendingCodec(node.serde), { entriesMax: context.cacheEntriesMax, scratch: context.scratch });
    context.tables.push(this.#table);
    context.calls.push(this);
    for (const [key, pending] of this.#table.entries()) {
      this.#sequence = timeOfKey(key) + 1;
      this.#wait(key, pending);
    }
  }

  /** Records without a result that has left. */
  get pending(): number {
    return this.#slots.size;
  }
  get isFull(): boolean {
    return this.#slots.size >= this.node.pendingMax;
  }

  #wait(key: string, pending: PendingRecord): void {
    const { topology } = this.#context;
    const { topic, partition, offset, path } = pending.origin;
    const slot: Slot = { step: this, record: pending.record, key, pending, outcome: undefined, idempotencyKey: `${topology}/${topic}-${partition}@${offset}/${path}` };
    this.#slots.set(key, slot);
    this.#waiting.add(slot);
  }

  /** Takes a record on. */
  readonly link: Link = (record) => {
    const { origin } = this.#context;
    const { topic, partition, offset, timestamp, headers } = origin;
    const key = timedKey(this.#sequence++, "");
    const pending: PendingRecord = {
      record: { key: record.key, value: record.value as unknown, timestamp: record.timestamp, headers: record.headers },
      origin: { topic, partition, offset, timestamp, headers, key: this.#keepsOriginal ? origin.key : null, value: this.#keepsOriginal ? origin.value : null, injected: true, path: this.#pathOf(origin) },
    };
    this.#table.put(key, pending);
    this.#wait(key, pending);
  };

  /** What tells this record from all others that come to asynchronous steps from the same place. It is the same when the place is read again. */
  #pathOf(origin: LogRecord): string {
    if (origin !== this.#lastOrigin) {
      this.#lastOrigin = origin;
      this.#number = 0;
    }
    const number = this.#number++;
    const own = `${this.node.name}:${number}`;
    if (!isInjected(origin)) return own;
    return `${origin.path ?? `timer:${this.#context.timers.nextInjectedIndex()}`}/${own}`;
  }

  /** The next call to make; undefined where all are under way. */
  take(): PendingCall | undefined {
    const slot = this.#waiting.values().next().value;
    if (slot !== undefined) this.#waiting.delete(slot);
    return slot;
  }

  /** Takes what came of a call; tells how many results left with it. */
  settle(call: PendingCall, outcome: Outcome): number {
    const slot = call as Slot;
    if (this.#slots.get(slot.key) !== slot) return 0;
    if (!this.node.isOrdered) {
      this.#apply(slot, outcome);
      return 1;
    }
    slot.outcome = outcome;
    let count = 0;
    for (const first of this.#slots.values()) {
      if (first.outcome === undefined) break;
      this.#apply(first, first.outcome);
      count++;
    }
    return count;
  }

  #apply({ key, pending: { origin, record } }: Slot, outcome: Outcome): void {
    this.#slots.delete(key);
    this.#table.delete(key);
    enter(this.#context, origin);
    if (outcome.ok) return this.#next({ key: record.key, value: outcome.value, timestamp: record.timestamp, headers: record.headers });
    this.#refuse("STEP_FAILED", messageOf(outcome.cause), "", outcome.cause);
  }
}

export function mapAsyncLink(context: TaskContext, node: MapAsyncNode, next: Link): Link {
  return new AsyncStep(context, node, next).link;
}

/** A step that waits for something outside: a call a record, bounded in number, whose result counts once. */
import type { DurationMs, StreamRecord } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { ErrorPolicy, NodeBase } from "./node.ts";
import type { OnError } from "./policy.ts";
import type { AnySerde } from "./table-nodes.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- values pass between steps of different types; the handles carry the types.
type AnyValue = any;

/** One attempt of a call. */
export interface AsyncAttempt {
  /** Aborted when the attempt takes too long, and when the task stops: then the call is made again at the next start. */
  readonly signal: AbortSignal;
  /** The same for every attempt of the same record, over restarts too: for services that drop repeats. */
  readonly idempotencyKey: string;
  /** From 1; counted anew after a restart. */
  readonly attempt: number;
}

/** What is called for each record. */
export type AsyncMap<V, W> = (value: V, record: StreamRecord<V>, call: AsyncAttempt) => Promise<W>;

export interface MapAsyncNode extends NodeBase {
  readonly kind: "map-async";
  readonly name: string;
  readonly map: AsyncMap<AnyValue, AnyValue>;
  readonly serde: AnySerde;
  readonly concurrency: number;
  readonly pendingMax: number;
  readonly isOrdered: boolean;
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly onError: ErrorPolicy;
}

/** Options of {@link Stream.mapAsync}. */
export interface MapAsyncOptions<V> {
  /** How values are kept while their call is pending. */
  readonly value: Serde<NonNullable<V>>;
  /** Calls under way at once, a partition; 16 when absent. */
  readonly concurrency?: number;
  /** Records whose call has no result yet, a partition: at this bound the partition is not read on. 4 times the concurrency when absent. */
  readonly pendingMax?: number;
  /** Results leave in the order of their records in the partition, which is the default; false: as they come. */
  readonly ordered?: boolean;
  /** How long one attempt may take; 30 s when absent. */
  readonly timeout?: DurationMs;
  /** Attempts in all (1 when absent), and how long before the second (1 s when absent), twice as long before each further one, up to a minute. */
  readonly retry?: { readonly attempts: number; readonly backoff?: DurationMs };
  /** For records whose last attempt failed. */
  readonly onError?: OnError;
}

const CONCURRENCY = 16;
const PENDING_A_CALL = 4;
const TIMEOUT_MS = 30_000;
const BACKOFF_MS = 1_000;

/** The options with every default filled in, as the node has them. */
export function asyncForm(options: MapAsyncOptions<never>): Pick<MapAsyncNode, "serde" | "concurrency" | "pendingMax" | "isOrdered" | "timeoutMs" | "attempts" | "backoffMs"> {
  const concurrency = options.concurrency ?? CONCURRENCY;
  return {
    serde: options.value,
    concurrency,
    pendingMax: options.pendingMax ?? concurrency * PENDING_A_CALL,
    isOrdered: options.ordered ?? true,
    timeoutMs: options.timeout ?? TIMEOUT_MS,
    attempts: options.retry?.attempts ?? 1,
    backoffMs: options.retry?.backoff ?? BACKOFF_MS,
  };
}

/** What an instance and its threads say to each other. All of it is data that a MessagePort copies. */
import { type ErrorCode, TopologyError } from "../../model/index.ts";
import type { OutboxEntry } from "../../commit/outbox.ts";
import type { StoreKey, WindowRange } from "../../task/store-query.ts";
import type { ReadPage, ReadRequest } from "../task-reads.ts";
import type { CounterStatus, TaskStatus } from "../status.ts";

/** Which task a thread has. */
export interface ThreadPlace {
  readonly part: string;
  readonly partition: number;
  readonly partitionCount: number;
}

/** How the tasks of one thread stand. */
export interface PartStatus {
  readonly tasks: readonly TaskStatus[];
  readonly counters: CounterStatus;
  readonly windowsOpen: number;
}

/** A failure as data. */
export interface ErrorParts {
  readonly code: ErrorCode;
  readonly message: string;
  readonly place?: string;
  readonly cure?: string;
  readonly retriable: boolean;
}

/** The calls of the log that a thread makes through the instance. */
export type LogCall = "partitionCount" | "offsets" | "fetch" | "fetchFrames";

/** To a thread. */
export type ThreadRequest =
  | { readonly kind: "begin" | "run" | "wake" | "finish" | "close" }
  | { readonly kind: "drain"; readonly id: number }
  | { readonly kind: "read"; readonly id: number; readonly task: string; readonly request: ReadRequest }
  | { readonly kind: "read-next" | "read-end"; readonly id: number }
  | { readonly kind: "acknowledged"; readonly batch: number }
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "refusal"; readonly id: number; readonly error: ErrorParts };

/** From a thread. */
export type ThreadReport =
  | { readonly kind: "compared" }
  | { readonly kind: "opened" | "finished" | "closed" | "status"; readonly status: PartStatus }
  | { readonly kind: "drained"; readonly id: number; readonly status: PartStatus }
  | { readonly kind: "call"; readonly id: number; readonly call: LogCall; readonly values: readonly unknown[] }
  | { readonly kind: "batch"; readonly batch: number; readonly entry: OutboxEntry; readonly uncertain: boolean }
  | { readonly kind: "page"; readonly id: number; readonly page: ReadPage }
  | { readonly kind: "read-refused"; readonly id: number; readonly error: ErrorParts }
  | { readonly kind: "failed"; readonly error: ErrorParts }
  | { readonly kind: "logged"; readonly level: "debug" | "info" | "warn" | "error"; readonly fields: object; readonly message: string };

/** A query of a store, which the instance waits for standing still. */
export interface ThreadQuery {
  /** Comes back with the rows: those of a query that nobody waits for any more are passed over. */
  readonly id: number;
  readonly store: string;
  readonly key: StoreKey;
  readonly range: Partial<WindowRange> | undefined;
  /** The tasks to ask. */
  readonly tasks: readonly string[];
}

/** The rows of a query, or why there are none. */
export type ThreadRows = { readonly id: number } & ({ readonly rows: readonly Readonly<Record<string, unknown>>[] } | { readonly error: ErrorParts });

/** An error as data. */
export function errorParts(cause: unknown): ErrorParts {
  if (!(cause instanceof TopologyError)) {
    return { code: "TASK_FAILED", message: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), cure: "this looks like a bug: please report it with the log", retriable: false };
  }
  const { code, place, cure, retriable } = cause;
  // The message of an error ends in its place and its cure, which the error that is made of these parts adds again.
  const end = `${place === undefined ? "" : ` (${place})`}${cure === undefined ? "" : `\n  cure: ${cure}`}`;
  const message = end !== "" && cause.message.endsWith(end) ? cause.message.slice(0, -end.length) : cause.message;
  return { code, message, ...(place === undefined ? {} : { place }), ...(cure === undefined ? {} : { cure }), retriable };
}

/** The error of its parts. */
export function errorOf({ code, message, ...details }: ErrorParts): TopologyError {
  return new TopologyError(code, message, details);
}

/** Asking again: every operation has a deadline, and between attempts it waits a little longer each time. */
import { TopologyError } from "@iot-topology/core";
import { WireError } from "./wire.ts";

/** One attempt's outcome: the answer, or why to try again. */
export type Attempt<T> = { readonly value: T } | { readonly again: string };

const WAIT_MS_MIN = 5;
const WAIT_MS_MAX = 250;

/** How long to wait before the next attempt: 5, 10, 20 ... up to 250 ms. */
export function waitMs(attempt: number, most: number = WAIT_MS_MAX): number {
  return Math.min(most, WAIT_MS_MIN * 2 ** Math.min(attempt, 10));
}

/** Until when something may take. */
export class Deadline {
  readonly #at: number;
  readonly totalMs: number;

  constructor(totalMs: number) {
    this.totalMs = totalMs;
    this.#at = performance.now() + totalMs;
  }
  get leftMs(): number {
    return Math.max(0, this.#at - performance.now());
  }
  get isOver(): boolean {
    return performance.now() >= this.#at;
  }
}

/** Resolves after the time; earlier when the signal aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** What is tried, and where, for the error at the end. */
export interface AttemptOptions {
  readonly what: string;
  readonly place: string;
  readonly deadline: Deadline;
  /** The longest wait between two attempts. */
  readonly waitMsMax?: number;
  /** Ends the attempts; the reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Tries until there is an answer. Throws KAFKA_UNREACHABLE or KAFKA_TIMEOUT (retriable) at the deadline, which also cuts an attempt that hangs, and KAFKA_AUTHENTICATION at once.
 * A {@link WireError} means that no answer came; only an `attempt` that may be repeated then lets it through.
 */
export async function untilAnswered<T>(options: AttemptOptions, attempt: () => Promise<Attempt<T>>): Promise<T> {
  const { deadline, signal } = options;
  let reason = "no answer";
  let unreachable = false;
  for (let count = 0; ; count++) {
    if (signal?.aborted === true) throw signal.reason;
    try {
      const outcome = await beforeDeadline(attempt(), options);
      if ("value" in outcome) return outcome.value;
      reason = outcome.again;
      unreachable = false;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      if (error.isFatal) throw notAuthenticated(options, error);
      reason = error.message;
      unreachable = true;
    }
    const wait = waitMs(count, options.waitMsMax);
    if (deadline.leftMs <= wait) throw outOfTime(options, reason, unreachable);
    await pause(wait, signal);
  }
}

async function beforeDeadline<T>(work: Promise<T>, options: AttemptOptions): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(outOfTime(options, "no answer", true)), options.deadline.leftMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // The loser of the race may still reject; nobody waits for it any more.
    work.catch(() => undefined);
  }
}

function outOfTime({ what, place, deadline }: AttemptOptions, reason: string, unreachable: boolean): TopologyError {
  return new TopologyError(unreachable ? "KAFKA_UNREACHABLE" : "KAFKA_TIMEOUT", `${what} did not succeed within ${deadline.totalMs} ms: ${reason}`, {
    place,
    cure: "look at the brokers' state and at the network between",
    retriable: true,
  });
}

function notAuthenticated({ what, place }: AttemptOptions, cause: WireError): TopologyError {
  return new TopologyError("KAFKA_AUTHENTICATION", `${what}: ${cause.message}`, { place, cure: "check the user, the password, the SASL mechanism and the TLS settings", cause });
}

/** The error for a request whose answer was lost, so that nobody knows whether the broker did it. */
export function answerLost(what: string, place: string, cause: unknown): TopologyError {
  return new TopologyError("KAFKA_UNREACHABLE", `${what}: no answer came, and whether the broker did it is not known (${cause instanceof Error ? cause.message : String(cause)})`, {
    place,
    cure: "none needed: a new producer settles it",
    retriable: true,
    cause,
  });
}

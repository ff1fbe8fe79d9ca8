/** Makes the calls of a task's asynchronous steps, so many at once, and brings their results to the task between records. */
import { TopologyError } from "../model/index.ts";
import { type Clock, failpoint } from "../port/index.ts";
import type { Task } from "../task/task.ts";

type AsyncStep = Task["asyncSteps"][number];
type PendingCall = NonNullable<ReturnType<AsyncStep["take"]>>;
type Outcome = Parameters<Task["settle"]>[1];

const BACKOFF_LAST_MS = 60_000;

/** The calls of one task. */
export class AsyncCalls {
  readonly #task: Task;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #settled: { readonly call: PendingCall; readonly outcome: Outcome }[] = [];
  readonly #running = new Map<AsyncStep, number>();
  readonly #attempts = new Set<AbortController>();
  readonly #stop = new AbortController();
  #sleeping = 0;

  /** `onChange` is called whenever a result waits to be taken. */
  constructor(task: Task, clock: Clock, onChange: () => void) {
    this.#task = task;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** Whether nothing is under way but pauses before another attempt. */
  get isSleeping(): boolean {
    return this.#attempts.size === 0 && this.#sleeping > 0;
  }

  /** Gives the task what has come back, and makes the calls that may be made; tells how many results left the task's steps. */
  step(): number {
    if (this.#task.asyncSteps.length === 0 || this.#stop.signal.aborted || !this.#task.isReady) return 0;
    let count = 0;
    for (const { call, outcome } of this.#settled.splice(0)) {
      failpoint("call.before-settle");
      count += this.#task.settle(call, outcome);
      failpoint("call.after-settle");
    }
    for (const step of this.#task.asyncSteps) this.#start(step);
    return count;
  }

  #start(step: AsyncStep): void {
    while ((this.#running.get(step) ?? 0) < step.node.concurrency) {
      const call = step.take();
      if (call === undefined) return;
      failpoint("call.before-call");
      this.#running.set(step, (this.#running.get(step) ?? 0) + 1);
      void this.#run(call);
    }
  }

  async #run(call: PendingCall): Promise<void> {
    const outcome = await this.#outcome(call);
    // A task that has stopped keeps the record: its call is made again when the task is opened again.
    if (outcome === undefined || this.#stop.signal.aborted) return;
    this.#running.set(call.step, (this.#running.get(call.step) ?? 0) - 1);
    this.#settled.push({ call, outcome });
    this.#onChange();
  }

  async #outcome(call: PendingCall): Promise<Outcome | undefined> {
    const { attempts, backoffMs } = call.step.node;
    for (let attempt = 1, pauseMs = backoffMs; ; attempt++, pauseMs = Math.min(pauseMs * 2, BACKOFF_LAST_MS)) {
      try {
        return { ok: true, value: await this.#attempt(call, attempt) };
      } catch (cause) {
        if (this.#stop.signal.aborted) return undefined;
        if (attempt >= attempts) return { ok: false, cause };
      }
      this.#sleeping++;
      this.#onChange();
      await this.#clock.sleep(pauseMs, this.#stop.signal);
      this.#sleeping--;
      if (this.#stop.signal.aborted) return undefined;
    }
  }

  /** One attempt, ended by its timeout where the call does not end itself. */
  async #attempt({ step: { node }, record, idempotencyKey }: PendingCall, attempt: number): Promise<unknown> {
    const abort = new AbortController();
    const timer = new AbortController();
    this.#attempts.add(abort);
    const late = this.#clock.sleep(node.timeoutMs, timer.signal).then(() => {
      if (timer.signal.aborted) return undefined;
      const error = new TopologyError("STEP_FAILED", `attempt ${attempt} had no result within ${node.timeoutMs} ms`, { place: `step ${node.name}` });
      abort.abort(error);
      throw error;
    });
    late.catch(() => {}); // Whoever awaits the race sees it.
    const stopped = new Promise<never>((_, reject) => {
      abort.signal.addEventListener("abort", () => reject(abort.signal.reason as Error), { once: true });
    });
    stopped.catch(() => {}); // The same.
    try {
      const made = Promise.resolve(node.map(record.value, record, { signal: abort.signal, idempotencyKey, attempt }));
      made.catch(() => {}); // A call that fails after its timeout is nobody's.
      return await Promise.race([made, late, stopped]);
    } finally {
      timer.abort();
      this.#attempts.delete(abort);
    }
  }

  /** Aborts what is under way. Records without a result stay in the store. */
  stop(): void {
    this.#stop.abort();
    for (const attempt of this.#attempts) attempt.abort(new TopologyError("NOT_RUNNING", "the task stops", { cure: "the call is made again at the next start" }));
    this.#settled.length = 0;
  }
}

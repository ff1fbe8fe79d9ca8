/** The Processor API. What a call forwards leaves when it has returned, and a call that throws leaves nothing behind, neither records nor changes of stores. */
import { TopologyError } from "../../model/index.ts";
import type { ProcessNode, PunctuationTime } from "../../topology/index.ts";
import { advanceStreamTime, type TaskContext } from "../context.ts";
import type { AnyRecord, Link } from "../link.ts";
import type { Behind } from "../operators.ts";
import { placeOf } from "../row-place.ts";
import { compileRefuse, messageOf, type Refuse } from "../refuse.ts";
import { openStore } from "../stores/open-store.ts";
import type { OpenedStore } from "../stores/place.ts";
import { Timer } from "../timers.ts";

interface Forwarded {
  readonly link: Link;
  readonly record: AnyRecord;
}

type Forward = (record: Partial<AnyRecord>, child?: string) => void;
const NO_RECORD: AnyRecord = Object.freeze({ key: null, value: null, timestamp: 0, headers: Object.freeze([]) });

function misused(step: string, message: string, cure: string): TopologyError {
  return new TopologyError("USAGE", message, { place: `step ${step}`, cure });
}

/** One compiled step: its stores, its timers, and what the call under way has forwarded. */
class ProcessStep {
  readonly #context: TaskContext;
  readonly #node: ProcessNode;
  readonly #stores: ReadonlyMap<string, OpenedStore>;
  readonly #opened: readonly OpenedStore[];
  readonly #main: Link;
  readonly #children: ReadonlyMap<string, Link>;
  readonly #refuse: Refuse;
  /** Where a failure ends the task nothing of it is ever committed, so nothing need be taken back. */
  readonly #takesBack: boolean;
  readonly #timers: Timer[] = [];
  readonly #byStreamTime: Timer[] = [];
  readonly #names = new Map<string, number>();
  #isInit = false;
  /** The record whose key, time and headers a forwarded record has where it says nothing; undefined outside of calls. */
  #current: AnyRecord | undefined;
  #forwarded: Forwarded[] = [];

  constructor(context: TaskContext, node: ProcessNode, behind: Behind) {
    this.#context = context;
    this.#node = node;
    this.#stores = new Map(node.stores.map((declaration) => [declaration.name, openStore(context, declaration)]));
    this.#opened = [...this.#stores.values()];
    this.#main = behind.child(({ kind }) => kind !== "process-child");
    this.#children = new Map(node.children.map((name) => [name, behind.child((next) => next.kind === "process-child" && next.child === name)]));
    this.#refuse = compileRefuse(context, node.name, node.onError);
    this.#takesBack = node.onError.kind !== "fail";
    for (const [name, { takesBack }] of this.#stores) {
      if (this.#takesBack && takesBack === false) throw misused(node.name, `store "${name}" cannot take back what a call that throws has changed`, "give the store mark and rollBack, or leave the step's onError at fail");
    }
  }

  get #streamTime(): number {
    return this.#context.streamTimes[this.#node.name] ?? -1;
  }

  /** What every context has. The getters are those of one object, made once. */
  #common(): object {
    const step = this;
    return {
      taskId: this.#context.taskId,
      get streamTime() {
        return step.#streamTime;
      },
      get wallClock() {
        return step.#context.timers.wallClock;
      },
      store: (name: string): unknown => {
        const found = this.#stores.get(name);
        if (found === undefined) throw misused(this.#node.name, `the step has no store "${name}"`, `declare it in stores; there are ${[...this.#stores.keys()].join(", ") || "none"}`);
        return found.store;
      },
    };
  }

  readonly #forward: Forward = (given, child) => {
    const current = this.#current;
    if (current === undefined) throw misused(this.#node.name, "forward was called outside of a call of the step", "forward while process or a punctuator runs, not later");
    const link = child === undefined ? this.#main : this.#children.get(child);
    if (link === undefined) throw misused(this.#node.name, `the step has no child "${child}"`, `declare it in children; there are ${[...this.#children.keys()].join(", ") || "none"}`);
    const key = this.#node.keepsKey || given.key === undefined ? current.key : given.key;
    this.#forwarded.push({ link, record: { key, value: given.value as unknown, timestamp: given.timestamp ?? current.timestamp, headers: given.headers ?? current.headers } });
  };

  #recordContext(): object {
    const step = this;
    return Object.defineProperties(this.#common(), {
      meta: { get: () => placeOf(step.#context.origin), enumerable: true },
      headers: { get: () => step.#current?.headers ?? [], enumerable: true },
      forward: { value: this.#forward, enumerable: true },
    });
  }

  /** Runs one call of the user's, and passes on what it forwarded. */
  #run(record: AnyRecord, call: () => void, what: string): void {
    const { undo } = this.#context;
    const before = this.#current;
    this.#current = record;
    if (this.#takesBack) undo.begin();
    for (const { mark } of this.#opened) mark?.();
    try {
      call();
    } catch (cause) {
      this.#current = before;
      this.#forwarded = [];
      // Damage in a store, or a wrong use of the context, is no record's fault.
      if (cause instanceof TopologyError && (cause.code === "STATE_CORRUPT" || cause.code === "USAGE" || cause.code === "INTERNAL")) throw cause;
      if (this.#takesBack) {
        undo.rollBack();
        for (const { rollBack } of this.#opened) rollBack?.();
      }
      return this.#refuse("STEP_FAILED", `${what}${messageOf(cause)}`, "", cause);
    }
    this.#current = before;
    if (this.#takesBack) undo.end();
    if (this.#forwarded.length === 0) return;
    const forwarded = this.#forwarded;
    this.#forwarded = [];
    for (const { link, record: passed } of forwarded) link(passed);
  }

  #schedule(interval: number, by: PunctuationTime, punctuate: (time: number, context: unknown) => void, context: unknown, given: string | undefined): Timer {
    const { name: step, schedules } = this.#node;
    if (!this.#isInit) throw misused(step, "schedule was called after init", "schedule in init, and use cancel and resume: a punctuator that is scheduled later is not there after a restart");
    if (!(Number.isSafeInteger(interval) && interval > 0)) throw misused(step, `a punctuator every ${interval} ms`, "give whole milliseconds above 0");
    if (by === "wall-clock" && schedules !== "wall-clock") throw misused(step, "a punctuator by wall clock in a step that is said to schedule by stream time alone", 'leave out schedules: "stream-time"');
    const base = given ?? `${by} ${interval}`;
    const count = this.#names.get(base) ?? 0;
    this.#names.set(base, count + 1);
    if (given !== undefined && count > 0) throw misused(step, `two punctuators have the name "${given}"`, "give each its own");
    const timer = new Timer(this.#context.timers, this.#context.undo, `${step}/${count === 0 ? base : `${base} ${count + 1}`}`, by, interval, (time) => {
      this.#advance(this.#streamTime);
      this.#run({ ...NO_RECORD, timestamp: time }, () => punctuate(time, context), `punctuator at ${time}: `);
    });
    this.#timers.push(timer);
    if (by === "stream-time") this.#byStreamTime.push(timer);
    else this.#context.timers.add(timer);
    return timer;
  }

  #advance(streamTime: number): void {
    for (const { advance } of this.#opened) advance(streamTime);
  }

  /** Calls `init`, and gives the link that records enter by. */
  open(): Link {
    const { init, process, name, keepsKey } = this.#node;
    const stored = this.#context.streamTimes[name];
    if (stored !== undefined) this.#advance(stored);
    if (init !== undefined) this.#init(init, keepsKey);
    const context = this.#recordContext();
    const byStreamTime = this.#byStreamTime;
    return (record) => {
      const streamTime = advanceStreamTime(this.#context, name, record.timestamp);
      this.#advance(streamTime);
      this.#run(record, () => process(record, context), "");
      for (const timer of byStreamTime) timer.look(streamTime);
    };
  }

  #init(init: NonNullable<ProcessNode["init"]>, keepsKey: boolean): void {
    const common = this.#common();
    const punctuationContext = keepsKey ? common : Object.defineProperty(common, "forward", { value: this.#forward, enumerable: true });
    const step = this;
    this.#isInit = true;
    try {
      init(
        Object.defineProperty(this.#common(), "schedule", {
          value: (interval: number, by: PunctuationTime, punctuate: (time: number, context: unknown) => void, options?: { readonly name?: string }) => {
            const timer = this.#schedule(interval, by, punctuate, punctuationContext, options?.name);
            return {
              cancel: () => timer.cancel(),
              resume: () => timer.resume(step.#streamTime),
              get isCancelled() {
                return timer.isCancelled;
              },
            };
          },
          enumerable: true,
        }),
      );
    } catch (cause) {
      if (cause instanceof TopologyError) throw cause;
      throw new TopologyError("TASK_FAILED", `init of step ${this.#node.name} failed: ${messageOf(cause)}`, { place: this.#context.taskId, cure: "mend the step's init", cause });
    } finally {
      this.#isInit = false;
    }
  }
}

export function processLink(context: TaskContext, node: ProcessNode, behind: Behind): Link {
  return new ProcessStep(context, node, behind).open();
}

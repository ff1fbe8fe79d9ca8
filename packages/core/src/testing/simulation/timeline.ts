/**
 * The one clock and the one order of a simulated schedule. Whatever anybody waits for (a timer, a disk, a request) is an event here; events run one at a time, in the
 * order of their times, and between two of them everything that can go on without waiting has gone on. So nothing depends on the machine, and a process can
 * be killed or stopped between any two events, which are all the moments that anybody outside of it could tell apart.
 *
 * Time is counted in microseconds; clocks show milliseconds.
 */
import type { Clock } from "../../port/index.ts";

/** A process of the simulation: events of a dead one never happen, those of a paused one wait. */
export interface ProcessLine {
  readonly name: string;
  isAlive: boolean;
  held: (() => void)[] | undefined;
}

interface TimelineEvent {
  readonly at: number;
  /** Decides between events of the same time. */
  readonly order: number;
  readonly line: ProcessLine | undefined;
  readonly what: string;
  readonly act: () => void;
}

interface Waiter {
  readonly isDue: (what: string) => boolean;
  readonly wake: () => void;
}

const TURN_US_MAX = 60;
const STEPS_MAX = 100_000;
const TRACE_LINES_MAX = 20_000;

function isBefore(a: TimelineEvent, b: TimelineEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Events in order of time. */
export class Timeline {
  readonly random: () => number;
  /** What happened, a line an event, for a failure's report and for comparing two runs. */
  readonly trace: string[] = [];
  readonly #isTraced: boolean;
  readonly #heap: TimelineEvent[] = [];
  #waiters: Waiter[] = [];
  #nowUs: number;
  readonly #startUs: number;
  #steps = 0;
  #digest = 0;

  constructor(random: () => number, startMs: number, options: { readonly isTraced: boolean }) {
    this.random = random;
    this.#startUs = startMs * 1_000;
    this.#nowUs = this.#startUs;
    this.#isTraced = options.isTraced;
  }

  /** Epoch milliseconds. */
  get now(): number {
    return Math.floor(this.#nowUs / 1_000);
  }
  /** How many events have happened. */
  get steps(): number {
    return this.#steps;
  }
  /** A number that two runs share if the same events happened at the same times. */
  get digest(): number {
    return this.#digest;
  }

  /** A whole number from 0 to below the bound. */
  below(bound: number): number {
    return Math.floor(this.random() * bound);
  }

  /** How long a request or a disk takes, in milliseconds: mostly short, sometimes long. */
  latency(): number {
    const dice = this.random();
    return dice < 0.9 ? 0.3 * this.random() : dice < 0.99 ? 5 * this.random() : 80 * this.random();
  }

  /** Writes a line into the trace without an event. */
  note(text: string): void {
    for (let at = 0; at < text.length; at++) this.#digest = (Math.imul(this.#digest, 31) + text.charCodeAt(at)) | 0;
    this.#digest = (Math.imul(this.#digest, 31) + this.#nowUs) | 0;
    if (this.#isTraced && this.trace.length < TRACE_LINES_MAX) this.trace.push(`${((this.#nowUs - this.#startUs) / 1_000).toFixed(3)} ${text}`);
  }

  /** Lets something happen after so many milliseconds. */
  after(ms: number, line: ProcessLine | undefined, what: string, act: () => void): void {
    this.#push({ at: this.#nowUs + Math.round(Math.max(0, ms) * 1_000), order: this.random(), line, what, act });
  }

  /** Resolves after so many milliseconds. */
  wait(ms: number, line: ProcessLine | undefined, what: string): Promise<void> {
    return new Promise((resolve) => this.after(ms, line, what, resolve));
  }

  /** Resolves after so many events, or so many milliseconds, whichever comes first. */
  passed(steps: number, ms: number): Promise<void> {
    const due = this.#steps + steps;
    return this.#until(() => this.#steps >= due, ms);
  }

  /** Resolves after the next event whose description holds this text, or so many milliseconds. */
  happened(text: string, ms: number): Promise<void> {
    return this.#until((what) => what.includes(text), ms);
  }

  #until(isDue: (what: string) => boolean, ms: number): Promise<void> {
    return new Promise((resolve) => {
      // An event of its own, so that nobody is in the midst of anything when what was waited for happens.
      const waiter: Waiter = { isDue, wake: () => this.after(0, undefined, "events passed", resolve) };
      this.#waiters.push(waiter);
      this.after(ms, undefined, "time passed", () => {
        if (!this.#waiters.includes(waiter)) return;
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        resolve();
      });
    });
  }

  /** The clock of a process. */
  clockOf(line: ProcessLine): Clock {
    return {
      now: () => this.now,
      turn: () => this.wait((TURN_US_MAX / 1_000) * this.random(), line, "turn"),
      sleep: (ms, signal) => {
        if (signal?.aborted === true) return Promise.resolve();
        return new Promise<void>((resolve) => {
          const wake = (): void => {
            signal?.removeEventListener("abort", wake);
            resolve();
          };
          signal?.addEventListener("abort", wake, { once: true });
          this.after(ms, line, "sleep", wake);
        });
      },
    };
  }

  pause(line: ProcessLine): void {
    line.held ??= [];
  }

  resume(line: ProcessLine): void {
    const held = line.held ?? [];
    line.held = undefined;
    for (const act of held) this.after(0, line, "held", act);
  }

  #push(event: TimelineEvent): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent] as TimelineEvent)) break;
      heap[at] = heap[parent] as TimelineEvent;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): TimelineEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as TimelineEvent, heap[child] as TimelineEvent)) child++;
      if (!isBefore(heap[child] as TimelineEvent, last)) break;
      heap[at] = heap[child] as TimelineEvent;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  #happen({ at, line, what, act }: TimelineEvent): void {
    this.#nowUs = Math.max(this.#nowUs, at);
    if (line?.isAlive === false) return;
    if (line?.held !== undefined) {
      line.held.push(act);
      return;
    }
    this.#steps++;
    this.note(line === undefined ? what : `${line.name} ${what}`);
    act();
    if (this.#waiters.length === 0) return;
    const due = this.#waiters.filter(({ isDue }) => isDue(what));
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const { wake } of due) wake();
  }

  /** Lets events happen until the work is done; rejects where none is left, or far too many happen, while it is not. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let isOver = false;
      const end = (): void => {
        isOver = true;
        this.#heap.length = 0;
      };
      const next = (): void => {
        if (isOver) return;
        const event = this.#pop();
        if (event === undefined || this.#steps > STEPS_MAX) {
          end();
          return reject(new Error(event === undefined ? "everybody waits for somebody else" : `no end after ${STEPS_MAX} events`));
        }
        try {
          this.#happen(event);
        } catch (cause) {
          end();
          return reject(cause instanceof Error ? cause : new Error(String(cause)));
        }
        // A tick comes when no promise has anything left to do: cheaper than a turn of the event loop by a factor of ten.
        queueMicrotask(() => process.nextTick(next));
      };
      work().then(resolve, reject).finally(end);
      queueMicrotask(() => process.nextTick(next));
    });
  }
}

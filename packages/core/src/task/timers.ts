/**
 * When the punctuators of a task are due. It is kept in the store, in the commit of what they did, so that a restart neither skips a call nor makes one again whose
 * effects were committed.
 *
 *   "t\0" step "/" name -> the time at which the next call is due, or CANCELLED       "t\0" "#injected" -> rows that did not come of a record, so far
 */
import type { ByteWriter, LogRecord } from "../model/index.ts";
import type { StateBackend } from "../state/backend.ts";
import { integerCodec } from "../state/codec.ts";
import { StateTable } from "../state/table.ts";
import type { PunctuationTime } from "../topology/index.ts";
import { set, type UndoLog } from "./undo-log.ts";

const CANCELLED = Number.MAX_SAFE_INTEGER;
const NEVER = Number.POSITIVE_INFINITY;
const INJECTED = "#injected";
// Rows of one record are counted from 0; those that come of no record have numbers that no record reaches.
const INJECTED_INDEX = 0x8000_0000;

/** What records come from that came of no record: a punctuator's, or a call's result. They take the place of the last record of the input. */
export interface InjectedOrigin extends LogRecord {
  readonly injected: true;
  /** Tells a call's result from others at its place, and the same after a crash; undefined for punctuators. */
  readonly path: string | undefined;
}

/** Whether an origin is an injected one. */
export function isInjected(origin: LogRecord): origin is InjectedOrigin {
  return (origin as Partial<InjectedOrigin>).injected === true;
}

/** One punctuator. */
export class Timer {
  readonly by: PunctuationTime;
  readonly #timers: Timers;
  readonly #id: string;
  readonly #intervalMs: number;
  readonly #undo: UndoLog;
  readonly #punctuate: (time: number) => void;

  constructor(timers: Timers, undo: UndoLog, id: string, by: PunctuationTime, intervalMs: number, punctuate: (time: number) => void) {
    this.by = by;
    this.#timers = timers;
    this.#undo = undo;
    this.#id = id;
    this.#intervalMs = intervalMs;
    this.#punctuate = punctuate;
    if (by === "wall-clock" && timers.table.get(id) === undefined) timers.table.put(id, timers.wallClock + intervalMs);
  }

  get isCancelled(): boolean {
    return this.#timers.table.get(this.#id) === CANCELLED;
  }
  /** When the next call is due. Stream time's first is due with the first record. */
  get due(): number {
    const due = this.#timers.table.get(this.#id);
    return due === undefined ? Number.NEGATIVE_INFINITY : due === CANCELLED ? NEVER : due;
  }

  cancel(): void {
    set(this.#undo, this.#timers.table, this.#id, CANCELLED);
  }

  resume(streamTime: number): void {
    if (this.isCancelled) set(this.#undo, this.#timers.table, this.#id, this.by === "wall-clock" ? this.#timers.wallClock + this.#intervalMs : this.#after(Math.max(0, streamTime)));
  }

  /** The next time after a moment: stream time counts from 0, wall clock from its own last due time. */
  #after(time: number, phase = 0): number {
    return phase + (Math.floor((time - phase) / this.#intervalMs) + 1) * this.#intervalMs;
  }

  /** Makes the call where it is due; one, however late it is. */
  look(time: number): boolean {
    let { due } = this;
    // A shorter interval than before a restart, or a clock that was set back, must not keep it silent.
    if (this.by === "wall-clock" && due !== NEVER) due = Math.min(due, time + this.#intervalMs);
    if (due > time) return false;
    this.#timers.table.put(this.#id, this.#after(time, this.by === "wall-clock" ? due : 0));
    this.#punctuate(time);
    return true;
  }
}

/** The timers of one task. */
export class Timers {
  readonly table: StateTable<number>;
  readonly #byClock: Timer[] = [];
  /** The machine's time as of the last look. */
  wallClock: number;

  constructor(backend: StateBackend, scratch: ByteWriter, wallClock: number) {
    this.table = new StateTable(backend, "timers", integerCodec, { entriesMax: 1_000, scratch, prefix: "t\0" });
    this.wallClock = wallClock;
  }

  add(timer: Timer): void {
    if (timer.by === "wall-clock") this.#byClock.push(timer);
  }

  /** When the clock is to be looked at again; infinite where nothing waits for it. */
  get due(): number {
    return this.#byClock.reduce((least, timer) => Math.min(least, timer.due), NEVER);
  }
  get isIdle(): boolean {
    return this.#byClock.length === 0;
  }

  /** Makes the calls that are due by the clock, the earliest first; tells how many. */
  look(now: number): number {
    this.wallClock = now;
    let count = 0;
    for (const timer of [...this.#byClock].sort((a, b) => a.due - b.due)) if (timer.look(now)) count++;
    return count;
  }

  /** The index of a row that came of no record: never the same twice in a task. */
  nextInjectedIndex(): number {
    const count = this.table.get(INJECTED) ?? 0;
    this.table.put(INJECTED, (count + 1) % INJECTED_INDEX);
    return INJECTED_INDEX + count;
  }
}

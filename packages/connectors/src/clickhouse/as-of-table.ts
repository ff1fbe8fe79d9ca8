import type { EpochMs } from "@iot-topology/core";
import { AsOfNotes, type AsOfState } from "./as-of-notes.ts";
import { qualifier } from "./ddl.ts";
import { type HistoryDeclaration, names, type NewestDeclaration } from "./declaration.ts";
import type { SinkEnvironment } from "./history-sink.ts";
import { orderTuple } from "./history-objects.ts";
import { quoted, quotedList } from "./identifier.ts";
import { plainSettings } from "./insert-settings.ts";
import { type Permit, permitted } from "./permit.ts";

/*
 * `<name>_data` holds, for each midnight, the newest row of each key among the rows loaded before it.
 *
 *     days      |--d0--|--d1--|--d2--|--d3--|- now
 *     midnights        M1     M2     M3     M4        rows loaded in d1 matter to M2 and all later ones
 *
 * Several processes may deliver to the history, at different speeds, and any of them makes what is due, one at a time. What is due, and who found that out, stands
 * in the notes (see as-of-notes.ts), so nothing depends on what a process remembers.
 */

const DAY_MS = 86_400_000;
/** How long another process may take to make snapshots, before this one looks after its deliveries again. */
const LOCK_WAIT_MS = 20_000;

/** The first midnight UTC that a row loaded at this moment is part of. */
export function firstMidnight(loadTimeMs: EpochMs): EpochMs {
  return (Math.floor(loadTimeMs / DAY_MS) + 1) * DAY_MS;
}

function midnightBefore(momentMs: EpochMs): EpochMs {
  return Math.floor(momentMs / DAY_MS) * DAY_MS;
}

/** Midnights to make, first and last. */
interface Due {
  readonly from: EpochMs;
  readonly upTo: EpochMs;
  /** Whether the snapshot before the range holds, so that the rows before it need not be read. */
  readonly hasBase: boolean;
}

/** One table of daily snapshots. */
export class AsOfTable {
  readonly source: string;
  readonly #environment: SinkEnvironment;
  readonly #history: HistoryDeclaration;
  readonly #daily: NewestDeclaration;
  readonly #notes: AsOfNotes;
  /** The last midnight that is known to be made. Only saves looking. */
  #edgeSeen = 0;

  constructor(environment: SinkEnvironment, history: HistoryDeclaration, daily: NewestDeclaration) {
    this.source = history.table;
    this.#environment = environment;
    this.#history = history;
    this.#daily = daily;
    this.#notes = new AsOfNotes(environment, daily.name);
  }

  /** To be called when rows are in the history, before they are acknowledged. */
  async delivered(loadTimeMin: EpochMs): Promise<void> {
    const midnight = firstMidnight(loadTimeMin);
    const { edge, open } = await this.#notes.read();
    if (midnight > edge) return;
    // An earlier note covers these rows too, unless a run may have read the history already and is about to end it.
    if (open.some((note) => note.from <= midnight) && !open.some((note) => note.isRun)) return;
    await this.#notes.late(midnight);
  }

  /** Whether a look is worth it for someone who delivered nothing to this history. */
  mayBeDue(watermark: EpochMs): boolean {
    return midnightBefore(watermark) > this.#edgeSeen;
  }

  /** Makes the snapshots of all midnights up to the watermark that are missing or may be wrong. */
  async refresh(watermark: EpochMs): Promise<void> {
    if ((await this.#due(await this.#notes.read(), watermark)) === undefined) return;
    const { locks, placement } = this.#environment;
    const lock = await locks.acquire(`${placement.database}.${this.#daily.name}`, { waitMs: LOCK_WAIT_MS });
    try {
      // Whoever had the lock before may have done it all; who wrote a note since relies on this look.
      for (;;) {
        const state = await this.#notes.read();
        const due = await this.#due(state, watermark);
        if (due === undefined) return;
        const run = await this.#notes.begin(due.from, due.upTo, lock.permit);
        await this.#writeSnapshots(due, lock.permit);
        await this.#notes.end([...state.open, run], lock.permit);
        this.#edgeSeen = due.upTo;
      }
    } finally {
      await lock.release();
    }
  }

  async #due(state: AsOfState, watermark: EpochMs): Promise<Due | undefined> {
    this.#edgeSeen = state.edge;
    const upTo = Math.max(midnightBefore(watermark), state.edge);
    let from = state.edge + DAY_MS;
    if (state.edge === 0) {
      if (upTo === 0) return undefined;
      const first = await this.#firstLoadTime(upTo);
      if (first === undefined) return undefined;
      from = firstMidnight(first);
    }
    for (const note of state.open) from = Math.min(from, note.from);
    if (from > upTo) return undefined;
    return { from, upTo, hasBase: state.edge > 0 && from > state.first };
  }

  /** The least load time before a midnight. With the bound the index of load times tells quickly that there is none. */
  async #firstLoadTime(before: EpochMs): Promise<EpochMs | undefined> {
    const { server, placement } = this.#environment;
    const loadTime = quoted(this.#history.loadTime ?? "");
    const [row] = await server.rows<{ ms: string; n: string }>(`SELECT toUnixTimestamp64Milli(min(${loadTime})) AS ms, count() AS n FROM ${qualifier(placement)(this.source)} WHERE ${loadTime} < fromUnixTimestamp64Milli({before:Int64}, 'UTC')`, { before });
    return row === undefined || row.n === "0" ? undefined : Number(row.ms);
  }

  /**
   * All snapshots of the range in one statement: the newest row a key and day, from the snapshot before the range (or all of the history) on; then
   * the newest so far at each day that brought something; then each of these for all midnights up to the next one.
   */
  async #writeSnapshots({ from, upTo, hasBase }: Due, permit: Permit): Promise<void> {
    const { server, placement } = this.#environment;
    const q = qualifier(placement);
    const { columns } = this.#history;
    const by = quotedList(this.#daily.by);
    const rest = columns.map((column) => column.name).filter((name) => !this.#daily.by.includes(name));
    const loadTime = quoted(this.#history.loadTime ?? "");
    const all = quotedList(columns.map((column) => column.name));
    const data = q(names.data(this.#daily.name));
    const rows = hasBase
      ? `SELECT ${all} FROM ${data} FINAL WHERE as_of = fromUnixTimestamp64Milli({base:Int64}, 'UTC') UNION ALL SELECT ${all} FROM ${q(this.source)} WHERE ${loadTime} >= fromUnixTimestamp64Milli({base:Int64}, 'UTC') AND ${loadTime} < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`
      : `SELECT ${all} FROM ${q(this.source)} WHERE ${loadTime} < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`;
    const order = orderTuple(this.#history, this.#daily);
    const days = `SELECT ${by}, greatest(toUnixTimestamp64Milli(${midnightExpression(loadTime)}), {from:Int64}) AS _at, argMax(tuple(${quotedList(rest)}), ${order}) AS _row, max(${order}) AS _order FROM (${rows}) GROUP BY ${by}, _at`;
    const soFar = `SELECT ${by}, _at, argMax(_row, _order) OVER (PARTITION BY ${by} ORDER BY _at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS _newest, leadInFrame(_at, 1, {to:Int64} + ${DAY_MS}) OVER (PARTITION BY ${by} ORDER BY _at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS _next FROM (${days})`;
    const unpacked = columns.map(({ name }) => (this.#daily.by.includes(name) ? quoted(name) : `tupleElement(_newest, ${rest.indexOf(name) + 1}) AS ${quoted(`v_${name}`)}`)).join(", ");
    const select = `SELECT fromUnixTimestamp64Milli(arrayJoin(range(_at, _next, ${DAY_MS})), 'UTC') AS as_of, ${unpacked} FROM (${soFar})`;
    const query = `INSERT INTO ${data} (${quotedList(["as_of"])}, ${all}) ${permitted(select, permit)}`;
    await server.fill(query, this.#daily.name, { base: from - DAY_MS, from, to: upTo, ...permit.parameters }, plainSettings(placement.replicated), permit.queryIdPrefix);
  }
}

/** The first midnight after a load time, in UTC. */
function midnightExpression(loadTime: string): string {
  return `fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(${loadTime}), ${DAY_MS}) * ${DAY_MS} + ${DAY_MS}, 'UTC')`;
}

import type { EpochMs } from "@iot-topology/core";
import { qualifier } from "./ddl.ts";
import { type HistoryDeclaration, names, type NewestDeclaration } from "./declaration.ts";
import type { SinkEnvironment } from "./history-sink.ts";
import { orderTuple } from "./history-objects.ts";
import { quoted, quotedList } from "./identifier.ts";
import { plainSettings } from "./insert-settings.ts";

/*
 * Two tables: `<name>_data` holds, for each midnight, the newest row of each key among the rows loaded before it; `<name>_made` holds, for each midnight
 * that was made, how many rows of the day before it the history had when it was made.
 *
 *     days      |--d0--|--d1--|--d2--|--d3--|- now
 *     midnights        M1     M2     M3     M4        rows loaded in d1 matter to M2 and all later ones
 *
 * A refresh counts first, then writes the snapshots, then the counts: rows that come in between are counted too few, and the next comparison finds
 * the day. So a crash anywhere costs at most a refresh that is made again, and no snapshot stays wrong.
 */

const DAY_MS = 86_400_000;

/** The first midnight UTC that a row loaded at this moment is part of. */
export function firstMidnight(loadTimeMs: EpochMs): EpochMs {
  return (Math.floor(loadTimeMs / DAY_MS) + 1) * DAY_MS;
}

/** One table of daily snapshots. */
export class AsOfTable {
  readonly source: string;
  readonly #environment: SinkEnvironment;
  readonly #history: HistoryDeclaration;
  readonly #daily: NewestDeclaration;
  /** The first midnight whose snapshot may be wrong; Infinity where none is. */
  #dirtyFrom = Number.POSITIVE_INFINITY;
  /** The last midnight made; undefined until it was read, and after a refresh that failed. */
  #madeUpTo: EpochMs | undefined;

  constructor(environment: SinkEnvironment, history: HistoryDeclaration, daily: NewestDeclaration) {
    this.source = history.table;
    this.#environment = environment;
    this.#history = history;
    this.#daily = daily;
  }

  touched(loadTimeMin: EpochMs): void {
    this.#dirtyFrom = Math.min(this.#dirtyFrom, firstMidnight(loadTimeMin));
  }

  /** Makes the snapshots of all midnights up to the watermark that are missing or may be wrong. */
  async refresh(watermark: EpochMs): Promise<void> {
    const dirtyFrom = this.#dirtyFrom;
    this.#dirtyFrom = Number.POSITIVE_INFINITY;
    try {
      await this.#refresh(watermark, dirtyFrom);
    } catch (error) {
      this.#dirtyFrom = Math.min(this.#dirtyFrom, dirtyFrom);
      this.#madeUpTo = undefined;
      throw error;
    }
  }

  async #refresh(watermark: EpochMs, touchedFrom: EpochMs): Promise<void> {
    let dirtyFrom = touchedFrom;
    const lastMidnight = Math.floor(watermark / DAY_MS) * DAY_MS;
    if (this.#madeUpTo === undefined) {
      const made = await this.#compareMade();
      this.#madeUpTo = made.upTo;
      dirtyFrom = Math.min(dirtyFrom, made.dirtyFrom);
    }
    const upTo = Math.max(lastMidnight, this.#madeUpTo);
    const from = Math.min(dirtyFrom, this.#madeUpTo + DAY_MS);
    if (from > upTo || upTo === 0) {
      // Rows of a day that is not over: they are found again when it is, since nothing was made behind them.
      return;
    }
    const counts = await this.#countDays(from, upTo);
    const first = this.#madeUpTo === 0 ? counts.first : from;
    if (first === undefined || first > upTo) return;
    await this.#writeSnapshots(first, upTo, first - DAY_MS <= this.#madeUpTo && this.#madeUpTo > 0);
    await this.#writeMade(first, upTo, counts.rows);
    this.#madeUpTo = upTo;
  }

  /** What was made, and the first midnight whose day has other rows now than when it was made. */
  async #compareMade(): Promise<{ readonly upTo: EpochMs; readonly dirtyFrom: EpochMs }> {
    const { server, placement } = this.#environment;
    const q = qualifier(placement);
    const loadTime = quoted(this.#history.loadTime ?? "");
    const made = `SELECT as_of, rows FROM ${q(names.made(this.#daily.name))} FINAL`;
    const [edge] = await server.rows<{ ms: string }>(`SELECT toUnixTimestamp64Milli(max(as_of)) AS ms FROM (${made})`);
    const upTo = Number(edge?.ms ?? 0);
    if (upTo <= 0) return { upTo: 0, dirtyFrom: Number.POSITIVE_INFINITY };
    const days = `SELECT ${midnightExpression(loadTime)} AS as_of, count() AS rows FROM ${q(this.source)} WHERE ${loadTime} < fromUnixTimestamp64Milli({upTo:Int64}, 'UTC') GROUP BY as_of`;
    const query = `SELECT toUnixTimestamp64Milli(min(coalesce(nullIf(d.as_of, toDateTime64(0, 3, 'UTC')), m.as_of))) AS ms, count() AS n FROM (${days}) AS d FULL OUTER JOIN (${made}) AS m ON d.as_of = m.as_of WHERE d.rows != m.rows`;
    const [row] = await server.rows<{ ms: string | null; n: string }>(query, { upTo }, { join_use_nulls: 0 });
    return { upTo, dirtyFrom: row === undefined || row.n === "0" ? Number.POSITIVE_INFINITY : Number(row.ms) };
  }

  /** Rows of the history for each midnight of the range, by the day before it; and the first midnight that has any rows before it. */
  async #countDays(from: EpochMs, upTo: EpochMs): Promise<{ readonly rows: ReadonlyMap<EpochMs, string>; readonly first: EpochMs | undefined }> {
    const { server, placement } = this.#environment;
    const loadTime = quoted(this.#history.loadTime ?? "");
    const query = `SELECT toUnixTimestamp64Milli(${midnightExpression(loadTime)}) AS ms, count() AS rows FROM ${qualifier(placement)(this.source)} WHERE ${loadTime} >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND ${loadTime} < fromUnixTimestamp64Milli({to:Int64}, 'UTC') GROUP BY ms ORDER BY ms`;
    const found = await server.rows<{ ms: string; rows: string }>(query, { from: this.#madeUpTo === 0 ? 0 : from - DAY_MS, to: upTo });
    return { rows: new Map(found.map((row) => [Number(row.ms), row.rows])), first: found[0] === undefined ? undefined : Number(found[0].ms) };
  }

  /**
   * All snapshots of the range in one statement: the newest row a key and day, from the snapshot before the range (or all of the history) on; then
   * the newest so far at each day that brought something; then each of these for all midnights up to the next one.
   */
  async #writeSnapshots(from: EpochMs, upTo: EpochMs, hasBase: boolean): Promise<void> {
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
    await server.command(`INSERT INTO ${data} (${quotedList(["as_of"])}, ${all}) ${select}`, this.#daily.name, { base: from - DAY_MS, from, to: upTo }, plainSettings(placement.replicated));
  }

  async #writeMade(from: EpochMs, upTo: EpochMs, rows: ReadonlyMap<EpochMs, string>): Promise<void> {
    const { server, placement } = this.#environment;
    const table = qualifier(placement)(names.made(this.#daily.name));
    const at: string[] = [];
    const counts: string[] = [];
    for (let midnight = from; midnight <= upTo; midnight += DAY_MS) {
      at.push(String(midnight));
      counts.push(rows.get(midnight) ?? "0");
    }
    // Two arrays of numbers; some 800 days are 20 kB, so long ranges go in pieces that fit an HTTP request line.
    for (let start = 0; start < at.length; start += 500) {
      const query = `INSERT INTO ${table} (as_of, rows) SELECT fromUnixTimestamp64Milli(toInt64(ms), 'UTC'), n FROM (SELECT arrayJoin(arrayZip([${at.slice(start, start + 500).join(",")}], [${counts.slice(start, start + 500).join(",")}])) AS pair, pair.1 AS ms, pair.2 AS n)`;
      await server.command(query, this.#daily.name, {}, plainSettings(placement.replicated));
    }
  }
}

/** The first midnight after a load time, in UTC. */
function midnightExpression(loadTime: string): string {
  return `fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(${loadTime}), ${DAY_MS}) * ${DAY_MS} + ${DAY_MS}, 'UTC')`;
}

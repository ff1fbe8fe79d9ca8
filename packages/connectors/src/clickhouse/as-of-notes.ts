import { randomUUID } from "node:crypto";
import type { EpochMs } from "@iot-topology/core";
import { qualifier } from "./ddl.ts";
import { type ColumnDeclaration, names } from "./declaration.ts";
import type { SinkEnvironment } from "./history-sink.ts";
import { plainSettings } from "./insert-settings.ts";
import { type Permit, permitted } from "./permit.ts";

/*
 * What processes tell each other about a table of snapshots. Rows of an id merge in any order, since all their columns only move one way.
 *
 *   edge    first, last    the first and the last midnight that snapshots were made for
 *   late    first          rows came into the history of which the snapshots from this midnight on may know nothing
 *   run     first          a refresh is making the snapshots from here on, or died while it was
 *
 * Nothing is forgotten, whoever dies when:
 *
 *   who delivers:    its rows are in the history -> reads the notes -> where the edge has passed them, writes `late` -> acknowledges the batch
 *   who refreshes:   has the lock -> reads the notes -> writes `run` and the new edge -> reads the history, writes snapshots -> ends the run, and the `late`s that it read
 *
 * A delivery that read the notes before the run was written has its rows in the history before the run reads it. One that reads them later writes `late`.
 */

const EDGE = "edge";
/** Ended notes are removed when there are so many. */
const ENDED_MAX = 1_000;

/** The columns of the notes' table. */
export const NOTE_COLUMNS: readonly ColumnDeclaration[] = [
  { name: "id", type: "String" },
  { name: "first_ms", type: "SimpleAggregateFunction(min, Int64)" },
  { name: "last_ms", type: "SimpleAggregateFunction(max, Int64)" },
  { name: "is_run", type: "SimpleAggregateFunction(max, UInt8)" },
  { name: "ended", type: "SimpleAggregateFunction(max, UInt8)" },
];

/** A note that something is to be made. */
export interface OpenNote {
  readonly id: string;
  readonly from: EpochMs;
  readonly isRun: boolean;
}

/** The notes at one moment. */
export interface AsOfState {
  /** The first and last midnight made; 0 where none is. */
  readonly first: EpochMs;
  readonly edge: EpochMs;
  readonly open: readonly OpenNote[];
}

/** The notes on one table of snapshots. */
export class AsOfNotes {
  readonly #environment: SinkEnvironment;
  readonly #name: string;
  readonly #table: string;

  constructor(environment: SinkEnvironment, daily: string) {
    this.#environment = environment;
    this.#name = names.notes(daily);
    this.#table = qualifier(environment.placement)(this.#name);
  }

  async read(): Promise<AsOfState> {
    const { server, placement } = this.#environment;
    const query = `SELECT id, min(first_ms) AS since, max(last_ms) AS until, max(is_run) AS run FROM ${this.#table} GROUP BY id HAVING max(ended) = 0 OR id = '${EDGE}'`;
    const rows = await server.rows<{ id: string; since: string; until: string; run: number }>(query, {}, placement.replicated ? { select_sequential_consistency: 1 } : {});
    const edge = rows.find((row) => row.id === EDGE);
    const open = rows.filter((row) => row.id !== EDGE).map((row) => ({ id: row.id, from: Number(row.since), isRun: row.run === 1 }));
    return { first: Number(edge?.since ?? 0), edge: Number(edge?.until ?? 0), open };
  }

  /** Notes that rows came which the snapshots from this midnight on may lack. */
  async late(from: EpochMs): Promise<void> {
    await this.#write([{ id: randomUUID(), from, upTo: 0, isRun: false, ended: false }]);
  }

  /** Notes, in one insert, that snapshots of a range are being made. */
  async begin(from: EpochMs, upTo: EpochMs, permit: Permit): Promise<OpenNote> {
    const run = { id: randomUUID(), from, isRun: true };
    await this.#write([{ id: EDGE, from, upTo, isRun: false, ended: true }, { ...run, upTo: 0, ended: false }], permit);
    return run;
  }

  /** Notes that these are done. */
  async end(notes: readonly OpenNote[], permit: Permit): Promise<void> {
    await this.#write(notes.map((note) => ({ ...note, upTo: 0, ended: true })), permit);
    const { server } = this.#environment;
    const ended = await server.rows<{ id: string }>(`SELECT id FROM ${this.#table} WHERE id != '${EDGE}' GROUP BY id HAVING max(ended) = 1 LIMIT ${ENDED_MAX}`);
    if (ended.length < ENDED_MAX) return;
    await server.command(`DELETE FROM ${this.#table} WHERE id IN {ids:Array(String)}`, this.#name, { ids: ended.map((row) => row.id) });
  }

  async #write(notes: readonly { id: string; from: EpochMs; upTo: EpochMs; isRun: boolean; ended: boolean }[], permit?: Permit): Promise<void> {
    const { server, placement } = this.#environment;
    // Pieces of a size that fits an HTTP request line. Only ended notes are ever so many.
    for (let start = 0; start < notes.length; start += 200) {
      const rows = notes.slice(start, start + 200).map((note) => `('${note.id}', ${note.from}, ${note.upTo}, ${note.isRun ? 1 : 0}, ${note.ended ? 1 : 0})`);
      const select = `SELECT * FROM VALUES('id String, first_ms Int64, last_ms Int64, is_run UInt8, ended UInt8', ${rows.join(", ")})`;
      const query = `INSERT INTO ${this.#table} (id, first_ms, last_ms, is_run, ended) ${permit === undefined ? select : permitted(select, permit)}`;
      await server.command(query, this.#name, permit?.parameters ?? {}, plainSettings(placement.replicated), permit?.queryIdPrefix);
    }
  }
}

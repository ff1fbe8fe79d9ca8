import { hash } from "node:crypto";
import { type DeliveryHint, failpoint, type Logger, type SealedBatch, type Sink, TopologyError } from "@iot-topology/core";
import type { AsOfRefresher } from "./as-of-refresher.ts";
import { identityTuple, type RangeCondition, rangeCondition } from "./batch-range.ts";
import { type Placement, qualifier } from "./ddl.ts";
import { type HistoryDeclaration, names } from "./declaration.ts";
import { latestSelect } from "./history-objects.ts";
import { literal, quoted, quotedList } from "./identifier.ts";
import { plainSettings, tokenSettings } from "./insert-settings.ts";
import type { Server } from "./server.ts";
import { differenceCount, insertDifference } from "./window-repair.ts";

/*
 * A certain batch:    insert under its token. Any error makes it uncertain, and the engine delivers it again.
 *
 * An uncertain batch, of which all, some or none of the rows may be there, under this token or (after a rebuild) under others:
 *
 *   wait for inserts that still run -> count the rows there
 *      none   -> insert under the token -> count again: the server may have kept the token and lost the rows
 *      some, or still missing -> insert those that are not there, without a token
 *   then each view: windows are compared with the history and get the difference; latest rows are merged in again.
 */

const RUNNING_WAIT_MS = 30_000;

/** What a sink needs besides its declaration. */
export interface SinkEnvironment {
  readonly server: Server;
  readonly placement: Placement;
  readonly logger: Logger;
}

/** Delivers to a history. */
export class HistorySink implements Sink {
  readonly #declaration: HistoryDeclaration;
  readonly #environment: SinkEnvironment;
  readonly #refresher: AsOfRefresher;
  readonly #insertInto: string;
  readonly #table: string;

  constructor(declaration: HistoryDeclaration, environment: SinkEnvironment, refresher: AsOfRefresher) {
    this.#declaration = declaration;
    this.#environment = environment;
    this.#refresher = refresher;
    const q = qualifier(environment.placement);
    this.#table = q(declaration.table);
    this.#insertInto = `INSERT INTO ${this.#table} (${quotedList(declaration.columns.map((column) => column.name))})`;
  }

  async deliver(batch: SealedBatch, hint: DeliveryHint): Promise<void> {
    const { table } = this.#declaration;
    // Both before and after: a snapshot made while the rows are on their way may or may not hold them.
    this.#refresher.touched(table, batch.loadTimeMin);
    try {
      if (hint.uncertain) await this.#deliverUncertain(batch);
      else await this.#insertByToken(batch);
      failpoint("clickhouse.after-insert");
      this.#refresher.delivered(table, batch.loadTimeMax);
    } finally {
      this.#refresher.touched(table, batch.loadTimeMin);
    }
  }

  /** Makes the as-of snapshots that are due, of all histories: one's load time may have passed another's midnight. */
  async settle(): Promise<void> {
    await this.#refresher.refresh();
  }

  get #queryIdPrefix(): string {
    return `iot-topology:${this.#environment.placement.database}.${this.#declaration.table}:`;
  }

  async #insertByToken(batch: SealedBatch): Promise<void> {
    const { server, placement } = this.#environment;
    const token = hash("sha256", batch.token, "hex").slice(0, 8);
    const settings = tokenSettings(batch.token, placement.replicated);
    await server.insert(`${this.#insertInto} FORMAT RowBinary`, batch.bytes, this.#declaration.table, settings, `${this.#queryIdPrefix}${token}:`);
  }

  async #deliverUncertain(batch: SealedBatch): Promise<void> {
    const { server, placement, logger } = this.#environment;
    await server.settleRunning(this.#queryIdPrefix, placement.cluster, RUNNING_WAIT_MS);
    const range = rangeCondition(batch.inputs, this.#declaration.identity);
    const before = await this.#count(range);
    let after = before;
    if (before === 0) {
      await this.#insertByToken(batch);
      after = await this.#count(range);
    }
    // Rows of other batches may lie in the range too, so enough rows are no proof: only a batch that found none may stop here.
    if (before > 0 || after < batch.rowCount) {
      await this.#insertMissing(batch, range);
      after = await this.#count(range);
    }
    failpoint("clickhouse.after-verify");
    // With a TTL, rows may be gone as soon as they came.
    if (after < batch.rowCount && this.#declaration.ttl === null) {
      throw new TopologyError("SINK_MISMATCH", `${batch.rowCount - after} of ${batch.rowCount} rows are not in the table after they were acknowledged`, {
        place: `${placement.database}.${this.#declaration.table}`,
        cure: "it is tried again; if it stays, check that orderBy identifies a row and that no TTL removes what is still being delivered",
        retriable: true,
      });
    }
    const repaired = await this.#repairViews(range);
    logger.debug({ table: this.#declaration.table, token: batch.token, rows: batch.rowCount, before, after, repaired }, "uncertain batch verified");
  }

  /** How many rows of the range are there, each counted once. */
  async #count(range: RangeCondition): Promise<number> {
    const { server, placement } = this.#environment;
    const query = `SELECT count() AS n FROM (SELECT DISTINCT ${identityTuple(this.#declaration.identity)} FROM ${this.#table} WHERE ${range.where})`;
    const [row] = await server.rows<{ n: string }>(query, range.parameters, placement.replicated ? { select_sequential_consistency: 1 } : {});
    return Number(row?.n ?? 0);
  }

  async #insertMissing(batch: SealedBatch, range: RangeCondition): Promise<void> {
    const { server, placement } = this.#environment;
    const { columns, identity, table } = this.#declaration;
    const structure = literal(columns.map((column) => `${quoted(column.name)} ${column.type}`).join(", "));
    const present = `SELECT ${identityTuple(identity)} FROM ${this.#table} WHERE ${range.where}`;
    const query = `${this.#insertInto} SELECT ${quotedList(columns.map((column) => column.name))} FROM input(${structure}) WHERE ${identityTuple(identity)} NOT IN (${present}) FORMAT RowBinary`;
    await server.insert(query, batch.bytes, table, plainSettings(placement.replicated), `${this.#queryIdPrefix}missing:`, range.parameters);
  }

  async #repairViews(range: RangeCondition): Promise<number> {
    const { server, placement, logger } = this.#environment;
    const q = qualifier(placement);
    let repaired = 0;
    for (const window of this.#declaration.windows) {
      const count = await differenceCount(server, this.#declaration, window, q, range);
      if (count === 0) continue;
      repaired += count;
      logger.warn({ view: window.view, windows: count }, "windows differ from their history and are corrected");
      await insertDifference(server, this.#declaration, window, q, range, placement.replicated);
    }
    for (const latest of this.#declaration.latest) {
      const columns = quotedList([...latest.by, "_row"]);
      const select = latestSelect(this.#declaration, latest, q, ` WHERE ${range.where}`);
      await server.command(`INSERT INTO ${q(names.state(latest.name))} (${columns}) ${select}`, latest.name, range.parameters, plainSettings(placement.replicated));
    }
    return repaired;
  }
}

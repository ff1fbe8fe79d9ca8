import { type DeliveryHint, failpoint, type InputRange, type Logger, type SealedBatch, type Sink, TopologyError } from "@iot-topology/core";
import type { AsOfRefresher } from "./as-of-refresher.ts";
import { identityTuple, type RangeCondition, rangeCondition } from "./batch-range.ts";
import type { Claims } from "./claim.ts";
import { type Placement, qualifier } from "./ddl.ts";
import { type HistoryDeclaration, names } from "./declaration.ts";
import { latestSelect } from "./history-objects.ts";
import { quotedList } from "./identifier.ts";
import { plainSettings, tokenSettings } from "./insert-settings.ts";
import type { Locks } from "./lock.ts";
import type { Permit } from "./permit.ts";
import { RowWriter } from "./row-writer.ts";
import type { Server } from "./server.ts";
import { differenceCount, insertDifference } from "./window-repair.ts";

/*
 * A certain batch:    insert under its token. Any error makes it uncertain, and the engine delivers it again. The first one behind a new claim is taken for certain
 *                     only where none of its rows is there: whoever delivers may have stood still while another did.
 *
 * An uncertain batch, of which all, some or none of the rows may be there, under this token or (after a rebuild) under others, and which another process may be
 * delivering at this moment:
 *
 *   take the claim: whoever else writes this task's rows is refused from now on, and what was let in before has ended
 *      -> insert the rows that are not there, without a token, since the server may have kept the token and lost the rows -> count
 *      -> each view: windows are compared with the history and get the difference; latest rows are merged in again
 *
 * Each insert carries the claim, and the server refuses it where a newer one is there: see claim.ts.
 */

/** What a sink needs besides its declaration. */
export interface SinkEnvironment {
  readonly server: Server;
  readonly placement: Placement;
  readonly logger: Logger;
  readonly claims: Claims;
  readonly locks: Locks;
}

/** Delivers to a history. */
export class HistorySink implements Sink {
  readonly #declaration: HistoryDeclaration;
  readonly #environment: SinkEnvironment;
  readonly #refresher: AsOfRefresher;
  readonly #table: string;
  readonly #writer: RowWriter;

  constructor(declaration: HistoryDeclaration, environment: SinkEnvironment, refresher: AsOfRefresher) {
    this.#declaration = declaration;
    this.#environment = environment;
    this.#refresher = refresher;
    const q = qualifier(environment.placement);
    this.#table = q(declaration.table);
    this.#writer = new RowWriter(environment, declaration.table, declaration.columns);
  }

  async deliver(batch: SealedBatch, { uncertain }: DeliveryHint): Promise<void> {
    const { table } = this.#declaration;
    const range = rangeCondition(batch.inputs, this.#declaration.identity);
    await this.#writer.underClaim(batch, uncertain, async (permit, isAhead) => {
      const isNew = !uncertain && (isAhead || (await this.#count(range)) === 0);
      if (isNew) await this.#writer.insert(batch, permit, tokenSettings(batch.token, this.#environment.placement.replicated));
      else await this.#deliverUncertain(batch, range, permit);
      return isNew;
    });
    failpoint("clickhouse.after-insert");
    await this.#refresher.delivered(table, batch.loadTimeMin, batch.loadTimeMax);
  }

  async mayHold(inputs: readonly InputRange[]): Promise<boolean> {
    const { server, placement } = this.#environment;
    const { where, parameters } = rangeCondition(inputs, this.#declaration.identity);
    const rows = await server.rows(`SELECT 1 AS held FROM ${this.#table} WHERE ${where} LIMIT 1`, parameters, placement.replicated ? { select_sequential_consistency: 1 } : {});
    return rows.length > 0;
  }

  /** Makes the as-of snapshots that are due, of all histories: one's load time may have passed another's midnight. */
  async settle(): Promise<void> {
    await this.#refresher.refresh(this.#declaration.table);
  }

  async #deliverUncertain(batch: SealedBatch, range: RangeCondition, permit: Permit): Promise<void> {
    const { placement, logger } = this.#environment;
    await this.#insertMissing(batch, range, permit);
    const present = await this.#count(range);
    failpoint("clickhouse.after-verify");
    // With a TTL, rows may be gone as soon as they came. Rows of other batches may lie in the range too.
    if (present < batch.rowCount && this.#declaration.ttl === null) {
      throw new TopologyError("SINK_MISMATCH", `${batch.rowCount - present} of ${batch.rowCount} rows are not in the table after they were acknowledged`, {
        place: `${placement.database}.${this.#declaration.table}`,
        cure: "it is tried again; if it stays, check that orderBy identifies a row and that no TTL removes what is still being delivered",
        retriable: true,
      });
    }
    const repaired = await this.#repairViews(range, permit);
    logger.debug({ table: this.#declaration.table, token: batch.token, rows: batch.rowCount, repaired }, "uncertain batch verified");
  }

  /** How many rows of the range are there, each counted once. */
  async #count(range: RangeCondition): Promise<number> {
    const { server, placement } = this.#environment;
    const query = `SELECT count() AS n FROM (SELECT DISTINCT ${identityTuple(this.#declaration.identity)} FROM ${this.#table} WHERE ${range.where})`;
    const [row] = await server.rows<{ n: string }>(query, range.parameters, placement.replicated ? { select_sequential_consistency: 1 } : {});
    return Number(row?.n ?? 0);
  }

  async #insertMissing(batch: SealedBatch, range: RangeCondition, permit: Permit): Promise<void> {
    const identity = identityTuple(this.#declaration.identity);
    const where = `${identity} NOT IN (SELECT ${identity} FROM ${this.#table} WHERE ${range.where})`;
    await this.#writer.insert(batch, permit, plainSettings(this.#environment.placement.replicated), { where, parameters: range.parameters });
  }

  async #repairViews(range: RangeCondition, permit: Permit): Promise<number> {
    const { server, placement, logger } = this.#environment;
    const q = qualifier(placement);
    let repaired = 0;
    for (const window of this.#declaration.windows) {
      const count = await differenceCount(server, this.#declaration, window, q, range);
      if (count === 0) continue;
      repaired += count;
      logger.warn({ view: window.view, windows: count }, "windows differ from their history and are corrected");
      await insertDifference(server, this.#declaration, window, q, range, permit, placement.replicated);
    }
    for (const latest of this.#declaration.latest) {
      const columns = quotedList([...latest.by, "_row"]);
      const select = latestSelect(this.#declaration, latest, q, ` WHERE ${range.where}`);
      await server.command(`INSERT INTO ${q(names.state(latest.name))} (${columns}) ${select}`, latest.name, range.parameters, plainSettings(placement.replicated));
    }
    return repaired;
  }
}

import { randomUUID } from "node:crypto";
import { createTable, type Placement, qualifier } from "./ddl.ts";
import { plainSettings } from "./insert-settings.ts";
import type { Locks } from "./lock.ts";
import type { TableObject } from "./object.ts";
import { type Permit, throwUnless } from "./permit.ts";
import type { Server } from "./server.ts";

/*
 * Whose turn it is to write a task's rows into a table. The newest claim counts; taking one ends all others at once.
 *
 *   A: claim a ------ insert (a) ------ insert (a) ...stopped.....................insert (a): refused by the server
 *   B:                                          claim b - waits for (a) - checks what is there - insert (b) ---
 *
 * So from `take` on, nothing changes the rows of that task, and what is missing or doubled can be told and put right. A claim tells nothing of who owns the
 * task: two processes that take turns by mistake cost time, and no row.
 */

/** How long another's insert may go on before it is killed. */
const GRACE_MS = 2_000;
/** How long a table may be worked on as a whole, as when a new view is filled from it. */
const TABLE_WAIT_MS = 20_000;

/** The scope of the lock that keeps all writers out of a history. */
export function tableScope(table: string): string {
  return `table:${table}`;
}

/** The claims of one database. */
export class Claims {
  readonly #server: Server;
  readonly #placement: Placement;
  readonly #locks: Locks;
  readonly #table: string;

  constructor(server: Server, placement: Placement, locks: Locks) {
    this.#server = server;
    this.#placement = placement;
    this.#locks = locks;
    this.#table = qualifier(placement)(CLAIM_TABLE.name);
  }

  async create(): Promise<void> {
    await this.#server.command(createTable(CLAIM_TABLE, this.#placement), CLAIM_TABLE.name);
  }

  /** Begins the query ids of all inserts into a table. */
  prefix(table: string): string {
    return `iot-topology:${this.#placement.database}:rows:${table}:`;
  }

  /** Ends every other permit for this table and task. What was let in under them has ended when this resolves. */
  async take(table: string, task: string): Promise<Permit> {
    const scope = `${table}:${task}`;
    const claim = randomUUID();
    await this.#locks.waitFree(tableScope(table), TABLE_WAIT_MS);
    // A number above all that are there, so that a clock that was set back changes nothing.
    const at = `greatest(toUInt64(toUnixTimestamp64Nano(now64(9))), ifNull((SELECT max(at) FROM ${this.#table} WHERE scope = {scope:String}), 0) + 1)`;
    const query = `INSERT INTO ${this.#table} (scope, at, claim) SELECT {scope:String}, ${at}, {claim:String}`;
    await this.#server.command(query, CLAIM_TABLE.name, { scope, claim }, plainSettings(this.#placement.replicated));
    const prefix = `${this.prefix(table)}${task}:`;
    await this.#server.endStatements(prefix, `${prefix}${claim}:`, this.#placement.cluster, GRACE_MS);
    const newest = `ifNull((SELECT argMax(claim, (at, claim)) FROM ${this.#table} WHERE scope = {permitScope:String}), '') = {permitClaim:String}`;
    return {
      condition: throwUnless(`${newest} AND ${this.#locks.freeCondition("permitTable")}`),
      parameters: { permitScope: scope, permitClaim: claim, permitTable: tableScope(table) },
      queryIdPrefix: `${prefix}${claim}:`,
    };
  }
}

/** A row a table and task. */
export const CLAIM_TABLE: TableObject = {
  name: "_iot_topology_claim",
  columns: [
    { name: "scope", type: "String" },
    { name: "at", type: "UInt64" },
    { name: "claim", type: "String" },
  ],
  indexes: [],
  engine: "ReplacingMergeTree",
  version: "at",
  orderBy: ["scope"],
  partitionBy: null,
  ttl: null,
  deduplicationWindow: 0,
  isSynced: true,
};

import { randomUUID } from "node:crypto";
import { type Logger, TopologyError } from "@iot-topology/core";
import { createTable, type Placement, qualifier } from "./ddl.ts";
import { plainSettings } from "./insert-settings.ts";
import type { TableObject } from "./object.ts";
import { type Permit, throwUnless } from "./permit.ts";
import type { Server } from "./server.ts";

/*
 * Locks between processes, in a table, since ClickHouse has none. Lamport's bakery: a candidate says that it is choosing, takes a number above all that it sees,
 * waits until nobody chooses, and then for all smaller numbers.
 *
 *   choosing (number 0) -> waiting (number n) -> holding (no smaller number left) -> ended
 *
 * All columns only grow, so rows of one candidate merge in any order. A candidate that gave no sign of life for `LEASE_MS`, and has no statement running,
 * is ended by whoever waits for it; its statements then fail by their permit.
 */

const LEASE_MS = 15_000;
const TOUCH_MS = 4_000;
const POLL_MS = 60;
/** How long statements of an ended holder may go on by themselves before they are killed. */
const GRACE_MS = 2_000;

/** Everything of a candidate that others see. */
interface Candidate {
  readonly holder: string;
  readonly number: string;
  readonly age: string;
}

/** A held lock. */
export interface Lock {
  readonly permit: Permit;
  /** Says that this process lives, unless it did so lately. For long waits; a running statement says it too. */
  touch(): Promise<void>;
  /** Throws SINK_FENCED where someone took the lock away. For statements that can carry no permit. */
  check(): Promise<void>;
  release(): Promise<void>;
}

/** The locks of one database. */
export class Locks {
  readonly #server: Server;
  readonly #placement: Placement;
  readonly #logger: Logger;
  readonly #leaseMs: number;
  readonly #table: string;

  constructor(server: Server, placement: Placement, logger: Logger, leaseMs: number = LEASE_MS) {
    this.#server = server;
    this.#placement = placement;
    this.#logger = logger;
    this.#leaseMs = leaseMs;
    this.#table = qualifier(placement)(LOCK_TABLE.name);
  }

  async create(): Promise<void> {
    await this.#server.command(createTable(LOCK_TABLE, this.#placement), LOCK_TABLE.name);
  }

  /** An SQL condition: nobody holds this lock or waits for it. Takes the scope from the parameter of that name. */
  freeCondition(parameter: string): string {
    return `(SELECT count() FROM (SELECT holder FROM ${this.#table} WHERE scope = {${parameter}:String} GROUP BY holder HAVING max(ended) = 0)) = 0`;
  }

  /**
   * Waits for the lock, at most `waitMs`; what its former holders left running has ended when this resolves. `statements` is the prefix of the query ids of
   * further statements that must have ended.
   *
   * @throws TopologyError SINK_BUSY, retriable, where others held it for so long; SINK_FENCED where this process was taken for dead meanwhile.
   */
  async acquire(scope: string, options: { readonly waitMs: number; readonly statements?: string; readonly onWait?: () => Promise<void> }): Promise<Lock> {
    const holder = randomUUID();
    await this.#write(scope, holder, "0");
    await this.#write(scope, holder, `(SELECT max(number) + 1 FROM ${this.#table} WHERE scope = {scope:String})`);
    try {
      await this.#wait(scope, holder, options);
      const { cluster } = this.#placement;
      const prefix = this.#prefix(scope);
      await this.#server.endStatements(prefix, `${prefix}${holder}:`, cluster, GRACE_MS);
      if (options.statements !== undefined) await this.#server.endStatements(options.statements, null, cluster, 30_000);
    } catch (error) {
      await this.#end(scope, holder).catch(() => {});
      throw error;
    }
    return this.#lock(scope, holder);
  }

  /** Waits until nobody holds the lock or waits for it, at most `waitMs`. */
  async waitFree(scope: string, waitMs: number): Promise<void> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const blocking = await this.#alive(scope, await this.#candidates(scope));
      if (blocking.length === 0) return;
      if (Date.now() > deadline) throw busy(scope);
      await sleep(POLL_MS);
    }
  }

  async #wait(scope: string, holder: string, { waitMs, onWait }: { readonly waitMs: number; readonly onWait?: () => Promise<void> }): Promise<void> {
    const deadline = Date.now() + waitMs;
    let touched = Date.now();
    let told = false;
    for (;;) {
      const candidates = await this.#candidates(scope);
      const mine = candidates.find((candidate) => candidate.holder === holder);
      if (mine === undefined) throw fenced(scope);
      const before = candidates.filter((other) => other.holder !== holder && isBefore(other, mine));
      if ((await this.#alive(scope, before)).length === 0) return;
      if (Date.now() > deadline) throw busy(scope);
      if (!told && deadline - Date.now() < waitMs - 3_000) {
        this.#logger.info({ scope }, "waiting for another process that works on ClickHouse's tables");
        told = true;
      }
      if (Date.now() - touched > TOUCH_MS) {
        await this.#write(scope, holder, "0");
        await onWait?.();
        touched = Date.now();
      }
      await sleep(POLL_MS);
    }
  }

  #lock(scope: string, holder: string): Lock {
    const condition = `ifNull((SELECT max(ended) = 0 AND count() > 0 FROM ${this.#table} WHERE scope = {permitScope:String} AND holder = {permitHolder:String}), 0)`;
    const parameters = { permitScope: scope, permitHolder: holder };
    let touchedAt = Date.now();
    return {
      permit: { condition: throwUnless(condition), parameters, queryIdPrefix: `${this.#prefix(scope)}${holder}:` },
      touch: async () => {
        if (Date.now() - touchedAt < TOUCH_MS) return;
        await this.#write(scope, holder, "0");
        touchedAt = Date.now();
      },
      check: async () => {
        const [row] = await this.#server.rows<{ held: number }>(`SELECT ${condition} AS held`, parameters);
        if (row?.held !== 1) throw fenced(scope);
      },
      // Where it fails, the lease ends the lock a little later; what the work said matters more.
      release: () => this.#end(scope, holder).catch((error: unknown) => this.#logger.warn({ scope, error: String(error) }, "a lock could not be given back")),
    };
  }

  async #candidates(scope: string): Promise<readonly Candidate[]> {
    return this.#server.rows<Candidate>(
      `SELECT holder, max(number) AS number, dateDiff('millisecond', max(at), now64(3)) AS age FROM ${this.#table} WHERE scope = {scope:String} GROUP BY holder HAVING max(ended) = 0`,
      { scope },
      this.#placement.replicated ? { select_sequential_consistency: 1 } : {},
    );
  }

  /** Those that give signs of life; the others are ended. */
  async #alive(scope: string, candidates: readonly Candidate[]): Promise<readonly Candidate[]> {
    const alive: Candidate[] = [];
    for (const candidate of candidates) {
      const isAlive = Number(candidate.age) < this.#leaseMs || (await this.#server.isRunning(`${this.#prefix(scope)}${candidate.holder}:`, this.#placement.cluster));
      if (isAlive) alive.push(candidate);
      else await this.#end(scope, candidate.holder);
    }
    return alive;
  }

  #prefix(scope: string): string {
    return `iot-topology:${this.#placement.database}:lock:${scope}:`;
  }

  async #write(scope: string, holder: string, number: string, ended = 0): Promise<void> {
    const query = `INSERT INTO ${this.#table} (scope, holder, number, ended, at) SELECT {scope:String}, {holder:String}, ${number}, {ended:UInt8}, now64(3, 'UTC')`;
    await this.#server.command(query, LOCK_TABLE.name, { scope, holder, ended }, plainSettings(this.#placement.replicated));
  }

  async #end(scope: string, holder: string): Promise<void> {
    await this.#write(scope, holder, "0", 1);
  }
}

function isBefore(other: Candidate, mine: Candidate): boolean {
  if (other.number === "0") return true;
  const difference = BigInt(other.number) - BigInt(mine.number);
  return difference < 0n || (difference === 0n && other.holder < mine.holder);
}

function busy(scope: string): TopologyError {
  return new TopologyError("SINK_BUSY", "another process works on the same ClickHouse tables", { place: scope, cure: "it is tried again by itself; if it stays, see what that process does", retriable: true });
}

function fenced(scope: string): TopologyError {
  return new TopologyError("SINK_FENCED", "this process was taken for dead, and another works in its place", { place: scope, cure: "it is tried again by itself", retriable: true });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A row or more a candidate. Rows go after a day: a candidate that shows again then is dead by its age. */
export const LOCK_TABLE: TableObject = {
  name: "_iot_topology_lock",
  columns: [
    { name: "scope", type: "String" },
    { name: "holder", type: "String" },
    { name: "number", type: "SimpleAggregateFunction(max, UInt64)" },
    { name: "ended", type: "SimpleAggregateFunction(max, UInt8)" },
    { name: "at", type: "SimpleAggregateFunction(max, DateTime64(3, 'UTC'))" },
  ],
  indexes: [],
  engine: "AggregatingMergeTree",
  version: null,
  orderBy: ["scope", "holder"],
  partitionBy: null,
  ttl: "toDateTime(at) + INTERVAL 1 DAY",
  deduplicationWindow: 0,
  isSynced: true,
};

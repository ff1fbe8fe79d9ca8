import type { SealedBatch } from "@iot-topology/core";
import type { Claims } from "./claim.ts";
import { type Placement, qualifier } from "./ddl.ts";
import type { ColumnDeclaration } from "./declaration.ts";
import { literal, quoted, quotedList } from "./identifier.ts";
import type { Permit } from "./permit.ts";
import type { Parameters, Server, Settings } from "./server.ts";

/** A condition on the rows of an insert, over the columns' names. */
export interface RowCondition {
  readonly where: string;
  readonly parameters: Parameters;
}

/** A claim that this process has. */
interface HeldClaim {
  readonly permit: Permit;
  /** Whether a batch was met under it that nobody had delivered before; in order as they come, nor has anybody those behind it. */
  readonly isAhead: boolean;
}

/** Inserts sealed rows into one table, each insert under the claim of the rows' task. */
export class RowWriter {
  readonly #server: Server;
  readonly #claims: Claims;
  readonly #table: string;
  /** `INSERT INTO ... SELECT ... FROM input(...)`, behind which conditions and the format come. */
  readonly #insert: string;
  /** The claims that this process holds, by task. */
  readonly #held = new Map<string, HeldClaim>();

  constructor(environment: { readonly server: Server; readonly placement: Placement; readonly claims: Claims }, table: string, columns: readonly ColumnDeclaration[]) {
    this.#server = environment.server;
    this.#claims = environment.claims;
    this.#table = table;
    const names = quotedList(columns.map((column) => column.name));
    const structure = literal(columns.map((column) => `${quoted(column.name)} ${column.type}`).join(", "));
    this.#insert = `INSERT INTO ${qualifier(environment.placement)(table)} (${names}) SELECT ${names} FROM input(${structure})`;
  }

  /**
   * Runs a delivery under the claim of the batch's task: the one that this process has, or a new one where it has none or `renew` is set. A claim is kept only
   * where the delivery worked: after anything else, something of it may still be on its way.
   *
   * `work` is told whether what others may have delivered lies behind, and tells so itself. A process that stood still and took the claim again takes batches for
   * new that its successor delivered long ago.
   */
  async underClaim(batch: SealedBatch, renew: boolean, work: (permit: Permit, isAhead: boolean) => Promise<boolean>): Promise<void> {
    const task = `${batch.topology}:${batch.task}`;
    const held = (renew ? undefined : this.#held.get(task)) ?? { permit: await this.#claims.take(this.#table, task), isAhead: false };
    this.#held.delete(task);
    const isAhead = await work(held.permit, held.isAhead);
    this.#held.set(task, { permit: held.permit, isAhead });
  }

  async insert(batch: SealedBatch, permit: Permit, settings: Settings, condition?: RowCondition): Promise<void> {
    const where = condition === undefined ? permit.condition : `${condition.where} AND ${permit.condition}`;
    const parameters = { ...condition?.parameters, ...permit.parameters };
    await this.#server.insert(`${this.#insert} WHERE ${where} FORMAT RowBinary`, batch.bytes, this.#table, settings, permit.queryIdPrefix, parameters);
  }
}

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

/** Inserts sealed rows into one table, each insert under the claim of the rows' task. */
export class RowWriter {
  readonly #server: Server;
  readonly #claims: Claims;
  readonly #table: string;
  /** `INSERT INTO ... SELECT ... FROM input(...)`, behind which conditions and the format come. */
  readonly #insert: string;
  /** The claims that this process holds, by task. */
  readonly #permits = new Map<string, Permit>();

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
   */
  async underClaim(batch: SealedBatch, renew: boolean, work: (permit: Permit) => Promise<void>): Promise<void> {
    const task = `${batch.topology}:${batch.task}`;
    const permit = (renew ? undefined : this.#permits.get(task)) ?? (await this.#claims.take(this.#table, task));
    this.#permits.delete(task);
    await work(permit);
    this.#permits.set(task, permit);
  }

  async insert(batch: SealedBatch, permit: Permit, settings: Settings, condition?: RowCondition): Promise<void> {
    const where = condition === undefined ? permit.condition : `${condition.where} AND ${permit.condition}`;
    const parameters = { ...condition?.parameters, ...permit.parameters };
    await this.#server.insert(`${this.#insert} WHERE ${where} FORMAT RowBinary`, batch.bytes, this.#table, settings, permit.queryIdPrefix, parameters);
  }
}

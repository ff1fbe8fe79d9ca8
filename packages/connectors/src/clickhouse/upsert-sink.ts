import { type DeliveryHint, failpoint, type SealedBatch, type Sink } from "@iot-topology/core";
import { qualifier } from "./ddl.ts";
import { names, type UpsertDeclaration } from "./declaration.ts";
import type { SinkEnvironment } from "./history-sink.ts";
import { quotedList } from "./identifier.ts";
import { plainSettings, tokenSettings } from "./insert-settings.ts";

/**
 * Delivers to an upsert table. A row that comes again is the same version of its key and changes nothing, so an uncertain batch is sent once more
 * without a token: then not even a server that kept the token and lost the rows can drop it.
 */
export class UpsertSink implements Sink {
  readonly #declaration: UpsertDeclaration;
  readonly #environment: SinkEnvironment;

  constructor(declaration: UpsertDeclaration, environment: SinkEnvironment) {
    this.#declaration = declaration;
    this.#environment = environment;
  }

  async deliver(batch: SealedBatch, hint: DeliveryHint): Promise<void> {
    const { server, placement } = this.#environment;
    const table = names.data(this.#declaration.view);
    const columns = quotedList(this.#declaration.columns.map((column) => column.name));
    const settings = hint.uncertain ? plainSettings(placement.replicated) : tokenSettings(batch.token, placement.replicated);
    const query = `INSERT INTO ${qualifier(placement)(table)} (${columns}) FORMAT RowBinary`;
    await server.insert(query, batch.bytes, table, settings, `iot-topology:${placement.database}.${table}:`);
    failpoint("clickhouse.after-insert");
  }

  async settle(): Promise<void> {}
}

import { type DeliveryHint, failpoint, type SealedBatch, type Sink } from "@iot-topology/core";
import { names, type UpsertDeclaration } from "./declaration.ts";
import type { SinkEnvironment } from "./history-sink.ts";
import { plainSettings, tokenSettings } from "./insert-settings.ts";
import { RowWriter } from "./row-writer.ts";

/**
 * Delivers to an upsert table. A row that comes again is the same version of its key and changes nothing, so an uncertain batch is sent once more
 * without a token: then not even a server that kept the token and lost the rows can drop it. Of equal versions the last that came stands, so an old
 * batch must not come behind a newer one: a process that lost the task is refused, as for a history.
 */
export class UpsertSink implements Sink {
  readonly #environment: SinkEnvironment;
  readonly #writer: RowWriter;

  constructor(declaration: UpsertDeclaration, environment: SinkEnvironment) {
    this.#environment = environment;
    this.#writer = new RowWriter(environment, names.data(declaration.view), declaration.columns);
  }

  async deliver(batch: SealedBatch, { uncertain }: DeliveryHint): Promise<void> {
    const { replicated } = this.#environment.placement;
    const settings = uncertain ? plainSettings(replicated) : tokenSettings(batch.token, replicated);
    await this.#writer.underClaim(batch, uncertain, async (permit) => {
      await this.#writer.insert(batch, permit, settings);
      return true;
    });
    failpoint("clickhouse.after-insert");
  }

  async settle(): Promise<void> {}
}

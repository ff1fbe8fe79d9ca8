import type { EpochMs } from "@iot-topology/core";
import { AsOfTable } from "./as-of-table.ts";
import type { HistoryDeclaration } from "./declaration.ts";
import type { SinkEnvironment } from "./history-sink.ts";
import { quoted } from "./identifier.ts";
import { qualifier } from "./ddl.ts";

/**
 * Keeps the as-of snapshots of all histories of a connector. A midnight is due once the load time of any of them has passed it.
 *
 * In a process refreshes are made one after another; between processes a lock sees to that.
 */
export class AsOfRefresher {
  readonly #environment: SinkEnvironment;
  readonly #histories: readonly HistoryDeclaration[];
  readonly #tables: readonly AsOfTable[];
  /** The greatest load time known. */
  #watermark: EpochMs = 0;
  /** Whether something was delivered since the last refresh; if not, another process's deliveries may be what there is to look after. */
  #hasDelivered = false;
  #running: Promise<void> = Promise.resolve();

  constructor(environment: SinkEnvironment, histories: readonly HistoryDeclaration[]) {
    this.#environment = environment;
    this.#histories = histories.filter((history) => history.loadTime !== null);
    this.#tables = this.#histories.flatMap((history) => history.asOfDaily.map((daily) => new AsOfTable(environment, history, daily)));
  }

  /** To be called when rows of these load times are in this history, before they are acknowledged. */
  async delivered(table: string, loadTimeMin: EpochMs, loadTimeMax: EpochMs): Promise<void> {
    if (!this.#histories.some((history) => history.table === table)) return;
    for (const asOf of this.#tables) if (asOf.source === table) await asOf.delivered(loadTimeMin);
    this.#watermark = Math.max(this.#watermark, loadTimeMax);
    this.#hasDelivered = true;
  }

  /** Makes and corrects all snapshots that are due. Those of this history are looked at whatever is known of them: a process that died may have left notes. */
  refresh(table: string): Promise<void> {
    if (this.#tables.length === 0) return Promise.resolve();
    const next = this.#running.then(() => this.#refreshAll(table));
    this.#running = next.catch(() => {});
    return next;
  }

  async #refreshAll(history: string): Promise<void> {
    if (!this.#hasDelivered) this.#watermark = Math.max(this.#watermark, await this.#readWatermark());
    this.#hasDelivered = false;
    for (const table of this.#tables) {
      if (table.source === history || table.mayBeDue(this.#watermark)) await table.refresh(this.#watermark);
    }
  }

  /** The greatest load time in the histories, if it is above what is known: the index of load times tells quickly that it is not. */
  async #readWatermark(): Promise<EpochMs> {
    const { server, placement } = this.#environment;
    const q = qualifier(placement);
    let watermark = this.#watermark;
    for (const history of this.#histories) {
      const column = quoted(history.loadTime ?? "");
      const query = `SELECT toUnixTimestamp64Milli(max(${column})) AS ms, count() AS n FROM ${q(history.table)} WHERE ${column} > fromUnixTimestamp64Milli({watermark:Int64}, 'UTC')`;
      const [row] = await server.rows<{ ms: string; n: string }>(query, { watermark });
      if (row !== undefined && row.n !== "0") watermark = Number(row.ms);
    }
    return watermark;
  }
}

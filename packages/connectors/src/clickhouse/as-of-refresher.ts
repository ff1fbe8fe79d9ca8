import type { EpochMs } from "@iot-topology/core";
import { AsOfTable } from "./as-of-table.ts";
import type { HistoryDeclaration } from "./declaration.ts";
import type { SinkEnvironment } from "./history-sink.ts";
import { quoted } from "./identifier.ts";
import { qualifier } from "./ddl.ts";

/**
 * Keeps the as-of snapshots of all histories of a connector. A midnight is due once the load time of any of them has passed it.
 *
 * Only the connector fills these tables, and refreshes are made one after another. Which rows they were made from is kept in ClickHouse
 * (see as-of-table.ts), so a crash at any point is found at the next start.
 */
export class AsOfRefresher {
  readonly #environment: SinkEnvironment;
  readonly #histories: readonly HistoryDeclaration[];
  readonly #tables: readonly AsOfTable[];
  #watermark: EpochMs | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(environment: SinkEnvironment, histories: readonly HistoryDeclaration[]) {
    this.#environment = environment;
    this.#histories = histories.filter((history) => history.loadTime !== null);
    this.#tables = this.#histories.flatMap((history) => history.asOfDaily.map((daily) => new AsOfTable(environment, history, daily)));
  }

  /** Rows with load times from here on may come into this history's table, or may have come. */
  touched(table: string, loadTimeMin: EpochMs): void {
    for (const asOf of this.#tables) if (asOf.source === table) asOf.touched(loadTimeMin);
  }

  /** Rows up to this load time are there. */
  delivered(table: string, loadTimeMax: EpochMs): void {
    if (!this.#histories.some((history) => history.table === table)) return;
    if (this.#watermark !== undefined && loadTimeMax > this.#watermark) this.#watermark = loadTimeMax;
  }

  /** Makes and corrects all snapshots that are due. */
  refresh(): Promise<void> {
    if (this.#tables.length === 0) return Promise.resolve();
    const next = this.#running.then(() => this.#refreshAll());
    this.#running = next.catch(() => {});
    return next;
  }

  async #refreshAll(): Promise<void> {
    this.#watermark = Math.max(this.#watermark ?? 0, this.#watermark === undefined ? await this.#readWatermark() : 0);
    for (const table of this.#tables) await table.refresh(this.#watermark);
  }

  async #readWatermark(): Promise<EpochMs> {
    const { server, placement } = this.#environment;
    const q = qualifier(placement);
    let watermark = 0;
    for (const history of this.#histories) {
      const column = quoted(history.loadTime ?? "");
      const [row] = await server.rows<{ ms: string }>(`SELECT toUnixTimestamp64Milli(max(${column})) AS ms FROM ${q(history.table)}`);
      watermark = Math.max(watermark, Number(row?.ms ?? 0));
    }
    return watermark;
  }
}

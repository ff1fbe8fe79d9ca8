import { type Instance, type InstanceStatus, type Logger, openInstance, type SinkConnector, stepsBoundToOnePartition, TopologyError } from "@iot-topology/core";
import { clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { type EmbeddedLog, openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import type { Config } from "../config/keys.ts";
import { type DataFolder, makeDataFolder } from "../data-folder.ts";
import type { LoadedTopology } from "../topology-file.ts";
import { retentionOf, trimLog } from "./retention.ts";
import { databaseOf, type OpenedClickHouse, openClickHouse } from "./clickhouse.ts";

/** Damaged state is rebuilt from the log by the next opening; more than this many in one run is a disk that cannot be trusted. */
const REBUILDS_MAX = 3;

/** What a session runs. */
export interface SessionOptions {
  readonly loaded: LoadedTopology;
  readonly config: Config;
  readonly folder: DataFolder;
  readonly logger: Logger;
}

/** The connectors that a topology's sinks may name. */
export function connectorsOf(config: Config, clickhouse: OpenedClickHouse, logger: Logger): SinkConnector[] {
  const { url, database, username, password } = clickhouse.target;
  const cluster = config["clickhouse.cluster"];
  return [
    clickhouseConnector({
      url,
      database: database ?? "default",
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: password.reveal() }),
      ...(cluster === undefined ? {} : { cluster }),
      replicated: config["clickhouse.replicated"],
      migrate: config.migrate,
      embedded: clickhouse.embedded !== undefined,
      logger,
    }),
  ];
}

/** All that runs for a topology: its log, its ClickHouse, its instance. */
export class Session {
  readonly log: EmbeddedLog;
  readonly clickhouse: OpenedClickHouse;
  /** Resolves only where it failed for good. */
  readonly failed: Promise<TopologyError>;
  readonly #options: SessionOptions;
  readonly #connectors: readonly SinkConnector[];
  #instance: Instance;
  #reopening: Promise<void> | undefined;
  #rebuilds = 0;
  #stopping = false;
  #endTrimming: () => void = () => {};
  #giveUp: (error: TopologyError) => void = () => {};

  private constructor(options: SessionOptions, opened: { log: EmbeddedLog; clickhouse: OpenedClickHouse; connectors: readonly SinkConnector[]; instance: Instance }) {
    this.#options = options;
    this.log = opened.log;
    this.clickhouse = opened.clickhouse;
    this.#connectors = opened.connectors;
    this.#instance = opened.instance;
    this.failed = new Promise((resolve) => (this.#giveUp = resolve));
    void opened.clickhouse.embedded?.failed.then((error) => this.#giveUp(error));
  }

  /**
   * Opens the log, ClickHouse and the instance, in this order; what was opened is closed again where a later part fails.
   *
   * @throws TopologyError of any of them.
   */
  static async open(options: SessionOptions, signal?: AbortSignal): Promise<Session> {
    const { config, folder, loaded, logger } = options;
    makeDataFolder(folder);
    const log = await openEmbeddedLog({
      dir: folder.log,
      logger,
      fsync: config["log.fsync"],
      ...retentionOf(config, loaded.plan.subTopologies.flatMap((part) => part.topics)),
    });
    try {
      const clickhouse = await openClickHouse(config, folder, databaseOf(loaded.topology.name, config), logger, signal);
      try {
        const connectors = connectorsOf(config, clickhouse, logger);
        await makeTopics(options, log);
        const instance = await openInstance(loaded.topology, instanceOptions(options, log, connectors));
        return new Session(options, { log, clickhouse, connectors, instance });
      } catch (error) {
        await clickhouse.stop();
        throw error;
      }
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  run(): void {
    this.#endTrimming();
    this.#endTrimming = trimLog(this.log, () => this.status(), this.#options.logger);
    this.#watch(this.#instance);
    this.#instance.run();
  }

  status(): InstanceStatus {
    return this.#instance.status();
  }

  /** Resolves when all that the log holds has been delivered, over a rebuild of damaged state too. */
  async drain(): Promise<void> {
    for (;;) {
      const instance = this.#instance;
      try {
        return await instance.drain();
      } catch (error) {
        await this.#reopening;
        if (this.#instance === instance) throw error;
      }
    }
  }

  /** Finishes the commit, delivers, and closes all. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#endTrimming();
    await this.#reopening;
    await this.#instance.stop();
    for (const connector of this.#connectors) await connector.close();
    await this.log.close();
    await this.clickhouse.stop();
  }

  #watch(instance: Instance): void {
    void instance.failed.then((error) => {
      if (error.code !== "STATE_CORRUPT" || this.#stopping || this.#rebuilds >= REBUILDS_MAX) return this.#giveUp(error);
      this.#rebuilds++;
      this.#options.logger.warn({ place: error.place }, "damaged state was found; it is rebuilt from the log");
      this.#reopening = this.#reopen(instance).catch((thrown: unknown) => this.#giveUp(thrown instanceof TopologyError ? thrown : error));
    });
  }

  async #reopen(instance: Instance): Promise<void> {
    await instance.stop();
    this.#instance = await openInstance(this.#options.loaded.topology, instanceOptions(this.#options, this.log, this.#connectors));
    this.run();
  }
}

/** Topics whose state cannot be split get one partition, whatever `partitions` says for the others. */
async function makeTopics({ loaded, config }: SessionOptions, log: EmbeddedLog): Promise<void> {
  for (const part of loaded.plan.subTopologies) {
    const partitions = stepsBoundToOnePartition(part).length > 0 ? 1 : config.partitions;
    for (const topic of part.topics) if ((await log.partitionCount(topic)) === undefined) await log.ensureTopic(topic, { partitions });
  }
}

function instanceOptions({ config, folder, logger }: SessionOptions, log: EmbeddedLog, connectors: readonly SinkConnector[]): Parameters<typeof openInstance>[1] {
  return {
    log,
    connectors,
    stateDir: folder.state,
    logger,
    partitions: config.partitions,
    commitIntervalMs: config.commitIntervalMs,
    commitRecordsMax: config.commitRecordsMax,
    stopTimeoutMs: config.stopTimeoutMs,
  };
}

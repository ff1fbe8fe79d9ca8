import { type Instance, type InstanceStatus, type Logger, openInstance, openSavepoint, type SinkConnector, TopologyError } from "@iot-topology/core";
import { clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import type { Config } from "../config/keys.ts";
import { type DataFolder, makeDataFolder } from "../data-folder.ts";
import type { LoadedTopology } from "../topology-file.ts";
import { databaseOf, type OpenedClickHouse, openClickHouse } from "./clickhouse.ts";
import { lockFolder } from "./folder-lock.ts";
import { withFormats } from "./formats.ts";
import { isKafka } from "./kafka.ts";
import { type AnyLog, type OpenedLog, openLog } from "./log.ts";
import { trimLog } from "./retention.ts";
import { threadsOf } from "./thread-topology.ts";
import { inputTopics, makeTopics, partitionsOf, prepareTopics } from "./topics.ts";

/** Damaged state is rebuilt from the log by the next opening; more than this many in one run is a disk that cannot be trusted. */
const REBUILDS_MAX = 3;

/** What a session runs. */
export interface SessionOptions {
  readonly loaded: LoadedTopology;
  readonly config: Config;
  readonly folder: DataFolder;
  readonly logger: Logger;
  /** The savepoint to begin from. */
  readonly savepoint?: string;
  /** Where others reach this process' status server. */
  readonly advertisedUrl?: string;
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
  readonly opened: OpenedLog;
  readonly clickhouse: OpenedClickHouse;
  /** Resolves only where it failed for good. */
  readonly failed: Promise<TopologyError>;
  readonly #options: SessionOptions;
  readonly #connectors: readonly SinkConnector[];
  readonly #close: () => Promise<void>;
  #instance: Instance;
  #reopening: Promise<void> | undefined;
  #rebuilds = 0;
  #stopping = false;
  #endTrimming: () => void = () => {};
  #giveUp: (error: TopologyError) => void = () => {};

  private constructor(options: SessionOptions, opened: { log: OpenedLog; clickhouse: OpenedClickHouse; connectors: readonly SinkConnector[]; instance: Instance; close: () => Promise<void> }) {
    this.#options = options;
    this.opened = opened.log;
    this.clickhouse = opened.clickhouse;
    this.#connectors = opened.connectors;
    this.#instance = opened.instance;
    this.#close = opened.close;
    this.failed = new Promise((resolve) => (this.#giveUp = resolve));
    void opened.clickhouse.embedded?.failed.then((error) => this.#giveUp(error));
  }

  /**
   * Opens the log, ClickHouse and the instance, in this order (on Kafka the folder is taken first); what was opened is closed again where a later part fails.
   *
   * @throws TopologyError of any of them.
   */
  static async open(options: SessionOptions, signal?: AbortSignal): Promise<Session> {
    const { config, folder, loaded, logger } = options;
    makeDataFolder(folder);
    const opened: (() => Promise<void>)[] = [];
    try {
      if (isKafka(config)) opened.push(await lockFolder(folder));
      // Retention is for repartition topics too: they hold each record a second time.
      const kept = [...inputTopics(loaded.plan), ...loaded.plan.internalTopics.map(({ topic }) => topic)];
      const plain = await openLog(config, folder, logger, kept);
      opened.push(() => plain.log.close());
      await readyTopics(options, plain);
      const log = await withFormats(plain, loaded.topology);
      const clickhouse = await openClickHouse(config, folder, databaseOf(loaded.topology.name, config), logger, signal);
      opened.push(() => clickhouse.stop());
      const connectors = connectorsOf(config, clickhouse, logger);
      const settings = instanceOptions(options, log, connectors);
      if (options.savepoint !== undefined) await openSavepoint(loaded.topology, { ...settings, stateDir: folder.state, dir: options.savepoint });
      const instance = await openInstance(loaded.topology, settings);
      return new Session(options, { log, clickhouse, connectors, instance, close: () => closeAll(opened) });
    } catch (error) {
      await closeAll(opened);
      throw error;
    }
  }

  run(): void {
    this.#endTrimming();
    if (this.opened.kind === "embedded") this.#endTrimming = trimLog(this.opened.log, () => this.status(), this.#options.logger);
    this.#watch(this.#instance);
    this.#instance.run();
  }

  get log(): AnyLog {
    return this.opened.log;
  }

  /** What interactive queries ask. */
  get stores(): Pick<Instance, "stores" | "locate" | "query" | "store"> {
    return this.#instance;
  }

  status(): InstanceStatus {
    return this.#instance.status();
  }

  /**
   * Resolves when all that the log holds has been processed, and what this instance sealed is delivered; over a rebuild of damaged state too. On a cluster
   * the tasks of other instances are waited for as well.
   */
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
    await this.#close();
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
    this.#instance = await openInstance(this.#options.loaded.topology, instanceOptions(this.#options, this.opened, this.#connectors));
    this.run();
  }
}

/** The last opened is the first closed. */
async function closeAll(opened: (() => Promise<void>)[]): Promise<void> {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
}

async function readyTopics({ loaded, config, logger }: SessionOptions, opened: OpenedLog): Promise<void> {
  if (opened.kind === "embedded") return makeTopics(loaded.plan, opened.log, config);
  const created = await prepareTopics(loaded.plan, opened.log, config);
  if (created.length > 0) logger.info({ topics: created.map(({ topic, partitions }) => ({ topic, partitions })) }, "topics were created");
}

function instanceOptions({ loaded, config, folder, logger, advertisedUrl }: SessionOptions, opened: OpenedLog, connectors: readonly SinkConnector[]): Parameters<typeof openInstance>[1] {
  return {
    log: opened.log,
    connectors,
    stateDir: folder.state,
    logger,
    partitions: partitionsOf(config),
    commitIntervalMs: config.commitIntervalMs,
    commitRecordsMax: config.commitRecordsMax,
    stopTimeoutMs: config.stopTimeoutMs,
    ...threadsOf(config, loaded),
    ...(opened.kind === "embedded" ? {} : clusterOptions(config, advertisedUrl)),
  };
}

function clusterOptions(config: Config, advertisedUrl: string | undefined): Partial<Parameters<typeof openInstance>[1]> {
  const replicationFactor = config["kafka.replicationFactor"];
  return {
    createTopics: config["kafka.createTopics"],
    sessionTimeoutMs: config["kafka.sessionTimeoutMs"],
    standbyReplicas: config.standbyReplicas,
    hangingTransactionMs: config["kafka.hangingTransactionMs"],
    ...(replicationFactor === undefined ? {} : { replicationFactor }),
    ...(advertisedUrl === undefined ? {} : { advertisedUrl }),
  };
}

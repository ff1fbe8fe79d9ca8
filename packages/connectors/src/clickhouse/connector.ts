import { type Logger, type Sink, type SinkConnector, type SinkContext, type SinkSpec, TopologyError } from "@iot-topology/core";
import { AsOfRefresher } from "./as-of-refresher.ts";
import { CLAIM_TABLE, Claims } from "./claim.ts";
import { COMMENT_PREFIX, createDatabase, dropObject, type Placement, qualifier } from "./ddl.ts";
import type { Declaration, HistoryDeclaration } from "./declaration.ts";
import { ensureObjects } from "./ensure.ts";
import { historyObjects, upsertObjects } from "./history-objects.ts";
import { HistorySink } from "./history-sink.ts";
import { isIdentifier } from "./identifier.ts";
import { LOCK_TABLE, Locks } from "./lock.ts";
import type { ObjectSet } from "./object.ts";
import { Server } from "./server.ts";
import { safeUrl } from "./server-error.ts";
import { CONNECTOR_NAME } from "./spec.ts";
import { UpsertSink } from "./upsert-sink.ts";

const START_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 120_000;
/** How long another process may take to make the tables, and to fill views from what is there. */
const OPEN_WAIT_MS = 900_000;

/** Options of {@link clickhouseConnector}. */
export interface ClickHouseConnectorOptions {
  /** `http://host:8123` or `https://...`. */
  readonly url: string;
  /** Created where absent. */
  readonly database: string;
  readonly username?: string;
  readonly password?: string;
  /** Statements are run ON this CLUSTER. */
  readonly cluster?: string;
  /** Replicated engines; needs the macros `{shard}` and `{replica}`, and a quorum for inserts. */
  readonly replicated?: boolean;
  /** Applies additive differences between tables and declarations instead of refusing to start. */
  readonly migrate?: boolean;
  /** Whether the server is the embedded one: then nothing is compressed on the way. */
  readonly embedded?: boolean;
  readonly logger?: Logger;
  /** How long to wait at the start for a server that does not answer. 15 s by default. */
  readonly startTimeoutMs?: number;
  /** How long a statement may take. 120 s by default. */
  readonly requestTimeoutMs?: number;
}

/**
 * Serves the sinks made by `clickhouse.history`, `clickhouse.upsert` and `clickhouse.deadLetters`, on a remote server or the embedded one.
 *
 * @throws TopologyError CONFIG_INVALID for options that cannot be right. `open` throws CLICKHOUSE_UNREACHABLE, CLICKHOUSE_REFUSED,
 *   CLICKHOUSE_VERSION, CLICKHOUSE_SCHEMA, CLICKHOUSE_SETTINGS.
 *
 * @example
 * const connector = clickhouseConnector({ url: "http://127.0.0.1:8123", database: "iot" });
 */
export function clickhouseConnector(options: ClickHouseConnectorOptions): SinkConnector {
  return new ClickHouseConnector(options);
}

class ClickHouseConnector implements SinkConnector {
  readonly name = CONNECTOR_NAME;
  readonly #options: ClickHouseConnectorOptions;
  readonly #placement: Placement;
  readonly #server: Server;
  #connected = false;

  constructor(options: ClickHouseConnectorOptions) {
    checkOptions(options);
    this.#options = options;
    this.#placement = { database: options.database, cluster: options.cluster ?? null, replicated: options.replicated ?? false };
    this.#server = new Server({
      url: options.url,
      username: options.username ?? null,
      password: options.password ?? null,
      requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      compress: options.embedded !== true && !isLoopback(options.url),
    });
  }

  async open(context: SinkContext, specs: readonly SinkSpec<never>[]): Promise<readonly Sink[]> {
    const logger = this.#options.logger ?? context.logger;
    const declarations = declarationsOf(specs);
    const deadline = Date.now() + (this.#options.startTimeoutMs ?? START_TIMEOUT_MS);
    for (;;) {
      try {
        await this.#connect(logger);
        return await this.#open(declarations, logger);
      } catch (error) {
        if (!(error instanceof TopologyError) || !error.retriable || Date.now() > deadline) throw error;
        logger.warn({ url: this.#server.url, code: error.code, error: error.message }, "making the tables was cut off, and is tried again");
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
  }

  async #open(declarations: readonly Declaration[], logger: Logger): Promise<readonly Sink[]> {
    await this.#server.command(createDatabase(this.#placement), this.#options.database);
    const locks = new Locks(this.#server, this.#placement, logger);
    const claims = new Claims(this.#server, this.#placement, locks);
    await locks.create();
    await claims.create();
    const lock = await locks.acquire("open", { waitMs: OPEN_WAIT_MS });
    try {
      const shared = { server: this.#server, placement: this.#placement, migrate: this.#options.migrate ?? false, logger, locks, claims, lock };
      for (const objects of this.#objects(declarations)) await ensureObjects(shared, objects);
    } finally {
      await lock.release();
    }
    const environment = { server: this.#server, placement: this.#placement, logger, claims, locks };
    const histories = declarations.filter((declaration): declaration is HistoryDeclaration => declaration.kind === "history");
    const refresher = new AsOfRefresher(environment, histories);
    return declarations.map((declaration) => (declaration.kind === "history" ? new HistorySink(declaration, environment, refresher) : new UpsertSink(declaration, environment)));
  }

  async reset(context: SinkContext, specs: readonly SinkSpec<never>[]): Promise<void> {
    const logger = this.#options.logger ?? context.logger;
    await this.#connect(logger);
    for (const { base, derived, views } of this.#objects(declarationsOf(specs)).reverse()) {
      const triggers = derived.flatMap(({ trigger }) => (trigger === null ? [] : [trigger.name]));
      const tables = [...derived.flatMap(({ table, notes }) => [table.name, ...(notes === null ? [] : [notes.name])]), base.name];
      for (const name of [...views.map((view) => view.name).reverse(), ...triggers]) await this.#drop(name, "VIEW", logger);
      for (const name of tables) await this.#drop(name, "TABLE", logger);
    }
    await this.#dropShared(logger);
  }

  async close(): Promise<void> {
    await this.#server.close();
  }

  async #connect(logger: Logger): Promise<void> {
    if (this.#connected) return;
    await this.#server.connect(this.#options.startTimeoutMs ?? START_TIMEOUT_MS, logger);
    this.#connected = true;
  }

  #objects(declarations: readonly Declaration[]): ObjectSet[] {
    const q = qualifier(this.#placement);
    return declarations.map((declaration) => (declaration.kind === "history" ? historyObjects(declaration, q) : upsertObjects(declaration, q)));
  }

  /** Locks and claims serve all topologies of the database, so they go with the last one's tables. */
  async #dropShared(logger: Logger): Promise<void> {
    const shared = [LOCK_TABLE.name, CLAIM_TABLE.name];
    const query = "SELECT count() AS n FROM system.tables WHERE database = {database:String} AND name NOT IN {shared:Array(String)} AND startsWith(comment, {prefix:String})";
    const [row] = await this.#server.rows<{ n: string }>(query, { database: this.#placement.database, shared, prefix: COMMENT_PREFIX });
    if (row?.n === "0") for (const name of shared) await this.#drop(name, "TABLE", logger);
  }

  /** Drops only what carries this connector's mark: a table of that name may be someone else's. */
  async #drop(name: string, kind: "TABLE" | "VIEW", logger: Logger): Promise<void> {
    const { database } = this.#placement;
    const [row] = await this.#server.rows<{ comment: string }>("SELECT comment FROM system.tables WHERE database = {database:String} AND name = {name:String}", { database, name });
    if (row === undefined) return;
    if (!row.comment.startsWith(COMMENT_PREFIX)) return logger.warn({ table: `${database}.${name}` }, "not dropped: it was not made by this program");
    await this.#server.command(dropObject(name, kind, this.#placement), name);
  }
}

function declarationsOf(specs: readonly SinkSpec<never>[]): readonly Declaration[] {
  return specs.map((spec) => {
    if (spec.problems.length > 0) {
      throw new TopologyError("PLAN_INVALID", `the sink ${spec.target} is wrong: ${spec.problems.join("; ")}`, { place: `clickhouse sink ${spec.target}`, cure: "correct its declaration" });
    }
    return spec.declaration as Declaration;
  });
}

function checkOptions({ url, database, cluster }: ClickHouseConnectorOptions): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) {
    throw new TopologyError("CONFIG_INVALID", "the ClickHouse URL is no http or https URL", { place: parsed === undefined ? "clickhouse.url" : safeUrl(url), cure: "give it as http://HOST:8123" });
  }
  for (const [what, name] of Object.entries({ database, cluster: cluster ?? "cluster" })) {
    if (!isIdentifier(name)) {
      throw new TopologyError("CONFIG_INVALID", `the ClickHouse ${what} ${JSON.stringify(name)} is no name`, { place: `clickhouse.${what}`, cure: "use letters, digits and _, no digit first" });
    }
  }
}

function isLoopback(url: string): boolean {
  return /^(127\.|localhost$|\[::1\])/.test(new URL(url).hostname);
}


import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { type ClickHouseClient, type ClickHouseClientConfigOptions, type ClickHouseSettings, createClient } from "@clickhouse/client";
import { type Logger, TopologyError } from "@iot-topology/core";
import { type ErrorContext, safeUrl, serverError } from "./server-error.ts";

/** Values for `{name:Type}` in a statement. */
export type Parameters = Readonly<Record<string, string | number | bigint | readonly string[]>>;
/** Settings by name; those that the server does not know are left out. */
export type Settings = Readonly<Record<string, string | number>>;

/** How to reach a server. */
export interface ServerOptions {
  readonly url: string;
  readonly username: string | null;
  readonly password: string | null;
  readonly requestTimeoutMs: number;
  readonly compress: boolean;
}

/** 24.8 is the first long-term release whose views drop repeats by the block's own token when told to. */
const VERSION_MIN = [24, 8] as const;
/** Settings without which a repeat could not be told. */
const REQUIRED_SETTINGS = ["insert_deduplicate", "insert_deduplication_token", "deduplicate_blocks_in_dependent_materialized_views"];
const CONNECTIONS_MAX = 16;
/** How long filling a view or making snapshots may take. */
const FILL_TIMEOUT_MS = 6 * 3_600_000;
/** Longer than the server's receive timeout. */
const KILL_WAIT_MS = 60_000;
const STATEMENTS = "startsWith(query_id, {prefix:String}) AND ({except:String} = '' OR NOT startsWith(query_id, {except:String}))";

/** A ClickHouse server over HTTP: statements, queries and binary inserts, with errors as TopologyErrors. */
export class Server {
  readonly url: string;
  readonly #client: ClickHouseClient;
  /** For statements that read a whole history. */
  readonly #patient: ClickHouseClient;
  readonly #context: ErrorContext;
  #known: ReadonlySet<string> | undefined;
  version = "";

  constructor(options: ServerOptions) {
    this.url = safeUrl(options.url);
    this.#context = { url: this.url, password: options.password };
    const url = new URL(options.url);
    const shared: ClickHouseClientConfigOptions = {
      url: this.url,
      username: options.username ?? (url.username === "" ? "default" : decodeURIComponent(url.username)),
      password: options.password ?? decodeURIComponent(url.password),
      max_open_connections: CONNECTIONS_MAX,
      compression: { request: options.compress, response: false },
      application: "iot-topology",
      log: { level: 127 }, // OFF; errors reach the caller.
    };
    this.#client = createClient({ ...shared, request_timeout: options.requestTimeoutMs });
    this.#patient = createClient({ ...shared, request_timeout: Math.max(options.requestTimeoutMs, FILL_TIMEOUT_MS), max_open_connections: 2 });
  }

  /**
   * Waits until the server answers, and reads its version and settings.
   *
   * @throws TopologyError CLICKHOUSE_UNREACHABLE after `timeoutMs`, CLICKHOUSE_REFUSED, CLICKHOUSE_VERSION.
   */
  async connect(timeoutMs: number, logger: Logger): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (let waitMs = 100; ; waitMs = Math.min(2_000, waitMs * 2)) {
      try {
        const [row] = await this.rows<{ version: string }>("SELECT version() AS version");
        this.version = row?.version ?? "";
        break;
      } catch (cause) {
        const error = serverError(cause, this.url, this.#context, "CLICKHOUSE_REFUSED");
        if (!error.retriable || Date.now() + waitMs > deadline) throw error;
        logger.warn({ url: this.url, retryInMs: waitMs }, "ClickHouse does not answer yet");
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
    this.#known = new Set((await this.rows<{ name: string }>("SELECT name FROM system.settings")).map((row) => row.name));
    this.#checkVersion();
  }

  #checkVersion(): void {
    const [major = 0, minor = 0] = this.version.split(".").map(Number);
    const missing = REQUIRED_SETTINGS.filter((name) => !this.knows(name));
    if (major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1])) {
      if (missing.length === 0) return;
    }
    throw new TopologyError("CLICKHOUSE_VERSION", `ClickHouse ${this.version} cannot drop repeats in materialized views as needed${missing.length === 0 ? "" : ` (it has no ${missing.join(", ")})`}`, {
      place: this.url,
      cure: `use ClickHouse ${VERSION_MIN.join(".")} or later, or the embedded server`,
    });
  }

  /** Whether this server has the setting. */
  knows(setting: string): boolean {
    return this.#known?.has(setting) ?? true;
  }

  #settings(settings: Settings): ClickHouseSettings {
    // wait_end_of_query: an error must come as the answer's status, never behind a 200.
    const chosen: Record<string, string | number> = { wait_end_of_query: 1 };
    for (const [name, value] of Object.entries(settings)) if (this.knows(name)) chosen[name] = value;
    return chosen;
  }

  /** Runs a statement without a result. */
  async command(query: string, place: string, parameters: Parameters = {}, settings: Settings = {}, queryIdPrefix = "iot-topology:"): Promise<void> {
    try {
      await this.#client.command({ query, query_id: `${queryIdPrefix}${randomUUID()}`, query_params: { ...parameters }, clickhouse_settings: this.#settings(settings) });
    } catch (cause) {
      throw serverError(cause, place, this.#context, "CLICKHOUSE_REFUSED");
    }
  }

  /** As {@link command}, for a statement that may take as long as a history is large. */
  async fill(query: string, place: string, parameters: Parameters, settings: Settings, queryIdPrefix: string): Promise<void> {
    try {
      await this.#patient.command({ query, query_id: `${queryIdPrefix}${randomUUID()}`, query_params: { ...parameters }, clickhouse_settings: this.#settings(settings) });
    } catch (cause) {
      throw serverError(cause, place, this.#context, "CLICKHOUSE_REFUSED");
    }
  }

  /** The result's rows. 64-bit integers come as text. For small results. */
  async rows<Row>(query: string, parameters: Parameters = {}, settings: Settings = {}): Promise<readonly Row[]> {
    try {
      const result = await this.#client.query({
        query,
        query_params: { ...parameters },
        format: "JSONEachRow",
        clickhouse_settings: this.#settings({ output_format_json_quote_64bit_integers: 1, ...settings }),
      });
      return await result.json<Row>();
    } catch (cause) {
      throw serverError(cause, this.url, this.#context, "CLICKHOUSE_REFUSED");
    }
  }

  /** Sends binary rows behind an INSERT statement. `queryIdPrefix` lets {@link endStatements} find it. */
  async insert(query: string, bytes: Uint8Array, place: string, settings: Settings, queryIdPrefix: string, parameters: Parameters = {}): Promise<void> {
    try {
      const { stream } = await this.#client.exec({
        query,
        values: Readable.from([bytes], { objectMode: false }),
        query_id: `${queryIdPrefix}${randomUUID()}`,
        query_params: { ...parameters },
        clickhouse_settings: this.#settings(settings),
      });
      for await (const _ of stream) void _; // Empty; drained so that the connection is free again.
    } catch (cause) {
      throw serverError(cause, place, this.#context, "SINK_FAILED");
    }
  }

  /** Whether a statement with this prefix runs. */
  async isRunning(queryIdPrefix: string, cluster: string | null): Promise<boolean> {
    return (await this.#running(queryIdPrefix, null, cluster)) > 0;
  }

  /**
   * Waits until no statement with this prefix, but for those with `except`, runs on the server any more: it goes on with an insert whose client is gone.
   * What still runs after `waitMs` is killed, which leaves of each part all or nothing. A killed insert that waits for the rest of a request goes only when the server's
   * receive timeout has passed, 30 s by default.
   *
   * @throws TopologyError SINK_BUSY, retriable, where one does not go.
   */
  async endStatements(queryIdPrefix: string, except: string | null, cluster: string | null, waitMs: number): Promise<void> {
    const started = Date.now();
    let isKilled = false;
    for (let pauseMs = 10; (await this.#running(queryIdPrefix, except, cluster)) > 0; pauseMs = Math.min(200, pauseMs * 2)) {
      const waitedMs = Date.now() - started;
      if (waitedMs > waitMs + KILL_WAIT_MS) {
        throw new TopologyError("SINK_BUSY", "a statement of another process does not end, though it was killed", { place: queryIdPrefix, cure: "see system.processes; it is tried again by itself", retriable: true });
      }
      if (waitedMs > waitMs && !isKilled) {
        isKilled = true;
        const onCluster = cluster === null ? "" : " ON CLUSTER {cluster:Identifier}";
        await this.command(`KILL QUERY${onCluster} WHERE ${STATEMENTS} ASYNC`, "running statements", statementParameters(queryIdPrefix, except, cluster));
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  async #running(queryIdPrefix: string, except: string | null, cluster: string | null): Promise<number> {
    const from = cluster === null ? "system.processes" : "clusterAllReplicas({cluster:String}, system.processes)";
    const [row] = await this.rows<{ n: string }>(`SELECT count() AS n FROM ${from} WHERE ${STATEMENTS}`, statementParameters(queryIdPrefix, except, cluster));
    return Number(row?.n ?? 0);
  }

  async close(): Promise<void> {
    await Promise.all([this.#client.close(), this.#patient.close()]);
  }
}

function statementParameters(prefix: string, except: string | null, cluster: string | null): Parameters {
  return { prefix, except: except ?? "", ...(cluster === null ? {} : { cluster }) };
}

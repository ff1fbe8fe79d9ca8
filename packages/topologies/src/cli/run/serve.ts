import { type InstanceStatus, makeCounters, silentLogger, TopologyError } from "@iot-topology/core";
import type { Config } from "../config/keys.ts";
import { makeToken } from "../data-folder.ts";
import type { LoadedTopology } from "../topology-file.ts";
import { feedFile } from "./feed.ts";
import { appendTo } from "./input.ts";
import type { Session } from "./session.ts";
import { type StatusServer, startStatusServer } from "./status-server.ts";
import { inputTopics } from "./topics.ts";

/** What runs: nothing yet while the session opens. */
export interface Run {
  session: Session | undefined;
  readonly signal: AbortSignal;
}

/** Serves the state of a run, from before its session is open. */
export function serve({ topology, plan }: LoadedTopology, config: Config, run: Run): Promise<StatusServer> {
  const startedAt = Date.now();
  const starting = (): InstanceStatus => ({
    state: "starting",
    topology: topology.name,
    version: topology.version,
    startedAt,
    tasks: [],
    counters: { ...makeCounters(), commits: 0 },
    outbox: [],
    windowsOpen: 0,
    failure: null,
  });
  return startStatusServer({
    host: config.host,
    port: config.port,
    topology: topology.name,
    token: config.token?.reveal() ?? makeToken(),
    hasOwnToken: config.token !== undefined,
    status: () => run.session?.status() ?? starting(),
    details: () => detailsOf(run.session),
    topics: inputTopics(plan),
    produce: async (topic, records) => appendTo(opened(run).log, topic, records),
    replay: async (input, again) => feedFile({ log: opened(run).log, config, view: { logger: silentLogger, progress() {} }, signal: run.signal }, input, again),
    stores: () => opened(run).stores,
    notReady: () => (run.session?.clickhouse.embedded !== undefined && run.session.clickhouse.embedded.pid === undefined ? ["the embedded ClickHouse is being started again"] : []),
  });
}

function opened({ session }: Run): Session {
  if (session !== undefined) return session;
  throw new TopologyError("NOT_RUNNING", "the instance is starting", { cure: "try again in a moment", retriable: true });
}

function detailsOf(session: Session | undefined): object {
  if (session === undefined) return {};
  const { target, embedded } = session.clickhouse;
  return { clickhouse: { url: target.url, database: target.database, restarts: embedded?.restarts ?? 0 } };
}

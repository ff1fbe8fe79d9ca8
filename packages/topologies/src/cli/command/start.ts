import { armFailpoints, TopologyError } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { dataFolder, type DataFolder, type FolderRecord, readFolderRecord, removeInstanceRecord, runningInstance, writeFolderRecord, writeInstanceRecord } from "../data-folder.ts";
import { recordSinks, type Summary, summarise } from "../run/balance.ts";
import { databaseOf } from "../run/clickhouse.ts";
import { feedFleet, feedFile } from "../run/feed.ts";
import { type InputFlags, inputOf } from "../run/input.ts";
import { isKafka } from "../run/kafka.ts";
import { savepointFolder } from "../run/savepoint-folder.ts";
import { Session, type SessionOptions } from "../run/session.ts";
import { type Run, serve } from "../run/serve.ts";
import type { StatusServer } from "../run/status-server.ts";
import { inputTopics } from "../run/topics.ts";
import { stopRequest, type StopRequest } from "../run/stop-signal.ts";
import { threadsOf } from "../run/thread-topology.ts";
import { openView, type View } from "../run/view.ts";
import type { Config } from "../config/keys.ts";
import { type LoadedTopology, loadTopology } from "../topology-file.ts";

/** Flags of `start`, as they were typed. */
export interface StartFlags extends InputFlags {
  readonly name?: string;
  readonly untilEnd?: boolean;
  readonly again?: boolean;
  readonly generate?: boolean;
  readonly clickhouse?: string;
  readonly port?: string;
  readonly partitions?: string;
  readonly migrate?: boolean;
  readonly kafka?: string;
  readonly createTopics?: boolean;
  readonly threads?: string;
  readonly standbyReplicas?: string;
  readonly fromSavepoint?: string;
}

/** Runs a topology until it is told to stop, or until its input's end. */
export async function start(context: Context, nameOrFile: string | undefined, flags: StartFlags): Promise<number> {
  const { config, origins } = context.load({
    topology: nameOrFile,
    "kafka.brokers": flags.kafka,
    "kafka.createTopics": flags.createTopics,
    threads: flags.threads,
    standbyReplicas: flags.standbyReplicas,
    "clickhouse.url": flags.clickhouse,
    port: flags.port,
    partitions: flags.partitions,
    migrate: flags.migrate,
    "generator.enabled": flags.generate,
  });
  const loaded = await loadTopology(config.topology, { folder: context.folder, exportName: flags.name });
  threadsOf(config, loaded);
  const topics = inputTopics(loaded.plan);
  const input = inputOf(flags, topics, context.folder);
  if (flags.again === true && input === undefined) throw new TopologyError("USAGE", "--again repeats a file, and none is named", { cure: "add --replay FILE or --input FILE" });
  const folder = dataFolder(config.data);
  refuseSecond(folder);
  refuseOtherTarget(folder, recordOf(loaded, config));
  const failpoints = context.environment["IOT_TOPOLOGY_FAILPOINT"];
  if (failpoints !== undefined) armFailpoints(failpoints);

  const stop = stopRequest((name) => view.note(`${name}: stopping when what was read is finished; once more ends at once`));
  const view = openView(context, config);
  const run: Run = { session: undefined, signal: stop.signal };
  let server: StatusServer | undefined;
  let summary: Summary | undefined;
  try {
    // First, so that whoever looks sees the start itself, and so that other instances are told where this one answers.
    server = await serve(loaded, config, run);
    const savepoint = flags.fromSavepoint === undefined ? {} : { savepoint: savepointFolder(folder, flags.fromSavepoint, context.folder) };
    const options: SessionOptions = { loaded, config, folder, logger: view.logger, ...savepoint, advertisedUrl: config.advertisedUrl ?? server.publicUrl };
    const session = await Session.open(options, stop.signal);
    run.session = session;
    announce(options, session, server, view);
    session.run();
    // On Kafka the topics may be anybody's: a fleet is simulated there only where that is asked for.
    const wantsFleet = config["generator.enabled"] && !(isKafka(config) && origins["generator.enabled"] === "default");
    const readsFleet = input === undefined && flags.untilEnd !== true && loaded.file === undefined && wantsFleet;
    const feed = { log: session.log, config, view, signal: stop.signal };
    const work = input !== undefined ? feedFile(feed, input, flags.again === true) : readsFleet ? feedFleet(feed) : Promise.resolve();
    const finished = async () => {
      if (flags.untilEnd !== true) return never;
      await session.drain();
      // Before the stop, which gives a cluster's tasks away.
      summary = summarise(loaded.plan, session.status().counters);
    };
    const failure = await settled(session, stop, work.then(finished));
    if (failure !== undefined) throw failure;
  } catch (error) {
    await closeAll(folder, run.session, server, view).catch(() => {}); // What failed first says more than what then failed to close.
    stop.release();
    if (stop.signal.aborted && (error as Error).name === "AbortError") return 0;
    throw error;
  }
  await closeAll(folder, run.session, server, view);
  stop.release();
  if (summary !== undefined && !stop.signal.aborted) report(view, summary);
  return 0;
}

/** What the folder remembers of this run. */
function recordOf(loaded: LoadedTopology, config: Config): FolderRecord {
  return {
    topology: loaded.topology.name,
    source: loaded.file ?? loaded.topology.name,
    database: databaseOf(loaded.topology.name, config),
    clickhouse: config["clickhouse.url"] ?? "embedded",
    log: config["kafka.brokers"]?.join(",") ?? "embedded",
  };
}

/** A promise that stays open: without `--until-end` the end of a file is not the end of the run. */
const never: Promise<never> = new Promise(() => {});

function refuseSecond(folder: DataFolder): void {
  const running = runningInstance(folder);
  if (running === undefined) return;
  throw new TopologyError("FOLDER_IN_USE", `the topology ${running.topology} runs in this folder already (process ${running.pid}, ${running.statusUrl})`, {
    place: folder.root,
    cure: `stop it with \`kill ${running.pid}\`, or name another folder with --data`,
  });
}

/**
 * What was delivered is not delivered again, so another server or database would lack it; and offsets of one log mean nothing in another. A server or a
 * cluster may move to another address, though.
 */
function refuseOtherTarget(folder: DataFolder, now: FolderRecord): void {
  const before = readFolderRecord(folder);
  if (before === undefined || before.topology !== now.topology) return;
  const cure = "name another folder with --data, or run `iot-topology reset` first: then the log is processed anew";
  const [was, is] = [before.log ?? "embedded", now.log ?? "embedded"];
  if ((was === "embedded") !== (is === "embedded")) {
    const named = (log: string) => (log === "embedded" ? "the embedded log" : "Kafka");
    throw new TopologyError("CONFIG_INVALID", `what this folder has processed came from ${named(was)}, and its offsets mean nothing in ${named(is)}`, { place: folder.root, cure });
  }
  const isSameKind = (before.clickhouse === "embedded") === (now.clickhouse === "embedded");
  if (isSameKind && before.database === now.database) return;
  const named = (record: FolderRecord) => `database ${record.database} of ${record.clickhouse === "embedded" ? "the embedded ClickHouse" : record.clickhouse}`;
  throw new TopologyError("SINK_MISMATCH", `what this folder has processed went to ${named(before)}, and ${named(now)} would lack it`, { place: folder.root, cure });
}

function announce({ loaded, config, folder }: SessionOptions, session: Session, server: StatusServer, view: View): void {
  const record = recordOf(loaded, config);
  const { database } = record;
  const clickhouseUrl = session.clickhouse.target.url;
  writeFolderRecord(folder, record);
  writeInstanceRecord(folder, { ...record, clickhouseUrl, statusUrl: server.url, token: server.token });
  const sinks = recordSinks(loaded.plan) ?? [];
  const sink = loaded.plan.sinks.find(({ connector, target }) => connector === "clickhouse" && (sinks.length === 0 || sinks.includes(target)));
  const dataFlag = folder.root === dataFolder(".iot-topology").root ? "" : ` --data ${JSON.stringify(config.data)}`;
  const query = sink === undefined ? undefined : `SELECT * FROM ${database}.${sink.dependents[0] ?? sink.target} LIMIT 5`;
  view.ready({
    topology: loaded.topology.name,
    clickhouseUrl,
    playUrl: `${clickhouseUrl}/play`,
    statusUrl: server.url,
    data: folder.root,
    ...(record.log === undefined || record.log === "embedded" ? {} : { kafka: record.log }),
    ...(query === undefined ? {} : { query, command: `npx iot-topology sql "${query}"${dataFlag}` }),
  });
  if (isKafka(config) && session.clickhouse.embedded !== undefined) {
    view.note(`other processes of ${loaded.topology.name} need the same ClickHouse: start them with --clickhouse ${clickhouseUrl}, which works while this process runs; \`iot-topology clickhouse\` runs one by itself`);
  }
  view.follow(() => session.status());
}

/** Resolves with nothing when told to stop or when the work is done, or with why the session failed. */
async function settled(session: Session, stop: StopRequest, work: Promise<unknown>): Promise<TopologyError | undefined> {
  const stopped = new Promise<undefined>((resolve) => stop.signal.addEventListener("abort", () => resolve(undefined), { once: true }));
  if (stop.signal.aborted) return undefined;
  return Promise.race([session.failed, stopped, work.then(() => undefined)]);
}

async function closeAll(folder: DataFolder, session: Session | undefined, server: StatusServer | undefined, view: View): Promise<void> {
  view.close();
  await server?.close();
  try {
    await session?.stop();
  } finally {
    removeInstanceRecord(folder);
  }
}

function report(view: View, summary: Summary): void {
  view.summary(summary);
  if (summary.balanced !== false) return;
  const accounted = summary.written + summary.deduplicated + summary.filtered + summary.skipped + summary.deadLetters;
  throw new TopologyError("INTERNAL", `records do not add up: read ${summary.read}, accounted for ${accounted}`, { cure: "this is a bug: please report it with the data folder" });
}

/**
 * Random lives of a group of processes on the cluster in memory: they join, leave, die, sleep through their sessions and lose requests and replies, while records
 * come in. Whatever happens, what comes out is what a plain loop makes of the records.
 *
 * `SEEDS=5,6 node ... cluster.test.ts` runs those schedules alone.
 */
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { c, type ClusterLog, count, defineTopology, hours, type Instance, type Logger, minutes, openInstance, record, type Sink, type SinkConnector, sum, topic, type Topology, TopologyError } from "@iot-topology/core";
import { type ClusterOperation, collect, type CollectConnector, collectConnector, type ManualClock, manualClock, type MemoryCluster, memoryCluster } from "@iot-topology/core/testing";
import { seededRandom } from "../../src/testing/memory-cluster/network.ts";

const Reading = record("Reading", { device: c.string(), site: c.string(), seq: c.uint32(), value: c.uint32(), at: c.dateTime64(3, "UTC") });
/** Six feeds long, so that windows come and go in the stores and their changelogs. */
const WITHIN_MS = hours(1);
const FEED_MS = minutes(10);
const FIRST_MS = 1_700_000_000_000;

const Total = record("Total", { site: c.string(), n: c.uint32(), total: c.float64(), updates: c.uint32() });

const topology: Topology = defineTopology("plant", (b) => {
  const all = b.source("readings").cast(Reading, { partitionedBy: "device", timestamp: "at" });
  all.dedup("recent", { by: ["device", "seq"], within: WITHIN_MS }).sink(topic("recent", Reading, { key: ({ device }) => device }));
  const readings = all.dedup("seen", { by: ["device", "seq"] });
  readings.sink(topic("clean", Reading, { key: ({ device }) => device }));
  const bySite = readings.repartition("by-site", { by: ["site"], partitions: 3 });
  bySite.sink(collect("history"));
  bySite.groupBy("site").aggregate("totals", { n: count(), total: sum("value") }).sink(topic("totals", Total, { key: ({ site }) => site }));
});

interface Given {
  readonly device: string;
  readonly site: string;
  readonly seq: number;
  readonly value: number;
  /** Event time, which only grows. */
  readonly at: number;
}

const SITE_COUNT = 5;
const PARTITIONS = 2;
const OPERATIONS: readonly ClusterOperation[] = ["openProducer", "produce", "offsets", "end", "end", "fetch", "committedOffsets", "metadata", "deleteRecords", "join", "sync", "heartbeat"];

/** One process: its client, its folder, and its line to the sinks, which dies with it. */
interface Process {
  readonly log: ClusterLog;
  readonly instance: Instance;
  readonly dir: string | null;
  readonly life: { dead: boolean };
  paused: boolean;
}

const NEVER = new Promise<never>(() => {});

/** The connector as one process sees it: slow now and then, without an answer now and then, and what is dead delivers nothing. */
function ofProcess(connector: CollectConnector, life: { readonly dead: boolean }, { clock, random }: Pick<Run, "clock" | "random">): SinkConnector {
  const refuse = (what: string): never => {
    throw new TopologyError("CLICKHOUSE_UNREACHABLE", what, { retriable: true });
  };
  const gated = (sink: Sink): Sink => ({
    async deliver(batch, hint) {
      // Longer than a session, sometimes: the task may be another's by the time that the rows arrive.
      await clock.sleep(random() < 0.1 ? 2_500 * random() : 30 * random());
      if (life.dead) await NEVER;
      if (random() < 0.05) refuse("the rows are lost");
      await sink.deliver(batch, hint);
      if (random() < 0.05) refuse("the answer is lost");
    },
    settle: () => (life.dead ? NEVER : sink.settle()),
  });
  return { ...connector, open: async (context, specs) => (await connector.open(context, specs)).map(gated) };
}

/** The folder that a killed process leaves: what the dead one in this process had begun to write ends first. */
async function copyFolder(from: string, to: string): Promise<void> {
  for (let tries = 1; existsSync(from); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    try {
      return cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith("LOCK") });
    } catch (error) {
      rmSync(to, { recursive: true, force: true });
      if (tries === 20) throw error;
    }
  }
}

class Run {
  readonly seed: number;
  readonly random: () => number;
  readonly clock: ManualClock = manualClock(1_700_000_000_000);
  readonly cluster: MemoryCluster;
  readonly connector: CollectConnector = collectConnector();
  readonly feeder: ClusterLog;
  readonly root: string = mkdtempSync(join(tmpdir(), "iot-topology-group-"));
  readonly processes: Process[] = [];
  readonly given: Given[] = [];
  readonly trace: string[] = [];
  readonly failures: string[] = [];
  #folders = 0;
  #feeds = 0;
  readonly #left: string[] = [];
  #ended = false;
  readonly #pump: Promise<void>;

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
    this.cluster = memoryCluster({ clock: this.clock, seed });
    this.feeder = this.cluster.connect({ clientId: "feeder" });
    this.#pump = this.#advance();
  }

  async #advance(): Promise<void> {
    while (!this.#ended) await this.clock.advance(5);
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)] as T;
  }
  note(text: string): void {
    this.trace.push(`${this.clock.now() - 1_700_000_000_000} ${text}`);
  }

  async start(dir: string | null): Promise<void> {
    const log = this.cluster.connect();
    const life = { dead: false };
    const name = `process ${this.processes.length}`;
    const say = (level: string) => (fields: object, message: string) => this.note(`${name} ${level} ${message} ${JSON.stringify(fields)}`);
    const logger: Logger = { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
    const options = { log, connectors: [ofProcess(this.connector, life, this)], stateDir: dir, clock: this.clock, logger, createTopics: true, partitions: PARTITIONS, commitRecordsMax: 1 + Math.floor(this.random() * 40), commitIntervalMs: 20, sessionTimeoutMs: 1_000, changelogSweepBytesMin: 4_000, standbyReplicas: this.random() < 0.3 ? 1 : 0 };
    this.note(`${name} starts${dir === null ? "" : ` in ${dir.slice(this.root.length + 1)}`}`);
    const instance = await openInstance(topology, options);
    void instance.failed.then((error) => {
      if (!life.dead) this.failures.push(`${name}: ${error.code} ${error.message}`);
    });
    instance.run();
    this.processes.push({ log, instance, dir, life, paused: false });
  }

  /** None, a new one, or that of a process which left: its stores are behind their changelogs by now. */
  folder(): string | null {
    if (this.random() < 0.4) {
      const left = this.#left.shift();
      if (left !== undefined) return left;
    }
    return this.random() < 0.4 ? null : join(this.root, `${++this.#folders}`);
  }

  kill(process: Process): void {
    this.note(`process ${this.processes.indexOf(process)} is killed`);
    this.cluster.crash(process.log);
    process.life.dead = true;
  }

  get alive(): Process[] {
    return this.processes.filter(({ life }) => !life.dead);
  }

  async feed(): Promise<void> {
    const records: Given[] = [];
    const at = FIRST_MS + this.#feeds++ * FEED_MS;
    for (let left = 1 + Math.floor(this.random() * 30); left > 0; left--) {
      const [device, seq] = [`d${Math.floor(this.random() * 9)}`, Math.floor(this.random() * 120)];
      records.push({ at, device, seq, site: `site-${(seq * 7 + Number(device.slice(1))) % SITE_COUNT}`, value: seq * 3 + 1 });
    }
    this.given.push(...records);
    await this.feeder.append("readings", records.map((value) => ({ key: value.device, value: JSON.stringify(value), timestamp: at })));
  }

  async wait(ms: number): Promise<void> {
    await this.clock.sleep(ms);
  }

  /** One thing that happens. */
  async happen(): Promise<void> {
    const dice = this.random();
    const alive = this.alive;
    const one = alive.length === 0 ? undefined : this.pick(alive);
    if (dice < 0.4 || one === undefined) return this.feed();
    if (dice < 0.55) {
      if (alive.length < 3) await this.start(this.folder());
      return;
    }
    if (dice < 0.7) {
      for (let left = this.random() < 0.3 ? 4 : 1; left > 0; left--) {
        const [operation, moment] = [this.pick(OPERATIONS), this.random() < 0.5 ? "before" : "after"] as const;
        this.note(`the next ${operation} of process ${this.processes.indexOf(one)} is lost ${moment}`);
        this.cluster.failNext(one.log, operation, moment, Math.floor(this.random() * 4));
      }
      return;
    }
    if (dice < 0.78) {
      this.note(`the sessions of process ${this.processes.indexOf(one)} end`);
      return void this.cluster.expire(one.log);
    }
    if (dice < 0.8) {
      const count = await this.cluster.abortHanging();
      return this.note(`the coordinator aborts ${count} transactions`);
    }
    if (dice < 0.86) {
      if (one.paused) this.cluster.resume(one.log);
      else this.cluster.pause(one.log);
      one.paused = !one.paused;
      return this.note(`process ${this.processes.indexOf(one)} ${one.paused ? "sleeps" : "wakes"}`);
    }
    if (dice < 0.94) {
      this.kill(one);
      if (one.dir !== null && this.random() < 0.6) {
        const copy = join(this.root, `${++this.#folders}`);
        await copyFolder(one.dir, copy);
        await this.start(copy);
      }
      return;
    }
    if (!one.paused) {
      this.note(`process ${this.processes.indexOf(one)} leaves`);
      one.life.dead = false;
      await one.instance.stop();
      one.life.dead = true;
      if (one.dir !== null) this.#left.push(one.dir);
    }
  }

  /** Everybody awake, somebody there, everything processed. */
  async settle(): Promise<void> {
    this.cluster.clearFaults();
    for (const one of this.alive) {
      if (one.paused) this.cluster.resume(one.log);
      one.paused = false;
    }
    if (this.alive.length === 0) await this.start(this.folder());
    this.note("everything is to be drained");
    // Each drains its own share: what moves from one to another meanwhile is drained in the next round.
    const generations = (): string => this.alive.map(({ instance }) => instance.status().cluster?.generation).join();
    for (let before = ""; before !== generations() || !this.isCalm(); await this.wait(300)) {
      before = generations();
      await Promise.all(this.alive.map(({ instance }) => instance.drain()));
    }
  }

  /** Whether all are of one generation, and each task runs once. */
  isCalm(): boolean {
    const states = this.alive.map(({ instance }) => instance.status());
    return new Set(states.map(({ cluster }) => cluster?.generation)).size === 1 && states.reduce((sum, { tasks }) => sum + tasks.length, 0) === PARTITIONS + 3;
  }

  async end(): Promise<void> {
    for (const { instance, life } of this.alive) {
      await instance.stop();
      life.dead = true;
    }
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#pump;
    this.cluster.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** The answer of a plain loop. */
function model(given: readonly Given[]) {
  const unique = new Map(given.map((one) => [`${one.device}/${one.seq}`, one]));
  const totals = new Map<string, { n: number; total: number }>();
  for (const { site, value } of unique.values()) {
    const { n, total } = totals.get(site) ?? { n: 0, total: 0 };
    totals.set(site, { n: n + 1, total: total + value });
  }
  const recent: string[] = [];
  const accepted = new Map<string, number>();
  for (const { device, seq, at } of given) {
    if (at - (accepted.get(`${device}/${seq}`) ?? -Infinity) <= WITHIN_MS) continue;
    accepted.set(`${device}/${seq}`, at);
    recent.push(`${device}/${seq} ${at}`);
  }
  return { unique, totals, recent };
}

type Assert = Pick<typeof t, "same" | "ok" | "equal">;

function check(t: Assert, run: Run, label: string): void {
  const { unique, totals, recent } = model(run.given);
  const name = ({ device, seq }: { device: string; seq: number }): string => `${device}/${seq}`;
  const clean = run.cluster.recordsOf("clean").map(({ value }) => name(JSON.parse(String(value)) as Given));
  t.same(clean.sort(), [...unique.keys()].sort(), `${label}: the topic holds each reading once`);
  const found = run.cluster.recordsOf("recent").map(({ value }) => JSON.parse(String(value)) as Given & { at: string });
  t.same(found.map((one) => `${name(one)} ${Date.parse(one.at)}`).sort(), recent.sort(), `${label}: each reading once an hour`);
  const history = run.connector.values("history").map((row) => name(row as Given));
  t.same(history.sort(), [...unique.keys()].sort(), `${label}: the sink behind the repartition holds each reading once`);
  const last = new Map<string, { n: number; total: number }>();
  let updates = new Map<string, number>();
  let isGrowing = true;
  for (const { value } of run.cluster.recordsOf("totals")) {
    const row = JSON.parse(String(value)) as { site: string; n: number; total: number; updates: number };
    if (row.updates <= (updates.get(row.site) ?? 0) || row.n !== row.updates) isGrowing = false;
    updates = updates.set(row.site, row.updates);
    last.set(row.site, { n: row.n, total: row.total });
  }
  t.ok(isGrowing, `${label}: each row of a site is newer than the one before`);
  t.same(new Map([...last].sort()), new Map([...totals].sort()), `${label}: the last row of each site is the model's`);
}

async function schedule(t: Assert & { passing(): boolean }, seed: number): Promise<void> {
  const run = new Run(seed);
  const label = `seed ${seed}`;
  const guard = setTimeout(() => {
    process.stderr.write(`${label} hangs\n${run.trace.slice(-80).join("\n")}\n`);
    process.exit(1);
  }, 60_000);
  try {
    await run.feeder.createTopics([{ topic: "readings", partitions: PARTITIONS }]);
    await run.start(run.folder());
    for (let step = 0; step < 40; step++) {
      await run.happen();
      await run.wait(Math.floor(run.random() * 150));
    }
    await run.settle();
    check(t, run, label);
    await run.wait(11_000);
    const kept = await Promise.all([0, 1, 2].map((partition) => run.feeder.offsets("plant-by-site-repartition", partition)));
    t.ok(kept.every(({ start, end }) => end - start <= 1), `${label}: what was repartitioned and processed is dropped (${kept.map(({ start, end }) => `${start}-${end}`).join(", ")})`);
    await run.end();

    // The stores, made again from nothing but the changelogs: what was seen is known, and sums go on.
    const before = run.cluster.recordsOf("clean").length;
    const recent = run.cluster.recordsOf("recent").length;
    await run.feeder.append("readings", run.given.map((value) => ({ key: value.device, value: JSON.stringify(value), timestamp: value.at })));
    await run.start(null);
    const [restored] = run.alive;
    await restored?.instance.drain();
    t.equal(run.cluster.recordsOf("clean").length, before, `${label}: a restored store knows every reading`);
    t.equal(run.cluster.recordsOf("recent").length, recent, `${label}: and those of the last hour`);
    for (const [site, { n, total }] of model(run.given).totals) {
      const [row] = restored?.instance.query("totals", { site }) ?? [];
      t.same([row?.["n"], row?.["total"]], [n, total], `${label}: a restored store holds the total of ${site}`);
    }
    await run.end();
    t.same(run.failures, [], `${label}: no process failed for good`);
    if (process.env["TRACE"] !== undefined || !t.passing()) process.stderr.write(`${run.trace.join("\n")}\n`);
  } catch (error) {
    process.stderr.write(`${label}\n${run.trace.slice(-80).join("\n")}\n`);
    throw error;
  } finally {
    clearTimeout(guard);
    await run.close();
  }
}

t.setTimeout(600_000);
const seeds = process.env["SEEDS"]?.split(",").map(Number) ?? Array.from({ length: 12 }, (_, index) => 100 + index);

t.test("processes that come, go, die, sleep and lose requests make what a plain loop makes", { timeout: 600_000 }, async (t) => {
  for (const seed of seeds) await schedule(t, seed);
});

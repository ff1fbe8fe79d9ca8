/**
 * One run of a fault: topics of its own, workers, a load that is fed bit by bit, and at the end a fresh instance with an empty folder that must restore every
 * store from the changelogs, take a probe of each entry, and leave everything as the model has it.
 */
import { clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { type KafkaLog, openKafkaLog } from "@iot-topology/connectors/kafka";
import { type Instance, openInstance, TopologyError, topicPartitionName } from "@iot-topology/core";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checkClickHouse, checkCounters, checkGroup, checkTopics } from "./check.ts";
import { checkTools } from "./check-tools.ts";
import { compareStores } from "./compare-stores.ts";
import type { Environment } from "./environment.ts";
import { type Findings, noFindings } from "./findings.ts";
import { type Load, type LoadRecord, makeLoad } from "./load.ts";
import { type Random, seededRandom } from "./random.ts";
import { faultTopology, OUTPUTS, PARTITIONS, repartitionOf, topicOf, type Variant } from "./topology.ts";
import { startWorker, type WorkerProcess } from "./worker-process.ts";
import type { WorkerSetup } from "./worker.ts";

export type Client = "kafkajs" | "platformatic";

const SESSION_MS = 1_500;
/** A run must come back to its input's end within this, whatever happened to it. */
const SETTLE_DEADLINE_MS = 90_000;
/** Fed when all faults have fired. */
const LAST_RECORDS = 250;
const STOP_DEADLINE_MS = 30_000;
const LOOK_MS = 25;

export interface StageOptions {
  readonly seed: number;
  readonly client: Client;
  /** With the ClickHouse history. */
  readonly clickhouse?: boolean;
  readonly variant?: Variant;
  readonly brokers?: readonly string[];
  readonly standbyReplicas?: number;
  /** Where ClickHouse is reached by the workers, if not directly. */
  readonly clickhouseUrl?: string;
  readonly hangingTransactionMs?: number;
  /** What the restored instance runs, where that is not the variant. */
  readonly finalVariant?: Variant;
  /** The run ends with the topology refused: nothing can be settled or restored. */
  readonly endsRefused?: boolean;
}

/** What a run came to. */
export interface RunResult {
  readonly seed: number;
  readonly client: Client;
  /** Faults that fired, in order. */
  readonly fired: readonly string[];
  readonly lost: number;
  readonly doubled: number;
  readonly problems: readonly string[];
  /** From the last fault or feed to the end of the input. */
  readonly settledMs: number;
  readonly records: number;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for a condition; throws after the deadline. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, deadlineMs = 60_000): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs / 1_000} s: ${what}`);
    await pause(LOOK_MS);
  }
}

/** Tries again what brokers that are down refuse. */
async function persist<T>(work: () => Promise<T>, deadlineMs = SETTLE_DEADLINE_MS): Promise<T> {
  for (const deadline = Date.now() + deadlineMs; ; ) {
    try {
      return await work();
    } catch (cause) {
      if (!(cause instanceof TopologyError) || !cause.retriable || Date.now() > deadline) throw cause;
      await pause(100);
    }
  }
}

/** A run under way. */
export class Stage {
  readonly environment: Environment;
  readonly options: StageOptions;
  readonly name: string;
  readonly random: Random;
  readonly load: Load;
  readonly workers: WorkerProcess[] = [];
  readonly findings: Findings = noFindings();
  readonly fired: string[] = [];
  readonly dir: string;
  /** The log as the run itself uses it, through the other client. */
  readonly log: KafkaLog;
  readonly #clickhouse: { readonly url: string; readonly database: string } | undefined;
  readonly #serverUrl: string | undefined;
  readonly #dismissed = new Set<WorkerProcess>();
  #folders = 0;
  #isLast = false;

  private constructor(environment: Environment, options: StageOptions, name: string, log: KafkaLog, serverUrl: string | undefined) {
    this.environment = environment;
    this.options = options;
    this.name = name;
    this.log = log;
    this.random = seededRandom(options.seed);
    this.load = makeLoad(this.random);
    this.dir = join(environment.dir, name);
    this.#serverUrl = serverUrl;
    this.#clickhouse = serverUrl === undefined ? undefined : { url: options.clickhouseUrl ?? serverUrl, database: name.replaceAll("-", "_") };
    mkdirSync(this.dir, { recursive: true });
  }

  static async open(environment: Environment, options: StageOptions): Promise<Stage> {
    const { kafka, apache } = environment;
    const name = kafka.name("fault");
    const other = options.client === "kafkajs" ? "platformatic" : "kafkajs";
    const log = await openKafkaLog({ brokers: options.brokers ?? kafka.brokers, client: other, clientId: `${name}-feeder`, fetchWaitMs: 50 });
    const stage = new Stage(environment, options, name, log, options.clickhouse === true ? await environment.clickhouse() : undefined);
    const topics = [topicOf(name, "input"), ...OUTPUTS.map((output) => topicOf(name, output))];
    await persist(() => log.createTopics(topics.map((topic) => ({ topic, partitions: PARTITIONS }))));
    for (const topic of topics) apache.watch(topic, PARTITIONS);
    return stage;
  }

  get #variant(): Variant {
    return { ...this.options.variant, ...(this.options.clickhouse === true ? { clickhouse: true } : {}) };
  }
  /** Workers that live. */
  get alive(): WorkerProcess[] {
    return this.workers.filter(({ isAlive }) => isAlive);
  }

  /** Starts a worker, in a folder of its own unless one is given. */
  start(options: { readonly failpoint?: string; readonly stateDir?: string; readonly variant?: Variant } = {}): WorkerProcess {
    const { client, standbyReplicas = 0, hangingTransactionMs = 60_000, brokers = this.environment.kafka.brokers } = this.options;
    const setup: WorkerSetup = {
      name: this.name,
      variant: { ...this.#variant, ...options.variant },
      brokers,
      client,
      stateDir: options.stateDir ?? join(this.dir, `folder-${++this.#folders}`),
      ...(this.#clickhouse === undefined ? {} : { clickhouse: this.#clickhouse }),
      sessionTimeoutMs: SESSION_MS,
      commitRecordsMax: 60,
      commitIntervalMs: 20,
      standbyReplicas,
      hangingTransactionMs,
    };
    const worker = startWorker(setup, join(this.dir, `worker-${this.workers.length + 1}.log`), options.failpoint);
    this.workers.push(worker);
    return worker;
  }

  /** Ends a worker whose failure is what was wanted. */
  dismiss(worker: WorkerProcess): void {
    this.#dismissed.add(worker);
    worker.signal("SIGKILL");
  }

  /** Notes that a fault has fired, which counts only while there is work left: the last records are fed when all faults have been. */
  note(what: string): void {
    if (this.#isLast) throw new Error(`the work was over before: ${what}`);
    this.fired.push(what);
  }

  /** Kills a worker and starts another in its folder. */
  async restart(worker: WorkerProcess, options: { readonly failpoint?: string } = {}): Promise<WorkerProcess> {
    worker.signal("SIGKILL");
    await worker.ended;
    return this.start({ ...options, stateDir: worker.setup.stateDir });
  }

  async append(records: readonly LoadRecord[]): Promise<void> {
    if (records.length > 0) await persist(() => this.log.append(topicOf(this.name, "input"), records));
  }

  /** Feeds the next records of the load; a bit of them are re-deliveries. */
  async feed(count: number): Promise<void> {
    const again = this.random.oneIn(6) ? Math.floor(count / 3) : 0;
    await this.append(this.load.next(count - again));
    await this.append(this.load.again(again));
  }

  /** The sum of what the group has committed of the input. */
  async committed(): Promise<number> {
    const topic = topicOf(this.name, "input");
    const places = await persist(() => this.log.committedOffsets(this.name, Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }))));
    return [...places.values()].reduce((sum, offset) => sum + offset, 0);
  }

  /** Feeds a little, and waits until the group has committed more of the input than before. */
  async progress(): Promise<void> {
    const before = await this.committed();
    await this.feed(10);
    await until("the group commits", async () => (await this.committed()) > before);
  }

  /** Whether the group has committed everything that stands in its inputs. */
  isAtEnd(): Promise<boolean> {
    return persist(async () => (await this.#isAtEndOf(topicOf(this.name, "input"))) && (await this.#isAtEndOf(repartitionOf(this.name))));
  }

  async #isAtEndOf(topic: string): Promise<boolean> {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }));
    const committed = await this.log.committedOffsets(this.name, partitions);
    for (const { partition } of partitions) {
      const { start, end } = await this.log.offsets(topic, partition);
      if (topic === repartitionOf(this.name) && (await this.log.settledEnd(topic, partition)) > end) return false;
      if (end > start && (committed.get(topicPartitionName(topic, partition)) ?? 0) < end) return false;
    }
    return true;
  }

  /** Feeds what is left and waits until the group is at the end of everything; tells how long that took. */
  async settle(): Promise<number> {
    this.#isLast = true;
    await this.feed(LAST_RECORDS);
    const from = Date.now();
    await until("the group comes to the end of its input", async () => {
      for (const worker of this.workers) if (worker.failure !== undefined && !this.#dismissed.has(worker)) throw new Error(`a worker failed: ${worker.failure.code} ${worker.failure.message}`);
      if (this.alive.length === 0) throw new Error("no worker lives");
      return this.isAtEnd();
    }, SETTLE_DEADLINE_MS);
    return Date.now() - from;
  }

  /** Stops all workers in good order. */
  async stop(): Promise<void> {
    for (const worker of this.alive) worker.stop();
    for (const worker of this.workers) {
      const late = setTimeout(() => {
        this.findings.problems.push("a worker did not stop in time");
        worker.signal("SIGKILL");
      }, STOP_DEADLINE_MS);
      await worker.ended;
      clearTimeout(late);
      if (worker.unhandled.length > 0) this.findings.problems.push(`unhandled: ${worker.unhandled[0]}`);
      if (worker.failure !== undefined && !this.#dismissed.has(worker)) this.findings.problems.push(`a worker failed: ${worker.failure.code} ${worker.failure.message}`);
    }
  }

  /**
   * A new instance in an empty folder restores everything, and its stores are compared with those of the last owners. Opened again it reads a probe of each
   * entry and reports. Then all is checked.
   */
  async #verify(): Promise<void> {
    const { environment, name, log, findings, options } = this;
    const { apache, kafka, checks } = environment;
    const connectors = this.#serverUrl === undefined ? [] : [clickhouseConnector({ url: this.#serverUrl, database: name.replaceAll("-", "_"), embedded: true })];
    const own = await openKafkaLog({ brokers: kafka.brokers, client: options.client, clientId: `${name}-verifier`, fetchWaitMs: 50 });
    const stateDir = join(this.dir, "verifier");
    const open = (): Promise<Instance> => openInstance(faultTopology(name, { ...this.#variant, ...options.finalVariant }), { log: own, connectors, stateDir, createTopics: true, partitions: PARTITIONS, commitIntervalMs: 20 });
    try {
      const restored = await open();
      restored.run();
      await until("every store is restored", () => restored.status().tasks.length === 2 * PARTITIONS);
      await restored.stop();
      const folders = new Set(this.workers.map(({ setup }) => setup.stateDir));
      await compareStores(findings, name, [...folders], stateDir, { outbox: this.#serverUrl !== undefined });
      const instance = await open();
      instance.run();
      await this.append(this.load.probe());
      await Promise.race([instance.drain(), pause(SETTLE_DEADLINE_MS).then(() => Promise.reject(new Error("the restored instance does not come to the end")))]);
      const status = instance.status();
      await instance.stop();
      const expected = await checkTopics(findings, name, apache, log);
      checkCounters(findings, name, status, expected);
      await checkGroup(findings, name, apache);
      if (checks.tools && kafka.apache !== undefined) await checkTools(findings, name, kafka.apache, apache);
      if (this.#serverUrl !== undefined) await checkClickHouse(findings, this.#serverUrl, name.replaceAll("-", "_"), expected);
    } finally {
      await own.close();
      for (const connector of connectors) await connector.close();
    }
  }

  /** Brings the run to its end and checks everything. */
  async finish(): Promise<RunResult> {
    let settledMs = 0;
    try {
      if (this.options.endsRefused !== true) settledMs = await this.settle();
      await this.stop();
      if (this.options.endsRefused !== true) await this.#verify();
    } catch (cause) {
      this.findings.problems.push(cause instanceof Error ? cause.message : String(cause));
    }
    const { fired, findings, options, load } = this;
    return { seed: options.seed, client: options.client, fired, lost: findings.lost, doubled: findings.doubled, problems: findings.problems, settledMs, records: load.made };
  }

  /** Ends what is left of the run; its folder stays where something was wrong and FAULTS_KEEP asks for it. */
  async close(): Promise<void> {
    for (const worker of this.workers) {
      worker.signal("SIGCONT");
      worker.signal("SIGKILL");
    }
    for (const worker of this.workers) await worker.ended;
    const { log, name, environment } = this;
    const topics = [topicOf(name, "input"), ...OUTPUTS.map((output) => topicOf(name, output))];
    for (const topic of topics) environment.apache.unwatch(topic);
    if (this.findings.problems.length > 0 && process.env["FAULTS_KEEP"] !== undefined) process.stderr.write(`kept: ${this.dir}\n`);
    else rmSync(this.dir, { recursive: true, force: true });
    await log.deleteTopics([...topics, repartitionOf(name), `${name}-${name}.input-changelog`, `${name}-by-site-changelog`]).catch(() => {}); // The brokers go with the run anyway.
    await log.close();
  }
}

/** Runs the work on a stage of its own, to its end. */
export async function onStage(environment: Environment, options: StageOptions, work: (stage: Stage) => Promise<void>): Promise<RunResult> {
  const stage = await Stage.open(environment, options);
  try {
    try {
      await work(stage);
    } catch (cause) {
      stage.findings.problems.push(cause instanceof Error ? cause.message : String(cause));
    }
    return await stage.finish();
  } finally {
    await stage.close();
  }
}

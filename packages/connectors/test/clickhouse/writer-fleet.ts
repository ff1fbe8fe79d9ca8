import { setTimeout as sleep } from "node:timers/promises";
import { type SealedBatch, silentLogger, type Sink, type SinkConnector, type SinkSpec, TopologyError } from "@iot-topology/core";
import { clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";

/*
 * A fleet of writers as the engine would run them: each task has one owner; only the owner of the newest epoch seals batches and has its acknowledgements counted
 * (Kafka's transactions see to that), but a former owner may go on sending what it had sealed for as long as it likes.
 */

const ATTEMPTS_OF_ZOMBIE = 3;

/** A task with what its changelog would hold. */
export interface FleetTask {
  readonly id: string;
  /** Everything sealed so far, in order. */
  readonly batches: SealedBatch[];
  acknowledged: number;
  epoch: number;
}

/** What a writer knows of a task that it owns, or owned. */
interface Ownership {
  readonly task: FleetTask;
  readonly epoch: number;
  next: number;
  /** Batches below this index were found sealed, so they are uncertain. */
  readonly restored: number;
  known: number;
  isUncertain: boolean;
}

/** One process's connector, with a proxy between it and the server. */
export class Writer {
  readonly proxy: CuttingProxy;
  readonly name: string;
  readonly #connector: SinkConnector;
  readonly #sink: Sink;
  readonly #owned = new Map<string, Ownership>();
  #frozen: Promise<void> | undefined;
  #thaw: () => void = () => {};
  #isRetired = false;
  #isZombie = false;
  #attemptsLeft = Number.POSITIVE_INFINITY;
  #running: Promise<void> = Promise.resolve();
  /** Errors that were answered by another try, by code. */
  readonly errors: Map<string, number>;

  private constructor(name: string, proxy: CuttingProxy, connector: SinkConnector, sink: Sink, errors: Map<string, number>) {
    this.name = name;
    this.proxy = proxy;
    this.#connector = connector;
    this.#sink = sink;
    this.errors = errors;
  }

  static async start(name: string, port: number, database: string, spec: SinkSpec<never>, errors: Map<string, number>): Promise<Writer> {
    const proxy = await startCuttingProxy(port);
    const connector = clickhouseConnector({ url: proxy.url, database, embedded: true });
    const [sink] = await connector.open({ topology: "test", version: 1, logger: silentLogger }, [spec]);
    return new Writer(name, proxy, connector, sink as Sink, errors);
  }

  get tasks(): readonly FleetTask[] {
    return [...this.#owned.values()].filter(({ task, epoch }) => task.epoch === epoch).map(({ task }) => task);
  }

  /** Becomes the owner: whatever is sealed and not acknowledged is delivered again. */
  take(task: FleetTask): void {
    task.epoch++;
    this.#owned.set(task.id, { task, epoch: task.epoch, next: task.acknowledged, restored: task.batches.length, known: task.batches.length, isUncertain: true });
  }

  /** Seals a batch, as a commit does. */
  seal(task: FleetTask, batch: SealedBatch): void {
    const owned = this.#owned.get(task.id);
    if (owned?.epoch !== task.epoch) throw new Error(`${this.name} does not own ${task.id}`);
    task.batches.push(batch);
    owned.known = task.batches.length;
  }

  /** Stands still, between two statements or in the midst of one, until thawed; then sends a little of what it had sealed before it notices. */
  freeze(): void {
    this.#isZombie = true;
    this.#frozen = new Promise((resolve) => (this.#thaw = resolve));
    this.proxy.hold();
  }

  thaw(): void {
    this.#attemptsLeft = ATTEMPTS_OF_ZOMBIE;
    this.#frozen = undefined;
    this.proxy.resume();
    this.#thaw();
  }

  get isZombie(): boolean {
    return this.#isZombie;
  }

  run(): void {
    this.#running = this.#run();
  }

  /** Ends the writer as a kill does: in the midst of whatever it sends. */
  async kill(): Promise<void> {
    this.#isRetired = true;
    this.#thaw();
    await this.proxy.close();
    await this.#running;
    await this.#connector.close();
  }

  /** Waits until the zombie has used up what it could send. */
  async ended(): Promise<void> {
    await this.#running;
    await this.proxy.close();
    await this.#connector.close();
  }

  get isIdle(): boolean {
    return [...this.#owned.values()].every(({ task, epoch, next }) => task.epoch !== epoch || next === task.batches.length);
  }

  /** Upkeep, until it works. */
  async settle(): Promise<void> {
    while (!(await this.#attempt(() => this.#sink.settle())));
  }

  async #run(): Promise<void> {
    for (let turn = 0; !this.#isRetired && this.#attemptsLeft > 0; turn++) {
      await this.#frozen;
      const open = [...this.#owned.values()].filter((each) => each.next < each.known && (this.#isZombie || each.task.epoch === each.epoch));
      const owned = open[turn % Math.max(1, open.length)];
      if (owned !== undefined) await this.#deliver(owned);
      else if (this.#isZombie && this.#frozen === undefined) return;
      else if (turn % 3 === 0) await this.#attempt(() => this.#sink.settle());
      await sleep(1);
    }
  }

  async #deliver(owned: Ownership): Promise<void> {
    const index = owned.next;
    const batch = owned.task.batches[index] as SealedBatch;
    const uncertain = owned.isUncertain || index < owned.restored;
    owned.isUncertain = true;
    // The worst place to stand still: decided, and not sent.
    await this.#frozen;
    this.#attemptsLeft--;
    if (!(await this.#attempt(() => this.#sink.deliver(batch, { uncertain })))) return;
    owned.isUncertain = false;
    owned.next = index + 1;
    if (owned.task.epoch === owned.epoch) owned.task.acknowledged = Math.max(owned.task.acknowledged, index + 1);
  }

  async #attempt(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof TopologyError) || !error.retriable) throw error;
      this.errors.set(error.code, (this.errors.get(error.code) ?? 0) + 1);
      await sleep(20);
      return false;
    }
  }
}

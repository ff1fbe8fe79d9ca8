import { TopologyError } from "../model/index.ts";
import type { InputRange } from "../port/index.ts";
import type { DeliveryLane } from "./lane.ts";
import { type ClusterTaskPlace, openClusterTask, type OpenedClusterTask, openStore, taskDir } from "./cluster-task.ts";
import type { OpenedTask } from "./open-task.ts";
import type { ResolvedOptions } from "./options.ts";
import type { FollowedStore, RestoreProgress } from "./restore.ts";
import { taskError } from "./task-error.ts";
import type { Worker } from "./worker.ts";

/** What a task is to be here. */
export type TaskRole = "active" | "standby" | "none";

const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 5_000;
const DROP_WAIT_MS = 3_000;
const FOLLOW_PAUSE_MS = 100;
const DOUBTS_MAX = 2;

interface Slot {
  readonly place: ClusterTaskPlace;
  wanted: TaskRole;
  /** What it is now; `none` while it is being opened. */
  role: TaskRole;
  active: OpenedClusterTask | undefined;
  /** Resolved when the active task is closed. */
  closed: PromiseWithResolvers<void>;
  standby: { readonly store: FollowedStore; readonly following: Promise<void>; readonly abort: AbortController } | undefined;
  restoring: RestoreProgress | undefined;
  /** Ends an opening that is not wanted any more. */
  opening: AbortController | undefined;
  /** The reconciliation that is under way. */
  work: Promise<void> | undefined;
  /** Set where the active task must be closed as it stands, without a commit. */
  broken: TopologyError | undefined;
  retryMs: number;
  /** How often its opening failed in a way that is final, unless another has taken it over meanwhile. */
  doubts: number;
}

/** What the fleet needs of the instance. */
export interface FleetOptions {
  readonly options: ResolvedOptions;
  readonly places: readonly ClusterTaskPlace[];
  readonly worker: () => Worker;
  readonly lanes: ReadonlyMap<string, DeliveryLane>;
  readonly onFailure: (error: TopologyError) => void;
  /** A retriable failure: resolves when the task may be tried again (the group has acknowledged this process since). */
  readonly mayRetry: () => boolean;
}

/** Brings the tasks of this process to what they are wanted to be: each by itself, one step at a time. */
export class TaskFleet {
  readonly #fleet: FleetOptions;
  readonly #slots: ReadonlyMap<string, Slot>;
  #closing = false;
  /** Transactions that failed or were fenced, since the start. */
  aborted = 0;
  fenced = 0;

  constructor(fleet: FleetOptions) {
    this.#fleet = fleet;
    this.#slots = new Map(
      fleet.places.map((place) => [
        place.id,
        { place, wanted: "none", role: "none", active: undefined, closed: Promise.withResolvers(), standby: undefined, restoring: undefined, opening: undefined, work: undefined, broken: undefined, retryMs: RETRY_FIRST_MS, doubts: 0 },
      ]),
    );
  }

  /** The open active tasks. */
  get active(): OpenedClusterTask[] {
    return [...this.#slots.values()].flatMap(({ active }) => active ?? []);
  }
  /** Tasks that run or are about to, by id: what this process claims. */
  get claimed(): string[] {
    return [...this.#slots.values()].filter(({ wanted, role }) => wanted === "active" || role === "active").map(({ place }) => place.id);
  }
  get standby(): string[] {
    return [...this.#slots.values()].filter(({ role }) => role === "standby").map(({ place }) => place.id);
  }
  get restoring(): { readonly id: string; readonly position: number; readonly end: number }[] {
    return [...this.#slots.values()].flatMap(({ place, restoring, opening }) => (restoring === undefined || opening === undefined ? [] : [{ id: place.id, ...restoring }]));
  }
  /** How far the open stores are in their changelogs. */
  get positions(): Record<string, number> {
    const positions: Record<string, number> = {};
    for (const [id, { active, standby }] of this.#slots) {
      const store = active?.store ?? standby?.store;
      if (store !== undefined) positions[id] = store.position;
    }
    return positions;
  }
  /** True where every task is what it is wanted to be. */
  get isSettled(): boolean {
    return [...this.#slots.values()].every(({ wanted, role, work }) => wanted === role && work === undefined);
  }
  place(id: string): ClusterTaskPlace | undefined {
    return this.#slots.get(id)?.place;
  }
  task(id: string): OpenedClusterTask | undefined {
    return this.#slots.get(id)?.active;
  }

  /** Sets what each task is to be. Resolves when all that had to be given up is closed; what is new opens meanwhile. */
  async want(roles: ReadonlyMap<string, TaskRole>): Promise<void> {
    const givenUp: Promise<void>[] = [];
    for (const [id, slot] of this.#slots) {
      // An assignment may still be on its way in while everything is being closed.
      slot.wanted = this.#closing ? "none" : (roles.get(id) ?? "none");
      if (slot.wanted !== "active") slot.opening?.abort();
      const isGivenUp = slot.role === "active" && slot.wanted !== "active";
      const work = this.#reconcile(slot);
      // Not the whole of its work: that may go on with a standby copy, which waits for the group where it cannot be opened, and the group waits here.
      if (isGivenUp) givenUp.push(Promise.race([slot.closed.promise, work]));
    }
    await Promise.all(givenUp);
  }

  /** The membership is gone: nothing may be committed any more. */
  async abandon(reason: string): Promise<void> {
    for (const slot of this.#slots.values()) {
      if (slot.role === "active") slot.broken = new TopologyError("LEASE_EXPIRED", reason, { retriable: true });
    }
    await this.want(new Map());
  }

  /** An active task failed. True where it is opened again by itself; false where the instance must end. */
  failed(opened: OpenedTask, error: TopologyError): boolean {
    const slot = this.#slots.get(opened.task.id);
    if (slot === undefined || slot.active !== opened) return true;
    // Records that are gone may be gone because another has the task now and went on: opening it again tells.
    const isOwn = error.retriable || error.code === "PRODUCER_FENCED" || error.code === "STATE_CORRUPT" || error.code === "OFFSET_OUT_OF_RANGE";
    if (!isOwn) return false;
    if (error.code === "PRODUCER_FENCED") this.fenced++;
    else this.aborted++;
    this.#fleet.options.logger.warn({ task: opened.task.id, code: error.code, error: error.message }, "the task is closed without its last transaction and opened again");
    slot.broken = error;
    void this.#reconcile(slot);
    return true;
  }

  /** Closes everything; active tasks with a last commit. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const slot of this.#slots.values()) {
      slot.wanted = "none";
      slot.opening?.abort();
    }
    await Promise.all([...this.#slots.values()].map((slot) => this.#reconcile(slot)));
  }

  #reconcile(slot: Slot): Promise<void> {
    slot.work ??= this.#run(slot)
      .catch((cause: unknown) => this.#fleet.onFailure(taskError(cause, slot.place.id)))
      .finally(() => {
        slot.work = undefined;
        if (this.#needsWork(slot)) void this.#reconcile(slot);
      });
    return slot.work;
  }

  #needsWork(slot: Slot): boolean {
    return slot.broken !== undefined || slot.role !== slot.wanted;
  }

  async #run(slot: Slot): Promise<void> {
    while (this.#needsWork(slot)) {
      if (slot.active !== undefined) await this.#closeActive(slot, slot.active);
      else if (slot.standby !== undefined) await this.#closeStandby(slot);
      else if (slot.wanted === "none" || this.#closing) {
        slot.role = "none";
        slot.broken = undefined;
        return;
      } else if (slot.wanted === "standby") await this.#tryTo(slot, () => this.#openStandby(slot));
      else await this.#tryTo(slot, () => this.#openActive(slot));
    }
  }

  #isWanted(slot: Slot): boolean {
    return slot.wanted !== "none" && !this.#closing;
  }

  /** A failure that may pass is tried again for as long as the task is wanted. */
  async #tryTo(slot: Slot, work: () => Promise<void>): Promise<void> {
    const { options, mayRetry } = this.#fleet;
    try {
      await work();
      slot.retryMs = RETRY_FIRST_MS;
      slot.doubts = 0;
    } catch (cause) {
      const error = taskError(cause);
      if (!error.retriable && error.code !== "PRODUCER_FENCED" && !this.#isDoubtful(slot, error)) throw error;
      if (!this.#isWanted(slot)) return;
      options.logger.warn({ task: slot.place.id, code: error.code, error: error.message, retryInMs: slot.retryMs }, "the task could not be opened, will be tried again");
      await options.clock.sleep(slot.retryMs);
      slot.retryMs = Math.min(slot.retryMs * 2, RETRY_LAST_MS);
      while (!mayRetry() && this.#isWanted(slot)) await options.clock.sleep(RETRY_FIRST_MS);
    }
  }

  /** A process that stood still between its fence and its look at the topics sees what its successor has done since. With a new fence it would not. */
  #isDoubtful(slot: Slot, { code }: TopologyError): boolean {
    return (code === "OFFSET_OUT_OF_RANGE" || code === "CHANGELOG_MISMATCH") && slot.doubts++ < DOUBTS_MAX;
  }

  async #openActive(slot: Slot): Promise<void> {
    const { options, worker, lanes } = this.#fleet;
    const abort = new AbortController();
    slot.opening = abort;
    slot.restoring = undefined;
    slot.broken = undefined;
    const startedAt = options.clock.now();
    try {
      const opened = await openClusterTask(slot.place, options, abort.signal, {
        onProgress: (progress) => (slot.restoring = progress),
        mayHold: (inputs) => this.#mayHold(slot.place, inputs),
      });
      slot.active = opened;
      slot.closed = Promise.withResolvers();
      slot.role = "active";
      opened.task.enter("opening");
      opened.task.enter("running");
      worker().handOver(opened, opened.outbox, true);
      // The former owner may have died between its last delivery and the upkeep behind it: what it left to do is looked for also where the outbox is empty.
      for (const lane of lanes.values()) lane.requestSettle();
      worker().add(opened);
      options.logger.info({ task: slot.place.id, commit: opened.committer.checkpoint.commit, inMs: options.clock.now() - startedAt }, "task opened");
    } finally {
      slot.opening = undefined;
    }
  }

  /** Sinks that tell rows by a key and its version take them again as they are, whatever they hold. */
  async #mayHold({ part }: ClusterTaskPlace, inputs: readonly InputRange[]): Promise<boolean> {
    const { lanes } = this.#fleet;
    for (const { spec } of part.part.sinks) {
      if (spec.connector === "log" || spec.rebuildable !== "by-position") continue;
      const lane = lanes.get(`${spec.connector}:${spec.target}`);
      if (lane === undefined || (await lane.mayHold(inputs))) return true;
    }
    return false;
  }

  async #closeActive(slot: Slot, opened: OpenedClusterTask): Promise<void> {
    const { options, worker, lanes } = this.#fleet;
    const id = slot.place.id;
    const isBroken = slot.broken !== undefined;
    const error = slot.broken;
    worker().retire(opened);
    const drop = (): Promise<unknown> => Promise.all([...lanes.values()].map((lane) => lane.drop(id, DROP_WAIT_MS)));
    if (isBroken) await worker().remove(opened, { commit: false });
    else {
      // Its deliveries end before the last commit, so that what was acknowledged is not delivered again elsewhere.
      await drop();
      await worker().remove(opened, { commit: true });
    }
    await drop();
    if (opened.task.state === "running" || opened.task.state === "failed") opened.task.enter("closing");
    await opened.producer.close().catch(() => {}); // It is given up either way, and the next one settles what it left.
    await opened.store.close();
    if (opened.task.state === "closing") opened.task.enter("closed");
    const dir = taskDir(slot.place, options);
    if (error?.code === "STATE_CORRUPT" && dir !== null) await options.disk.markDamaged(dir, error.message);
    slot.active = undefined;
    slot.role = "none";
    slot.broken = undefined;
    slot.closed.resolve();
  }

  async #openStandby(slot: Slot): Promise<void> {
    const { options } = this.#fleet;
    const abort = new AbortController();
    slot.opening = abort;
    try {
      const store = await openStore(slot.place, options, abort.signal, (progress) => (slot.restoring = progress));
      const following = this.#follow(store, abort.signal, slot).catch((cause: unknown) => this.#standbyFailed(slot, cause));
      slot.standby = { store, following, abort };
      slot.role = "standby";
    } finally {
      slot.opening = undefined;
    }
  }

  async #follow(store: FollowedStore, signal: AbortSignal, slot: Slot): Promise<void> {
    const { clock, logger } = this.#fleet.options;
    while (!signal.aborted) {
      try {
        if (!(await store.step())) await clock.sleep(FOLLOW_PAUSE_MS, signal);
      } catch (cause) {
        if (!(cause instanceof TopologyError) || !cause.retriable) throw cause;
        logger.warn({ task: slot.place.id, code: cause.code, error: cause.message }, "a standby copy waits for its changelog");
        await clock.sleep(RETRY_LAST_MS, signal);
      }
    }
  }

  /** What a standby copy cannot go on from, nobody else hears of. */
  async #standbyFailed({ place }: Slot, cause: unknown): Promise<void> {
    const { options, onFailure } = this.#fleet;
    const error = taskError(cause, place.id);
    const dir = taskDir(place, options);
    if (error.code === "STATE_CORRUPT" && dir !== null) await options.disk.markDamaged(dir, error.message).catch(() => {});
    onFailure(error);
  }

  async #closeStandby(slot: Slot): Promise<void> {
    const { standby } = slot;
    if (standby === undefined) return;
    standby.abort.abort();
    try {
      await standby.following;
    } finally {
      await standby.store.close();
      slot.standby = undefined;
      slot.role = "none";
    }
  }
}

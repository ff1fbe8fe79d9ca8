import { join } from "node:path";
import { TopologyError, topicPartitionName } from "../model/index.ts";
import type { Plan } from "../plan/index.ts";
import type { ClusterLog, GroupAssignment, GroupMemberInfo, GroupMembership, Sink } from "../port/index.ts";
import { assignTasks } from "./assignment.ts";
import { checkPartitionCounts, type ClusterPart } from "./cluster-topics.ts";
import type { ClusterTaskPlace } from "./cluster-task.ts";
import type { Instance } from "./instance.ts";
import { DeliveryLane } from "./lane.ts";
import { assignmentMember, decodeClaim, decodeDuty, encodeMemberData, forgetMember, type MemberClaim, type MemberDuty, readFormerMember, writeMember } from "./member-data.ts";
import type { ResolvedOptions } from "./options.ts";
import { RepartitionTrim } from "./repartition-trim.ts";
import { instanceStatusOf } from "./status-of.ts";
import type { InstanceState, InstanceStatus } from "./status.ts";
import { memberShapeOf } from "./shape.ts";
import { taskError } from "./task-error.ts";
import { TaskFleet, type TaskRole } from "./task-fleet.ts";
import { TransactionWatch } from "./transaction-watch.ts";
import { StoreQueries, type StoreInfo, type StoreLocation } from "./queries.ts";
import type { StoreAccess } from "./store-view.ts";
import type { StoreKey, WindowRange } from "../task/store-query.ts";
import { Worker } from "./worker.ts";

const LOOK_MS = 10_000;
const DRAIN_LOOK_MS = 200;

/** What a cluster instance is made of. */
export interface ClusterInstanceParts {
  readonly plan: Plan;
  readonly options: ResolvedOptions;
  readonly parts: readonly ClusterPart[];
  readonly sinks: ReadonlyMap<string, Sink>;
}

/** A topology's share of tasks in this process, as the group gives it. */
export class ClusterInstance implements Instance {
  readonly failed: Promise<TopologyError>;
  readonly #plan: Plan;
  readonly #options: ResolvedOptions;
  readonly #log: ClusterLog;
  readonly #parts: readonly ClusterPart[];
  readonly #lanes: ReadonlyMap<string, DeliveryLane>;
  readonly #worker: Worker;
  readonly #fleet: TaskFleet;
  readonly #transactions: TransactionWatch;
  readonly #tasks: readonly string[];
  readonly #startedAt: number;
  readonly #dir: string | null;
  readonly #shape: string;
  readonly #queries: StoreQueries;
  readonly #timers = new AbortController();
  readonly #repartitions: RepartitionTrim;
  #membership: GroupMembership | undefined;
  #joining: Promise<void> | undefined;
  #memberId: string | undefined;
  #generation = 0;
  #rebalances = 0;
  #owners: Readonly<Record<string, string | null>> = {};
  #state: InstanceState = "starting";
  #failure: TopologyError | undefined;
  #resolveFailed: (error: TopologyError) => void = () => {};
  #stopped: Promise<void> | undefined;

  constructor({ plan, options, parts, sinks }: ClusterInstanceParts) {
    this.#plan = plan;
    this.#options = options;
    this.#log = options.log as ClusterLog;
    this.#transactions = new TransactionWatch(this.#log, parts, options);
    this.#parts = parts;
    this.#startedAt = options.clock.now();
    this.#dir = options.stateDir === null ? null : join(options.stateDir, plan.topology.name);
    this.#shape = memberShapeOf(plan);
    this.#repartitions = new RepartitionTrim(plan, this.#log, options.logger);
    this.failed = new Promise((resolve) => {
      this.#resolveFailed = resolve;
    });
    const { clock, logger } = options;
    const onFailure = (error: TopologyError): void => this.#fail(error);
    const lanes = new Map<string, DeliveryLane>();
    for (const [name, sink] of sinks) {
      const target = name.slice(name.indexOf(":") + 1);
      lanes.set(name, new DeliveryLane({ target, sink, clock, logger, onChange: () => this.#worker.wake(), onFailure, mayDeliver: () => this.#isAcknowledged() }));
    }
    this.#lanes = lanes;
    const places = parts.flatMap((part) => Array.from({ length: part.partitionCount }, (_, partition): ClusterTaskPlace => ({ plan, part, partition, id: `${part.part.name}_${partition}` })));
    this.#tasks = places.map(({ id }) => id);
    this.#worker = new Worker([], lanes, options, { onFailure, onTaskFailure: (opened, error) => this.#fleet.failed(opened, error) });
    const partitionCounts = new Map(parts.map(({ part, partitionCount }) => [part.name, partitionCount]));
    this.#queries = new StoreQueries({ plan, partitionCounts, task: (id) => this.#fleet.task(id), owner: (id) => this.#owners[id] });
    this.#fleet = new TaskFleet({ options, places, worker: () => this.#worker, lanes, onFailure, mayRetry: () => this.#isAcknowledged() });
  }

  /** Whether the group has acknowledged this process within a session: then no other can have got its tasks. */
  #isAcknowledged(): boolean {
    const { clock, sessionTimeoutMs } = this.#options;
    return this.#membership !== undefined && clock.now() - this.#membership.acknowledgedAt < sessionTimeoutMs;
  }

  run(): void {
    if (this.#state !== "starting") return;
    this.#state = "running";
    for (const lane of this.#lanes.values()) lane.requestSettle();
    this.#worker.start();
    this.#joining = this.#join().catch((cause: unknown) => this.#fail(taskError(cause)));
    void this.#watch();
  }

  async #join(): Promise<void> {
    const formerMemberId = await readFormerMember(this.#options.disk, this.#dir);
    const membership = await this.#log.joinGroup({
      group: this.#plan.topology.name,
      topics: this.#parts.flatMap(({ part }) => part.topics),
      sessionTimeoutMs: this.#options.sessionTimeoutMs,
      ...(formerMemberId === undefined ? {} : { formerMemberId }),
      userData: () => encodeMemberData(this.#claim()),
      assign: (members) => Promise.resolve(this.#assign(members)),
      onAssigned: (assignment, generation, memberId) => this.#assigned(assignment, generation, memberId),
      onLost: (reason) => this.#lost(reason),
      onFailure: (error) => this.#fail(taskError(error)),
    });
    this.#membership = membership;
    if (this.#stopped !== undefined) await membership.leave();
  }

  #claim(): MemberClaim {
    const { topology } = this.#plan;
    return { format: 1, url: this.#options.advertisedUrl ?? null, version: topology.version, shape: this.#shape, active: this.#fleet.claimed, stored: this.#fleet.positions };
  }

  #assign(members: readonly GroupMemberInfo[]): ReadonlyMap<string, GroupAssignment> {
    const claims = new Map(members.flatMap(({ memberId, userData }) => {
      const claim = decodeClaim(userData);
      return claim === undefined ? [] : [[memberId, claim] as const];
    }));
    // Members of the leader's own shape share the tasks; others are told why they get none. In a rolling upgrade the old ones go on until they leave.
    const able = [...claims].filter(([, claim]) => claim.shape === this.#shape && claim.version === this.#plan.topology.version);
    const { active, standby, moving } = assignTasks(this.#tasks, able.map(([memberId, claim]) => assignmentMember(memberId, claim)), this.#options.standbyReplicas);
    const owners: Record<string, string | null> = {};
    for (const [memberId, tasks] of active) for (const task of tasks) owners[task] = claims.get(memberId)?.url ?? null;
    const waits = new Set(moving);
    return new Map(
      members.map(({ memberId }) => {
        const claim = claims.get(memberId);
        const duty: MemberDuty = {
          format: 1,
          active: active.get(memberId) ?? [],
          standby: standby.get(memberId) ?? [],
          moving: (claim?.active ?? []).filter((task) => waits.has(task)),
          owners,
          ...(active.has(memberId) ? {} : { problem: `this process runs another version or shape of topology ${this.#plan.topology.name} than the group's leader (version ${this.#plan.topology.version})` }),
        };
        return [memberId, { partitions: this.#partitionsOf(duty.active), userData: encodeMemberData(duty) }] as const;
      }),
    );
  }

  #partitionsOf(tasks: readonly string[]): Record<string, number[]> {
    const partitions: Record<string, number[]> = {};
    for (const task of tasks) {
      const place = this.#fleet.place(task);
      for (const topic of place?.part.part.topics ?? []) (partitions[topic] ??= []).push(place?.partition as number);
    }
    return partitions;
  }

  async #assigned(assignment: GroupAssignment, generation: number, memberId: string): Promise<void> {
    if (this.#state !== "running") return;
    const duty = decodeDuty(assignment.userData);
    this.#memberId = memberId;
    this.#generation = generation;
    this.#rebalances++;
    await writeMember(this.#options.disk, this.#dir, memberId);
    const { logger } = this.#options;
    if (duty.problem === undefined) logger.info({ generation, active: duty.active, standby: duty.standby, moving: duty.moving }, "tasks assigned");
    else logger.warn({ generation }, `no tasks: ${duty.problem}`);
    const roles = new Map<string, TaskRole>();
    for (const task of duty.standby) roles.set(task, "standby");
    for (const task of duty.active) roles.set(task, "active");
    this.#owners = duty.owners;
    await this.#fleet.want(roles);
    // What moved away is closed now, and can be given to its new owner.
    if (duty.moving.length > 0) this.#membership?.rejoin();
    await this.#cleanUp(roles);
  }

  async #lost(reason: string): Promise<void> {
    this.#options.logger.warn({ reason }, "the group has taken this process for dead; its tasks are dropped without a commit");
    this.#owners = {};
    await this.#fleet.abandon(reason);
  }

  /** Removes folders of tasks that have run elsewhere for a while. */
  async #cleanUp(roles: ReadonlyMap<string, TaskRole>): Promise<void> {
    if (this.#dir === null) return;
    const { clock, disk, stateCleanupDelayMs, logger } = this.#options;
    const known = new Set(this.#tasks);
    for (const name of await disk.names(this.#dir)) {
      const task = decodeURIComponent(name);
      if (!known.has(task) || roles.has(task)) continue;
      const path = join(this.#dir, name);
      const changedAt = await disk.changedAt(path);
      if (changedAt === undefined || clock.now() - changedAt < stateCleanupDelayMs) continue;
      logger.info({ task }, "the local state of a task that runs elsewhere is removed");
      await disk.remove(path);
    }
  }

  /** Looks from time to time at what may go wrong around the tasks. */
  async #watch(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#timers;
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      if (signal.aborted) return;
      try {
        await checkPartitionCounts(this.#parts, this.#log);
      } catch (cause) {
        if (cause instanceof TopologyError && !cause.retriable) return this.#fail(cause);
        logger.warn({ error: String(cause) }, "the topics could not be looked at, will be tried again");
      }
      await this.#repartitions.look(this.#fleet.active);
      // Not everybody may list transactions, and work goes on without.
      await this.#transactions.look().catch((cause: unknown) => logger.debug({ error: String(cause) }, "open transactions could not be looked at"));
    }
  }

  async drain(): Promise<void> {
    const failed = await Promise.race([this.#drained(), this.failed]);
    if (failed !== undefined) throw failed;
  }

  /** Everything that stands in the log now is committed by the group, and this process has delivered its share. */
  async #drained(): Promise<undefined> {
    for (;;) {
      // A task on its way from one process to another is nobody's share, and may have rows to deliver.
      const isShared = this.#generation > 0 && this.#tasks.every((task) => task in this.#owners);
      if (this.#membership !== undefined && isShared && this.#fleet.isSettled) {
        const generation = this.#generation;
        await this.#worker.drained();
        if ((await this.#isGroupAtEnd()) && generation === this.#generation && this.#fleet.isSettled) return undefined;
      }
      await this.#options.clock.sleep(DRAIN_LOOK_MS);
    }
  }

  async #isGroupAtEnd(): Promise<boolean> {
    const inputs = this.#parts.flatMap(({ part, partitionCount }) => part.topics.flatMap((topic) => Array.from({ length: partitionCount }, (_, partition) => ({ topic, partition }))));
    const committed = await this.#log.committedOffsets(this.#plan.topology.name, inputs);
    for (const { topic, partition } of inputs) {
      const { start, end } = await this.#log.offsets(topic, partition);
      // What one part has committed may still be on its way into the topic between it and the next: offsets of a group become visible by themselves.
      if (this.#isInternal(topic) && (await this.#log.settledEnd(topic, partition)) > end) return false;
      if (end > start && (committed.get(topicPartitionName(topic, partition)) ?? 0) < end) return false;
    }
    return true;
  }

  #isInternal(topic: string): boolean {
    return this.#plan.internalTopics.some((other) => other.topic === topic);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#state !== "failed") this.#state = "stopping";
    this.#timers.abort();
    const { clock, stopTimeoutMs, logger } = this.#options;
    const until = clock.now() + stopTimeoutMs;
    // Tasks are closed one by one with their last commit, while the worker still runs; what is not delivered by then is delivered by their next owner.
    while (this.#failure === undefined && clock.now() < until && ![...this.#lanes.values()].every((lane) => lane.isIdle)) await clock.sleep(10);
    await this.#fleet.close();
    await this.#worker.stop();
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
    const waited = new AbortController();
    await Promise.race([this.#joining, clock.sleep(stopTimeoutMs, waited.signal)]);
    waited.abort();
    try {
      await this.#membership?.leave();
      await forgetMember(this.#options.disk, this.#dir);
    } catch (cause) {
      logger.warn({ error: String(cause) }, "the group could not be left; its session ends by itself");
    }
    if (this.#failure === undefined) this.#state = "stopped";
  }

  #fail(error: TopologyError): void {
    // What was under way when the instance stopped finds its log closed: that is no failure.
    if (this.#failure !== undefined || this.#state === "stopped" || (this.#stopped !== undefined && error.code === "NOT_RUNNING")) return;
    this.#failure = error;
    this.#state = "failed";
    this.#options.logger.error({ code: error.code, place: error.place, error: error.message }, "the instance failed");
    this.#resolveFailed(error);
    void this.#worker.stop();
    // Others may fare better (another disk, another version): they must not wait for this process to end.
    this.#membership?.leave().catch(() => {});
  }

  stores(): readonly StoreInfo[] {
    return this.#queries.list();
  }
  locate(store: string, key: StoreKey): readonly StoreLocation[] {
    return this.#queries.locate(store, key);
  }
  query(store: string, key: StoreKey, range?: Partial<WindowRange>): readonly Readonly<Record<string, unknown>>[] {
    return this.#queries.ask(store, key, range);
  }
  get store(): StoreAccess {
    return this.#queries.store;
  }

  status(): InstanceStatus {
    return {
      ...instanceStatusOf({ plan: this.#plan, state: this.#state, startedAt: this.#startedAt, tasks: this.#fleet.active, lanes: this.#lanes, failure: this.#failure }),
      cluster: {
        memberId: this.#memberId ?? null,
        generation: this.#generation,
        rebalances: this.#rebalances,
        standby: this.#fleet.standby,
        restoring: this.#fleet.restoring,
        abortedTransactions: this.#fleet.aborted,
        fencedTasks: this.#fleet.fenced,
        hangingTransactions: this.#transactions.hanging,
        owners: this.#owners,
      },
    };
  }
}

/**
 * A client's side of a group: joins, syncs, heartbeats, and joins again for as long as it is a member.
 *
 *   join --generation--> sync --assignment--> onAssigned, heartbeats meanwhile --rebalance, rejoin()--> join
 *    ^----------- onLost: the coordinator does not know the member (any more) <----------'
 */
import { TopologyError } from "../../model/index.ts";
import type { Clock, GroupAssignment, GroupMembership, GroupOptions } from "../../port/index.ts";
import type { ClusterGroup, GroupRefusal } from "./groups.ts";
import type { ClientLine, ClusterNetwork } from "./network.ts";

/** What a member needs of its cluster. */
export interface MemberEnvironment {
  readonly line: ClientLine;
  readonly network: ClusterNetwork;
  readonly clock: Clock;
  readonly group: () => ClusterGroup;
  /** Numbers member ids; unique in the cluster. */
  readonly nextNumber: () => number;
  /** Called after each join, leave and heartbeat: the coordinator's deadlines may have moved. */
  readonly onChange: () => void;
}

const RETRY_MS = 50;

/** One membership. */
export class ClusterMembership implements GroupMembership {
  acknowledgedAt = 0;
  readonly #options: GroupOptions;
  readonly #environment: MemberEnvironment;
  #memberId = "";
  #isOver = false;
  #wake: PromiseWithResolvers<GroupRefusal | "REJOIN" | "LEFT"> = Promise.withResolvers();
  readonly #joined: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Ends the sleeps of the heartbeats of a generation. */
  #generationEnd = new AbortController();

  constructor(options: GroupOptions, environment: MemberEnvironment) {
    this.#options = options;
    this.#environment = environment;
  }

  /** Resolves with the first assignment. */
  async start(): Promise<this> {
    const { formerMemberId } = this.#options;
    if (formerMemberId !== undefined) await this.#request("leave", (group) => group.remove(({ memberId }) => memberId === formerMemberId)).catch(() => undefined);
    void this.#run();
    await this.#joined.promise;
    return this;
  }

  async #request<T>(operation: "join" | "sync" | "heartbeat" | "leave", apply: (group: ClusterGroup) => T | Promise<T>): Promise<T> {
    const { network, line, group, onChange } = this.#environment;
    return network.request(line, operation, () => {
      const reply = apply(group());
      onChange();
      return reply;
    });
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      try {
        const ending = await this.#generation();
        this.#generationEnd.abort("over");
        if (ending === "UNKNOWN_MEMBER_ID" || ending === "ILLEGAL_GENERATION") await this.#lose(ending);
      } catch (error) {
        this.#generationEnd.abort("over");
        if (!(error instanceof TopologyError && error.retriable)) return this.#fail(error);
        await this.#environment.clock.sleep(RETRY_MS);
      }
    }
  }

  async #lose(reason: string): Promise<void> {
    this.#memberId = "";
    if (!this.#isOver) await this.#options.onLost(reason);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#joined.resolve();
    this.#options.onFailure(error instanceof Error ? error : new Error(String(error)));
  }

  /** From a join to the end of the generation that it led to. */
  async #generation(): Promise<GroupRefusal | "REJOIN" | "LEFT"> {
    const { line, clock, nextNumber } = this.#environment;
    const { sessionTimeoutMs = 10_000, rebalanceTimeoutMs = 30_000 } = this.#options;
    this.#wake = Promise.withResolvers();
    if (this.#memberId === "") this.#memberId = await this.#request("join", (group) => group.admit(line.clientId, nextNumber()));
    const memberId = this.#memberId;
    const userData = Buffer.from(this.#options.userData());
    const joined = await this.#request("join", (group) => group.join({ memberId, clientId: line.clientId, userData, sessionTimeoutMs, rebalanceTimeoutMs }));
    if (this.#isOver) return "LEFT";
    if (joined.refused !== undefined) return joined.refused;
    this.acknowledgedAt = clock.now();
    this.#generationEnd = new AbortController();
    void this.#beat(memberId, joined.generation, this.#generationEnd.signal);
    const given = joined.members === undefined ? undefined : await this.#options.assign(joined.members);
    const synced = await this.#request("sync", (group) => group.sync(memberId, joined.generation, given));
    if (synced.refused !== undefined || this.#isOver) return synced.refused ?? "LEFT";
    this.#joined.resolve();
    await this.#told(synced.assignment, joined.generation);
    return this.#wake.promise;
  }

  async #told(assignment: GroupAssignment, generation: number): Promise<void> {
    await Promise.resolve();
    if (!this.#isOver) await this.#options.onAssigned(assignment, generation, this.#memberId);
  }

  async #beat(memberId: string, generation: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#environment;
    const intervalMs = this.#options.heartbeatIntervalMs ?? (this.#options.sessionTimeoutMs ?? 10_000) / 3;
    for (;;) {
      await clock.sleep(intervalMs, signal);
      if (signal.aborted || this.#isOver) return;
      const sentAt = clock.now();
      try {
        const refused = await this.#request("heartbeat", (group) => group.heartbeat(memberId, generation));
        if (signal.aborted) return;
        if (refused === undefined || refused === "REBALANCE_IN_PROGRESS") this.acknowledgedAt = sentAt;
        if (refused !== undefined) this.#wake.resolve(refused);
        if (refused === "UNKNOWN_MEMBER_ID" || refused === "ILLEGAL_GENERATION") return;
      } catch {
        // Lost: the next one may get through before the session is over.
      }
    }
  }

  rejoin(): void {
    this.#wake.resolve("REJOIN");
  }

  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.stop();
    const memberId = this.#memberId;
    await this.#request("leave", (group) => group.remove((member) => member.memberId === memberId)).catch(() => undefined);
  }

  /** Ends it on this side alone. */
  stop(): void {
    this.#isOver = true;
    this.#generationEnd.abort("over");
    this.#joined.resolve();
    this.#wake.resolve("LEFT");
  }
}

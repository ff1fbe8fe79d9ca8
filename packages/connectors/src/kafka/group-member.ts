/**
 * A member of a group, by the classic protocol.
 *
 *   join --generation--> sync --assignment--> onAssigned, heartbeats meanwhile --rebalance, rejoin()--> join
 *    ^------------- onLost: the coordinator does not know the member, or has not answered for a session ----------'
 *
 * One loop makes all calls to the engine, so that no two of them overlap. The heartbeats run beside it and only wake it.
 */
import { TopologyError } from "@iot-topology/core";
import type { GroupAssignment, GroupMembership, GroupOptions } from "@iot-topology/core";
import { Deadline, pause } from "./attempt.ts";
import { decodeAssignment, encodeAssignment, encodeSubscription, subscriptionUserData } from "./consumer-protocol.ts";
import type { Purpose } from "./cluster.ts";
import { CODE, errorAction, errorName, refusal } from "./error-code.ts";
import type { RequestOptions, Router } from "./request.ts";
import type { WireConnection } from "./wire.ts";

/** The name of our way to assign; all members of a group must share it. */
const PROTOCOL = "iot-topology";
const HEARTBEATS_A_SESSION = 20;
const LEAVE_DEADLINE_MS = 5_000;
const ANSWER_MARGIN_MS = 5_000;
const RETRY_MS = 100;
let members = 0;

type Ending = { readonly kind: "rejoin" | "left" } | { readonly kind: "lost"; readonly reason: string };

/** Codes that the member itself has an answer to. */
const OWN_CODES: ReadonlySet<number> = new Set([CODE.memberIdRequired, CODE.unknownMemberId, CODE.illegalGeneration, CODE.rebalanceInProgress, CODE.fencedInstanceId]);

export class GroupMember implements GroupMembership {
  acknowledgedAt = 0;
  readonly #router: Router;
  readonly #options: GroupOptions;
  readonly #number = members++;
  readonly #purpose: Purpose = `group-${this.#number}`;
  /** A join holds its connection for as long as the others take, and a heartbeat must not wait behind anything. */
  readonly #beatPurpose: Purpose = `group-${this.#number}-heartbeats`;
  readonly #sessionTimeoutMs: number;
  readonly #rebalanceTimeoutMs: number;
  readonly #joined: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #stop = new AbortController();
  #memberId = "";
  #generation = -1;
  #ending: PromiseWithResolvers<Ending> = Promise.withResolvers();

  constructor(router: Router, options: GroupOptions) {
    this.#router = router;
    this.#options = options;
    this.#sessionTimeoutMs = options.sessionTimeoutMs ?? 10_000;
    this.#rebalanceTimeoutMs = options.rebalanceTimeoutMs ?? 30_000;
  }

  /** Resolves with the first assignment, before it is told. */
  async start(): Promise<this> {
    const { formerMemberId } = this.#options;
    if (formerMemberId !== undefined) await this.#remove(formerMemberId).catch(() => undefined);
    void this.#run();
    await this.#joined.promise;
    return this;
  }

  rejoin(): void {
    this.#ending.resolve({ kind: "rejoin" });
  }

  async leave(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.close();
    // Where the coordinator cannot be told, it finds out when the session is over.
    if (this.#memberId !== "") await this.#remove(this.#memberId).catch(() => undefined);
    await Promise.all([this.#router.cluster.release(this.#purpose), this.#router.cluster.release(this.#beatPurpose)]);
  }

  /** Ends it on this side alone. */
  close(): void {
    this.#stop.abort(new TopologyError("NOT_RUNNING", "the member has left", { place: this.#options.group }));
    this.#joined.resolve();
    this.#ending.resolve({ kind: "left" });
  }

  get #isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  async #remove(memberId: string): Promise<void> {
    const { group } = this.#options;
    const options = { what: "leaving a group", place: group, deadline: new Deadline(LEAVE_DEADLINE_MS) };
    await this.#router.atCoordinator("group", group, options, (connection) => connection.leaveGroup({ group, memberId }), ({ errorCode }) => (OWN_CODES.has(errorCode) ? 0 : errorCode));
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      try {
        const ending = await this.#oneGeneration();
        if (ending.kind === "lost" && !this.#isOver) await this.#options.onLost(ending.reason);
      } catch (error) {
        if (this.#isOver) return;
        if (!(error instanceof TopologyError) || !error.retriable) return this.#fail(error);
        this.#router.cluster.logger.warn({ group: this.#options.group, code: error.code }, "the group's coordinator does not answer; trying again");
        await this.#lapse();
        await pause(RETRY_MS, this.#stop.signal);
      }
    }
  }

  /** Joining has taken longer than the session: what the member had may be others'. Told once. */
  async #lapse(): Promise<void> {
    if (this.#generation < 0 || Date.now() - this.acknowledgedAt < this.#sessionTimeoutMs) return;
    this.#generation = -1;
    await this.#options.onLost("the coordinator has not answered for a session");
  }

  #fail(error: unknown): void {
    const failure = error instanceof Error ? error : new Error(String(error));
    void this.leave();
    this.#options.onFailure(failure);
  }

  /** From a join to what ends the generation that it led to. */
  async #oneGeneration(): Promise<Ending> {
    this.#ending = Promise.withResolvers();
    // A heartbeat may be refused for good while nobody waits for it yet.
    this.#ending.promise.catch(() => undefined);
    if (this.#isOver) return { kind: "left" };
    const joined = await this.#join();
    if ("kind" in joined) return joined;
    const synced = await this.#sync(joined);
    if ("kind" in synced) return synced;
    if (this.#isOver) return { kind: "left" };
    this.#joined.resolve();
    const ended = new AbortController();
    const beats = this.#beat(ended.signal);
    try {
      await this.#options.onAssigned(synced, this.#generation, this.#memberId);
      return await this.#ending.promise;
    } finally {
      ended.abort();
      await beats;
    }
  }

  async #join(): Promise<Awaited<ReturnType<WireConnection["joinGroup"]>> | Ending> {
    const { group, topics } = this.#options;
    const metadata = encodeSubscription(topics, this.#options.userData(), this.#generation);
    for (;;) {
      const sentAt = Date.now();
      const answer = await this.#ask("joining a group", this.#rebalanceTimeoutMs + ANSWER_MARGIN_MS, (connection) =>
        connection.joinGroup({
          group,
          sessionTimeoutMs: this.#sessionTimeoutMs,
          rebalanceTimeoutMs: this.#rebalanceTimeoutMs,
          memberId: this.#memberId,
          protocolType: "consumer",
          protocols: [{ name: PROTOCOL, metadata }],
        }),
      );
      if (this.#isOver) {
        // The coordinator let the member in while it was leaving.
        if (answer.errorCode === 0) await this.#remove(answer.memberId).catch(() => undefined);
        return { kind: "left" };
      }
      if (answer.errorCode === CODE.memberIdRequired) {
        this.#memberId = answer.memberId;
        continue;
      }
      if (answer.errorCode !== 0) return this.#ended("joining a group", answer.errorCode);
      this.#memberId = answer.memberId;
      this.#generation = answer.generation;
      this.acknowledgedAt = Math.max(this.acknowledgedAt, sentAt);
      return answer;
    }
  }

  async #sync({ leaderId, members: all }: Awaited<ReturnType<WireConnection["joinGroup"]>>): Promise<GroupAssignment | Ending> {
    const { group } = this.#options;
    let assignments: { readonly memberId: string; readonly assignment: Buffer }[] = [];
    if (leaderId === this.#memberId) {
      const given = await this.#options.assign(all.map(({ memberId, metadata }) => ({ memberId, userData: subscriptionUserData(metadata) })));
      assignments = [...given].map(([memberId, assignment]) => ({ memberId, assignment: encodeAssignment(assignment) }));
    }
    const sentAt = Date.now();
    const member = { group, generation: this.#generation, memberId: this.#memberId };
    const answer = await this.#ask("syncing a group", this.#rebalanceTimeoutMs + ANSWER_MARGIN_MS, (connection) => connection.syncGroup({ ...member, assignments }));
    if (answer.errorCode !== 0) return this.#ended("syncing a group", answer.errorCode);
    this.acknowledgedAt = Math.max(this.acknowledgedAt, sentAt);
    return decodeAssignment(answer.assignment);
  }

  /** What a code means for the membership. Throws on what joining again does not cure. */
  #ended(what: string, code: number): Ending {
    if (code === CODE.rebalanceInProgress) return { kind: "rejoin" };
    if (!OWN_CODES.has(code)) throw refusal(what, code, this.#options.group);
    const wasMember = this.#generation >= 0;
    if (code !== CODE.illegalGeneration) this.#memberId = "";
    this.#generation = -1;
    return wasMember ? { kind: "lost", reason: errorName(code) } : { kind: "rejoin" };
  }

  #ask<T extends { readonly errorCode: number }>(what: string, timeoutMs: number, request: (connection: WireConnection) => Promise<T>): Promise<T> {
    const { group } = this.#options;
    const options: RequestOptions = { what, place: group, deadline: new Deadline(timeoutMs), signal: this.#stop.signal, purpose: this.#purpose, requestTimeoutMs: timeoutMs };
    return this.#router.atCoordinator("group", group, options, request, ({ errorCode }) => (OWN_CODES.has(errorCode) ? 0 : errorCode));
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const intervalMs = this.#options.heartbeatIntervalMs ?? this.#sessionTimeoutMs / HEARTBEATS_A_SESSION;
    const member = { group: this.#options.group, generation: this.#generation, memberId: this.#memberId };
    const either = AbortSignal.any([signal, this.#stop.signal]);
    for (;;) {
      await pause(intervalMs, either);
      if (either.aborted) return;
      const sentAt = Date.now();
      const code = await this.#heartbeat(member, either);
      if (either.aborted) return;
      // What counts is when it was sent: the session is counted from no earlier.
      if (code === 0 || code === CODE.rebalanceInProgress) this.acknowledgedAt = sentAt;
      if (code !== undefined && code !== 0) {
        try {
          this.#ending.resolve(this.#ended("a heartbeat", code));
        } catch (error) {
          this.#ending.reject(error);
        }
        if (code !== CODE.rebalanceInProgress) return;
      } else if (Date.now() - this.acknowledgedAt > this.#sessionTimeoutMs) {
        this.#generation = -1;
        return this.#ending.resolve({ kind: "lost", reason: "the coordinator has not answered for a session" });
      }
    }
  }

  /** A heartbeat's code; undefined where none came in time. */
  async #heartbeat(member: { readonly group: string; readonly generation: number; readonly memberId: string }, signal: AbortSignal): Promise<number | undefined> {
    const timeoutMs = Math.max(200, this.#sessionTimeoutMs / 3);
    const options: RequestOptions = { what: "a heartbeat", place: member.group, deadline: new Deadline(timeoutMs), signal, purpose: this.#beatPurpose, requestTimeoutMs: timeoutMs };
    try {
      const answer = await this.#router.atCoordinator("group", member.group, options, (connection) => connection.heartbeat(member), ({ errorCode }) => (errorAction(errorCode) === "refused" || OWN_CODES.has(errorCode) ? 0 : errorCode));
      return answer.errorCode;
    } catch (error) {
      if (error instanceof TopologyError && !error.retriable && error.code !== "NOT_RUNNING") this.#ending.reject(error);
      return undefined;
    }
  }
}

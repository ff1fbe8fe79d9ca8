/**
 * The group coordinator of the model: Kafka's classic protocol, eager.
 *
 *   Empty --join--> PreparingRebalance --all joined, or those who did not are out--> CompletingRebalance --leader's sync--> Stable
 *                          ^---------------- join, leave, session over ----------------------'----------------------------'
 */
import { topicPartitionName } from "../../model/index.ts";
import type { GroupAssignment, GroupDescription, GroupMemberInfo, GroupPosition } from "../../port/index.ts";

/** Kafka's answers that are no failures of the line. */
export type GroupRefusal = "UNKNOWN_MEMBER_ID" | "ILLEGAL_GENERATION" | "REBALANCE_IN_PROGRESS";
export type JoinReply = { readonly refused: GroupRefusal } | { readonly refused: undefined; readonly generation: number; readonly members: readonly GroupMemberInfo[] | undefined };
export type SyncReply = { readonly refused: GroupRefusal } | { readonly refused: undefined; readonly assignment: GroupAssignment };

/** What a member says of itself when it joins. */
export interface JoinRequest {
  readonly memberId: string;
  readonly clientId: string;
  readonly userData: Buffer;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
}

interface ClusterMember {
  request: JoinRequest;
  heardAt: number;
  joining: ((reply: JoinReply) => void) | undefined;
  syncing: ((reply: SyncReply) => void) | undefined;
  assignment: GroupAssignment;
}

const NOTHING: GroupAssignment = Object.freeze({ partitions: {}, userData: Buffer.alloc(0) });

/** One group: its members, its generation and its offsets. */
export class ClusterGroup {
  readonly name: string;
  readonly #now: () => number;
  #state: GroupDescription["state"] = "Empty";
  #generation = 0;
  #leaderId = "";
  #joinDeadline = 0;
  readonly #known = new Set<string>();
  readonly #members = new Map<string, ClusterMember>();
  readonly #offsets = new Map<string, GroupPosition>();
  /** Transactions that hold offsets of this group which are not settled. */
  readonly pending: Set<{ readonly positions: ReadonlyMap<string, readonly GroupPosition[]> }> = new Set();

  constructor(name: string, now: () => number) {
    this.name = name;
    this.#now = now;
  }

  get memberIds(): readonly string[] {
    return [...this.#members.keys()];
  }
  get generation(): number {
    return this.#generation;
  }

  /** Gives a member its id before it joins, so that a lost reply leaves no ghost behind. */
  admit(clientId: string, number: number): string {
    const memberId = `${clientId}-${number}`;
    this.#known.add(memberId);
    return memberId;
  }

  join(request: JoinRequest): Promise<JoinReply> {
    const { memberId } = request;
    let member = this.#members.get(memberId);
    if (member === undefined) {
      if (!this.#known.delete(memberId)) return Promise.resolve({ refused: "UNKNOWN_MEMBER_ID" });
      member = { request, heardAt: 0, joining: undefined, syncing: undefined, assignment: NOTHING };
      this.#members.set(memberId, member);
    }
    member.request = request;
    member.heardAt = this.#now();
    this.#prepare();
    member.joining?.({ refused: "REBALANCE_IN_PROGRESS" });
    const { promise, resolve } = Promise.withResolvers<JoinReply>();
    member.joining = resolve;
    this.#completeWhenAllJoined();
    return promise;
  }

  #prepare(): void {
    if (this.#state === "PreparingRebalance") return;
    this.#state = "PreparingRebalance";
    this.#joinDeadline = this.#now() + Math.max(0, ...[...this.#members.values()].map(({ request }) => request.rebalanceTimeoutMs));
    for (const member of this.#members.values()) {
      member.syncing?.({ refused: "REBALANCE_IN_PROGRESS" });
      member.syncing = undefined;
    }
  }

  #completeWhenAllJoined(): void {
    if (this.#state !== "PreparingRebalance") return;
    for (const { joining } of this.#members.values()) if (joining === undefined) return;
    this.#complete();
  }

  #complete(): void {
    for (const [memberId, { joining }] of this.#members) if (joining === undefined) this.#members.delete(memberId);
    this.#generation++;
    const [first] = this.#members.keys();
    if (first === undefined) {
      this.#state = "Empty";
      return;
    }
    if (!this.#members.has(this.#leaderId)) this.#leaderId = first;
    this.#state = "CompletingRebalance";
    const members = [...this.#members].map(([memberId, { request }]) => ({ memberId, userData: request.userData }));
    for (const [memberId, member] of this.#members) {
      member.heardAt = this.#now();
      member.assignment = NOTHING;
      member.joining?.({ refused: undefined, generation: this.#generation, members: memberId === this.#leaderId ? members : undefined });
      member.joining = undefined;
    }
  }

  sync(memberId: string, generation: number, given: ReadonlyMap<string, GroupAssignment> | undefined): Promise<SyncReply> {
    const member = this.#members.get(memberId);
    if (member === undefined) return Promise.resolve({ refused: "UNKNOWN_MEMBER_ID" });
    if (generation !== this.#generation) return Promise.resolve({ refused: "ILLEGAL_GENERATION" });
    if (this.#state === "PreparingRebalance") return Promise.resolve({ refused: "REBALANCE_IN_PROGRESS" });
    member.heardAt = this.#now();
    if (this.#state === "CompletingRebalance" && memberId === this.#leaderId && given !== undefined) this.#assign(given);
    if (this.#state === "Stable") return Promise.resolve({ refused: undefined, assignment: member.assignment });
    member.syncing?.({ refused: "REBALANCE_IN_PROGRESS" });
    const { promise, resolve } = Promise.withResolvers<SyncReply>();
    member.syncing = resolve;
    return promise;
  }

  #assign(given: ReadonlyMap<string, GroupAssignment>): void {
    this.#state = "Stable";
    for (const [memberId, member] of this.#members) {
      member.assignment = given.get(memberId) ?? NOTHING;
      member.heardAt = this.#now();
      member.syncing?.({ refused: undefined, assignment: member.assignment });
      member.syncing = undefined;
    }
  }

  heartbeat(memberId: string, generation: number): GroupRefusal | undefined {
    const member = this.#members.get(memberId);
    if (member === undefined) return "UNKNOWN_MEMBER_ID";
    if (generation !== this.#generation) return "ILLEGAL_GENERATION";
    member.heardAt = this.#now();
    return this.#state === "PreparingRebalance" ? "REBALANCE_IN_PROGRESS" : undefined;
  }

  /** Takes members out: they left, or their sessions are over. */
  remove(isRemoved: (member: { readonly memberId: string; readonly clientId: string }) => boolean): number {
    const gone = [...this.#members].filter(([, { request }]) => isRemoved(request));
    for (const [memberId, member] of gone) {
      this.#members.delete(memberId);
      member.joining?.({ refused: "UNKNOWN_MEMBER_ID" });
      member.syncing?.({ refused: "UNKNOWN_MEMBER_ID" });
    }
    if (gone.length === 0) return 0;
    this.#prepare();
    this.#completeWhenAllJoined();
    return gone.length;
  }

  /** Ends sessions that are over and a join that waited long enough. Tells when to look again. */
  expire(): number | undefined {
    const now = this.#now();
    // One that waits for an answer of ours is alive as far as we know.
    const due = ({ request, heardAt }: ClusterMember): number => heardAt + request.sessionTimeoutMs;
    const silent = new Set([...this.#members].filter(([, member]) => member.joining === undefined && member.syncing === undefined && due(member) <= now).map(([memberId]) => memberId));
    this.remove(({ memberId }) => silent.has(memberId));
    if (this.#state === "PreparingRebalance" && this.#joinDeadline <= now) this.#complete();
    if (this.#members.size === 0) return undefined;
    const deadlines = [...this.#members.values()].map((member) => Math.max(due(member), now + 1));
    return Math.min(...deadlines, this.#state === "PreparingRebalance" ? this.#joinDeadline : Infinity);
  }

  setOffsets(positions: readonly GroupPosition[]): void {
    for (const position of positions) this.#offsets.set(topicPartitionName(position.topic, position.partition), position);
  }
  offset(name: string): number | undefined {
    return this.#offsets.get(name)?.offset;
  }
  /** Whether a transaction that is not settled holds an offset of one of these. */
  isUnstable(names: ReadonlySet<string>): boolean {
    for (const { positions } of this.pending) {
      for (const { topic, partition } of positions.get(this.name) ?? []) if (names.has(topicPartitionName(topic, partition))) return true;
    }
    return false;
  }

  describe(): GroupDescription {
    const members = [...this.#members].map(([memberId, { request }]) => ({ memberId, clientId: request.clientId, host: "/memory", userData: request.userData }));
    return { state: this.#state, members };
  }
}

/** All groups of the cluster. */
export class ClusterGroups {
  readonly #groups = new Map<string, ClusterGroup>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }
  get(name: string): ClusterGroup {
    const found = this.#groups.get(name);
    if (found !== undefined) return found;
    const made = new ClusterGroup(name, this.#now);
    this.#groups.set(name, made);
    return made;
  }
  find(name: string): ClusterGroup | undefined {
    return this.#groups.get(name);
  }
  all(): Iterable<ClusterGroup> {
    return this.#groups.values();
  }
  remove(name: string): void {
    this.#groups.delete(name);
  }
}

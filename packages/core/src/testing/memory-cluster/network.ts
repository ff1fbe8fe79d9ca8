import { TopologyError } from "../../model/index.ts";
import { type Clock, turnOf } from "../../port/index.ts";

/** The requests at which a fault can be put. `end` is the one that commits a transaction, `offsets` the one that adds a group's positions to it. */
export type ClusterOperation =
  | "openProducer" | "produce" | "offsets" | "end"
  | "append" | "fetch" | "metadata" | "committedOffsets" | "setCommittedOffsets" | "deleteRecords" | "admin"
  | "join" | "sync" | "heartbeat" | "leave";

/** `before`: the request is lost, nothing happened. `after`: the reply is lost, it happened. */
export type FaultMoment = "before" | "after";

/** One client's line to the cluster. */
export interface ClientLine {
  readonly clientId: string;
  dead: boolean;
  /** Resolved by `resume`; while there is one, the client's process stands still. */
  paused: PromiseWithResolvers<void> | undefined;
}

interface Fault {
  readonly line: ClientLine | "any";
  readonly operation: ClusterOperation;
  readonly moment: FaultMoment;
  skip: number;
}

/** A small generator of numbers in [0, 1), the same for the same seed (mulberry32's constants). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

const NEVER: Promise<never> = new Promise(() => undefined);

/** Carries requests: takes a few turns of the event loop each way, and does what the faults say. */
export class ClusterNetwork {
  readonly #random: () => number;
  readonly #clock: Clock;
  #faults: Fault[] = [];

  constructor(random: () => number, clock: Clock) {
    this.#random = random;
    this.#clock = clock;
  }

  /** A few turns of the event loop, how many is the seed's choice: so that requests of several clients overtake each other. */
  async travel(): Promise<void> {
    for (let turns = Math.floor(this.#random() * 3); turns >= 0; turns--) await turnOf(this.#clock);
  }

  failNext(line: ClientLine | "any", operation: ClusterOperation, moment: FaultMoment, skip: number): void {
    this.#faults.push({ line, operation, moment, skip });
  }
  /** Faults that were set and did not strike yet. */
  get faultsLeft(): number {
    return this.#faults.length;
  }
  clearFaults(): void {
    this.#faults = [];
  }

  #strikes(line: ClientLine, operation: ClusterOperation, moment: FaultMoment): boolean {
    const at = this.#faults.findIndex((fault) => (fault.line === "any" || fault.line === line) && fault.operation === operation && fault.moment === moment);
    const fault = this.#faults[at];
    if (fault === undefined || fault.skip-- > 0) return false;
    this.#faults.splice(at, 1);
    return true;
  }

  /** Makes one request. Of a dead client neither the request nor the reply arrives, ever. */
  async request<T>(line: ClientLine, operation: ClusterOperation, apply: () => T | Promise<T>): Promise<T> {
    await this.#pass(line);
    if (this.#strikes(line, operation, "before")) throw lost(line, operation, "the request was lost");
    const reply = await apply();
    const isLost = this.#strikes(line, operation, "after");
    await this.#pass(line);
    if (isLost) throw lost(line, operation, "the reply was lost");
    return reply;
  }

  async #pass(line: ClientLine): Promise<void> {
    await this.travel();
    while (line.paused !== undefined && !line.dead) await line.paused.promise;
    if (line.dead) await NEVER;
  }
}

function lost(line: ClientLine, operation: ClusterOperation, what: string): TopologyError {
  return new TopologyError("KAFKA_TIMEOUT", `${operation} of ${line.clientId} was not answered: ${what}`, { place: operation, retriable: true, cure: "make the call again, or wait for the brokers" });
}

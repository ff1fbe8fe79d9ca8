/**
 * A database as sinks see it, with what the port asks of one and no more:
 *
 *   a token that it knows drops the batch, whatever rows come under it; a batch whose delivery is uncertain is compared row by row where rows are told by their position,
 *   and only what is missing is added; everything else that arrives is added, so that a row which comes twice stands there twice.
 *
 * Requests and replies are lost, an insert breaks off in its midst, a request arrives twice, or long after its sender has died; a token may be forgotten although its
 * rows stand. Whoever begins to deliver for a task, or is not certain, claims it: what was sent under an older claim arrives in vain from then on, and what comes from another
 * process than before is compared until something of it is new.
 */
import { TopologyError } from "../../model/index.ts";
import type { DeliveryHint, InputRange, SealedBatch, Sink, SinkConnector, SinkSpec } from "../../port/index.ts";
import { type CollectedRow, collectedRows } from "../collect.ts";
import type { ProcessLine, Timeline } from "./timeline.ts";

/** A row as a target holds it. */
export interface ArrivedRow extends CollectedRow {
  readonly task: string;
  readonly sequence: number;
}

/** What becomes of a request. */
type Mishap = "none" | "request lost" | "reply lost" | "torn" | "repeated" | "slow";

const MISHAPS: readonly Mishap[] = ["request lost", "reply lost", "torn", "repeated", "slow"];

const SLOW_MS = 3_000;

function identityOf({ topic, partition, offset, index }: CollectedRow): string {
  return `${topic}/${partition}/${offset}/${index}`;
}

/** Whose turn it is to deliver for a task. */
interface Claim {
  readonly owner: string;
  /** False while what another process delivered may be sent again as new. */
  isAhead: boolean;
}

/** One target's rows. */
class Target {
  readonly spec: SinkSpec<never>;
  readonly rows: ArrivedRow[] = [];
  readonly #tokens = new Set<string>();
  readonly #identities = new Set<string>();
  /** The newest claim of each task. */
  readonly claims: Map<string, Claim> = new Map();
  readonly #sequences = new Map<string, number>();

  constructor(spec: SinkSpec<never>) {
    this.spec = spec;
  }

  /** Tells what is wrong with the order in which batches are sent. */
  gapBefore(batch: SealedBatch, hint: DeliveryHint): string | undefined {
    const last = this.#sequences.get(batch.task) ?? 0;
    this.#sequences.set(batch.task, Math.max(last, batch.sequence));
    if (batch.sequence <= last + 1 || hint.uncertain) return undefined;
    return `${this.spec.target}: batch ${batch.sequence} of task ${batch.task} was sent where ${last + 1} was due`;
  }

  /** Takes a batch, or the first `limit` of its rows as an insert that breaks off does. Tells whether it was new. */
  take(batch: SealedBatch, isUncertain: boolean, limit: number): boolean {
    if (this.#tokens.has(batch.token)) return false;
    if (limit === Number.POSITIVE_INFINITY) this.#tokens.add(batch.token);
    const isCompared = isUncertain && this.spec.rebuildable === "by-position";
    const before = this.rows.length;
    for (const row of collectedRows(batch).slice(0, limit)) {
      const identity = identityOf(row);
      if (isCompared && this.#identities.has(identity)) continue;
      this.#identities.add(identity);
      this.rows.push({ ...row, task: batch.task, sequence: batch.sequence });
    }
    return this.rows.length > before;
  }

  /** The token is forgotten, as by a server that was killed before it had written it down. */
  forget(token: string): void {
    this.#tokens.delete(token);
  }

  mayHold(inputs: readonly InputRange[]): boolean {
    return this.rows.some(({ topic, partition, offset }) => inputs.some((range) => range.topic === topic && range.partition === partition && range.firstOffset <= offset && offset <= range.lastOffset));
  }
}

/** All targets of a topology that are not topics. They outlive processes. */
export class SimulatedSinks {
  readonly #timeline: Timeline;
  readonly #targets = new Map<string, Target>();
  /** What no engine may do, however it ends. */
  readonly violations: string[] = [];
  /** How likely a request meets with a mishap. */
  #mishapChance: number;
  readonly #sinkMs: number;
  /** How many did. */
  mishaps = 0;

  constructor(timeline: Timeline, { mishapChance, sinkMs }: { readonly mishapChance: number; readonly sinkMs: number }) {
    this.#timeline = timeline;
    this.#mishapChance = mishapChance;
    this.#sinkMs = sinkMs;
  }

  /** No more mishaps. */
  calm(): void {
    this.#mishapChance = 0;
  }

  rowsOf(target: string): readonly ArrivedRow[] {
    return this.#targets.get(target)?.rows ?? [];
  }

  /** A connector as one process has it. `owner` names who delivers: those of one name never work at the same time. */
  connector(name: string, line: ProcessLine, owner: string): SinkConnector {
    const timeline = this.#timeline;
    return {
      name,
      open: async (_context, specs) => {
        await timeline.wait(timeline.latency(), line, `${name} opens`);
        return specs.map((spec) => this.#sink(this.#target(spec), line, owner));
      },
      reset: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }

  #target(spec: SinkSpec<never>): Target {
    const found = this.#targets.get(spec.target);
    if (found !== undefined) return found;
    const made = new Target(spec);
    this.#targets.set(spec.target, made);
    return made;
  }

  #mishap(): Mishap {
    if (this.#timeline.random() >= this.#mishapChance) return "none";
    this.mishaps++;
    return MISHAPS[this.#timeline.below(MISHAPS.length)] as Mishap;
  }

  #sink(target: Target, line: ProcessLine, owner: string): Sink {
    const timeline = this.#timeline;
    const { target: name } = target.spec;
    const held = new Map<string, Claim>();
    const claimFor = (batch: SealedBatch, { uncertain }: DeliveryHint): Claim => {
      const known = uncertain ? undefined : held.get(batch.task);
      if (known !== undefined) return known;
      const before = target.claims.get(batch.task);
      const claim: Claim = { owner, isAhead: before === undefined || before.owner === owner };
      target.claims.set(batch.task, claim);
      return claim;
    };
    return {
      deliver: async (batch, hint) => {
        const gap = target.gapBefore(batch, hint);
        if (gap !== undefined) this.violations.push(gap);
        const sent = { ...batch, bytes: Buffer.from(batch.bytes) };
        const claim = claimFor(batch, hint);
        const mishap = this.#mishap();
        if (mishap !== "none") timeline.note(`${line.name} ${name}: ${mishap}`);
        // The request is on its way whatever becomes of its sender: it has no line.
        const what = `${name} gets batch ${batch.sequence} of ${batch.task}`;
        const arrivesInMs = mishap === "slow" ? SLOW_MS * timeline.random() : this.#sinkMs * timeline.random() + timeline.latency();
        // What is repeated is the insert that the request led to, so it is there before.
        if (mishap === "repeated") timeline.after(arrivesInMs + SLOW_MS * timeline.random(), undefined, `${what} once more`, () => this.#arriveLate(target, claim, sent));
        held.delete(batch.task);
        await this.#call(arrivesInMs, line, what, () => this.#arrive(target, claim, sent, hint, mishap));
        if (mishap === "request lost" || mishap === "torn" || mishap === "reply lost") throw new TopologyError("CLICKHOUSE_UNREACHABLE", `no answer: ${mishap}`, { place: name, retriable: true });
        held.set(batch.task, claim);
      },
      settle: () => timeline.wait(timeline.latency(), line, `${name} settles`),
      mayHold: async (inputs) => {
        await timeline.wait(timeline.latency(), line, `${name} is asked`);
        return target.mayHold(inputs);
      },
    };
  }

  /** The reply finds its way only to a process that lives. */
  #call(ms: number, line: ProcessLine, what: string, arrive: () => void): Promise<void> {
    const timeline = this.#timeline;
    return new Promise((resolve, reject) =>
      timeline.after(ms, undefined, what, () => {
        let reply: () => void = resolve;
        try {
          arrive();
        } catch (cause) {
          reply = () => reject(cause instanceof Error ? cause : new Error(String(cause)));
        }
        timeline.after(timeline.latency(), line, `reply to ${what}`, reply);
      }),
    );
  }

  #arrive(target: Target, claim: Claim, batch: SealedBatch, { uncertain }: DeliveryHint, mishap: Mishap): void {
    // Only a target that tells rows apart can be left with a part of a batch and be mended.
    if (mishap === "request lost" || (mishap === "torn" && target.spec.rebuildable === "no")) return;
    if (target.claims.get(batch.task) !== claim) {
      throw new TopologyError("SINK_FENCED", `another process delivers for task ${batch.task} now`, { place: target.spec.target, retriable: true });
    }
    const isNew = target.take(batch, uncertain || !claim.isAhead, mishap === "torn" ? this.#timeline.below(batch.rowCount) : Number.POSITIVE_INFINITY);
    claim.isAhead ||= isNew;
    if (mishap === "reply lost" && target.spec.rebuildable !== "no" && this.#timeline.random() < 0.3) target.forget(batch.token);
  }

  #arriveLate(target: Target, claim: Claim, batch: SealedBatch): void {
    if (target.claims.get(batch.task) === claim) target.take(batch, false, Number.POSITIVE_INFINITY);
  }
}

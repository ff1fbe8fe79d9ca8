/** Inputs whose times come close to where semantics change: edges of windows, distances of joins, jumps, records far out of order. */
import type { CaseInput } from "../case.ts";
import type { Random } from "./random.ts";

/** The lengths of time that matter to a topology. */
export interface Lengths {
  readonly sizeMs: number;
  readonly advanceMs: number;
  readonly graceMs: number;
  /** Other distances from the stream time worth trying. */
  readonly distances: readonly number[];
}

/** What a topic's records are like. */
export interface Source {
  readonly topic: string;
  readonly weight?: number;
  readonly keys: readonly string[];
  /** Percent of records without a key, and without a value. */
  readonly nullKeys: number;
  readonly nullValues: number;
  /** `int`: 1 to 9. `few`: 1 or 2, so that values repeat. `id:X`: X1, X2, ... `ref`: `{ ref, v }` with one of five references, null among them. */
  readonly values: "int" | "few" | "ref" | `id:${string}`;
  /** Percent of the deletions that have the key and the time of the topic's record before: what has just come is taken back. */
  readonly takenBack?: number;
}

const REFERENCES = ["x", "y", "z", "w", null] as const;
const BASES = [0, 0, 1_000, 10_007, 1_700_000_000_000] as const;

/** Event times. */
class Times {
  readonly #random: Random;
  readonly #lengths: Lengths;
  readonly #planned: number[] = [];
  #greatest: number;
  #last: number;

  constructor(random: Random, lengths: Lengths) {
    this.#random = random;
    this.#lengths = lengths;
    this.#greatest = this.#last = random.pick(BASES);
  }

  /** A time at which a window ends, with records for it planned behind. */
  #closing(): number {
    const { sizeMs, advanceMs, graceMs } = this.#lengths;
    const end = Math.floor(this.#greatest / advanceMs) * advanceMs + sizeMs;
    this.#planned.push(end - 1 - this.#random.pick([0, 0, sizeMs - 1]));
    if (this.#random.chance(50)) this.#planned.push(end);
    if (this.#random.chance(50)) this.#planned.push(end - sizeMs - 1);
    return end + graceMs + this.#random.between(-1, 1);
  }

  #choose(): number {
    const random = this.#random;
    const { sizeMs, advanceMs, graceMs, distances } = this.#lengths;
    const now = this.#greatest;
    const planned = this.#planned.shift();
    if (planned !== undefined) return planned;
    const kind = random.below(100);
    if (kind < 10) return this.#last;
    if (kind < 17) return now;
    if (kind < 42) return now + random.between(1, Math.max(1, Math.floor(sizeMs / 2)));
    if (kind < 52) return Math.floor(now / advanceMs) * advanceMs + advanceMs + random.between(-1, 1);
    if (kind < 57) return now + sizeMs + graceMs + random.below(2 * sizeMs + 1);
    if (kind < 75) return now - random.below(sizeMs + graceMs + 3);
    if (kind < 88) return now - random.pick(distances) + random.between(-1, 1);
    return this.#closing();
  }

  next(): number {
    const time = Math.max(0, this.#choose());
    this.#greatest = Math.max(this.#greatest, time);
    this.#last = time;
    return time;
  }
}

function valueOf(random: Random, { values, topic }: Source, ids: Map<string, number>): unknown {
  if (values === "int") return random.between(1, 9);
  if (values === "few") return random.between(1, 2);
  if (values === "ref") return { ref: random.pick(REFERENCES), v: random.below(4) };
  const id = (ids.get(topic) ?? 0) + 1;
  ids.set(topic, id);
  return `${values.slice(3)}${id}`;
}

/** Inputs of several topics over one time; `wallClockMs` makes the clock advance between some of them, by up to so much. */
export function makeInputs(random: Random, lengths: Lengths, count: number, sources: readonly Source[], wallClockMs = 0): CaseInput[] {
  const times = new Times(random, { ...lengths, distances: lengths.distances.length === 0 ? [lengths.sizeMs, lengths.graceMs, lengths.sizeMs + lengths.graceMs] : lengths.distances });
  const ids = new Map<string, number>();
  const drawn = sources.flatMap((source) => Array.from({ length: source.weight ?? 1 }, () => source));
  const inputs: CaseInput[] = [];
  const before = new Map<string, { readonly key: string | null; readonly ts: number }>();
  for (let index = 0; index < count; index++) {
    if (wallClockMs > 0 && random.chance(25)) inputs.push({ advanceWallClockMs: random.below(wallClockMs + 1) });
    const source = random.pick(drawn);
    const key = random.chance(source.nullKeys) ? null : random.pick(source.keys);
    const isDeletion = random.chance(source.nullValues);
    const value = isDeletion ? null : valueOf(random, source, ids);
    const takenBack = isDeletion && source.takenBack !== undefined && random.chance(source.takenBack) ? before.get(source.topic) : undefined;
    const place = takenBack ?? { key, ts: times.next() };
    before.set(source.topic, place);
    inputs.push({ topic: source.topic, key: place.key, value, ts: place.ts });
  }
  return inputs;
}

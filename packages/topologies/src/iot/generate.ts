/**
 * A simulated fleet's records, from a seed. A *step* n makes one good reading, then maybe a repeat of an earlier one and a malformed
 * record, and now and then the new state of an entity. Nothing is drawn from a running state, so a stream goes on from any step.
 */
import { createFleet, type Fleet, type Series } from "./fleet.ts";
import { malformedValue, type ReadingMessage } from "./malformed.ts";
import { hash32, unit } from "./random.ts";

/** What to simulate. */
export interface GeneratorOptions {
  readonly seed: number;
  readonly devices: number;
  /** Shares of all records, each from 0 to below 1. */
  readonly duplicates: number;
  readonly late: number;
  readonly malformed: number;
}

/** A generated record; a null value is a tombstone. */
export interface GeneratedRecord {
  readonly topic: string;
  readonly key: string;
  /** The load time, in epoch milliseconds. */
  readonly timestamp: number;
  readonly value: string | null;
}

/** Where a generator stands: all it needs to go on without using an identity twice. */
export interface GeneratorPosition {
  readonly seed: number;
  readonly devices: number;
  /** The next step. */
  readonly step: number;
  /** The sequence number of each series' first reading; raised when the fleet changes, since names of devices come again. */
  readonly seqBase: number;
  /** The time of the last record; the next ones are not earlier, even where the clock was set back. */
  readonly lastMs: number;
  /** The time of the last state of an entity; the next one is later, since the time is part of its identity. */
  readonly lastEntityMs: number;
}

export const READINGS_TOPIC = "iot.readings";
export const ENTITIES_TOPIC = "iot.entities";
export const DEFAULT_GENERATOR: GeneratorOptions = { seed: 42, devices: 20, duplicates: 0.05, late: 0.02, malformed: 0.01 };

const FOUR_DAYS_MS = 4 * 86_400_000;
const RECENT_MAX = 64;
const STEPS_AN_ENTITY_CHANGE = 100;

/** A generator of a fleet's records. Deterministic: the same options, position and times give the same records. */
export class FleetGenerator {
  readonly #options: GeneratorOptions;
  readonly #fleet: Fleet;
  readonly #duplicatesAStep: number;
  readonly #malformedAStep: number;
  readonly #recent: GeneratedRecord[] = [];
  #position: GeneratorPosition;

  constructor(options: GeneratorOptions, position?: GeneratorPosition) {
    this.#options = options;
    this.#fleet = createFleet(options.seed, options.devices);
    const good = 1 - options.duplicates - options.malformed;
    this.#duplicatesAStep = options.duplicates / good;
    this.#malformedAStep = options.malformed / good;
    this.#position = continued(options, position);
  }

  /** Where the next step begins; keep it in the same transaction as the records made so far. */
  get position(): GeneratorPosition {
    return this.#position;
  }

  /** The records of the next step, loaded at `nowMs`. The very first step also describes the whole fleet. */
  next(nowMs: number): GeneratedRecord[] {
    const { step, seqBase } = this.#position;
    const fleet = this.#fleet;
    const out: GeneratedRecord[] = [];
    const at = Math.max(nowMs, this.#position.lastMs);
    let entityMs = Math.max(at, this.#position.lastEntityMs + 1);
    if (step === 0) for (let index = 0; index < fleet.entityCount; index++) out.push(this.#entity(index, 0, at, entityMs));
    else if (step % STEPS_AN_ENTITY_CHANGE === 0) {
      const change = step / STEPS_AN_ENTITY_CHANGE;
      out.push(this.#entity(hash32(fleet.seed, 21, change) % fleet.entityCount, change, at, entityMs));
    } else entityMs = this.#position.lastEntityMs;
    const series = fleet.series(step % fleet.seriesCount);
    const n = Math.floor(step / fleet.seriesCount);
    const reading = this.#reading(series, n, seqBase + n, step, at);
    out.push(reading);
    for (let extra = 0; extra < times(this.#duplicatesAStep, fleet.seed, 22, step); extra++) {
      const original = this.#recent[hash32(fleet.seed, 23, step, extra) % Math.max(1, this.#recent.length)] ?? reading;
      out.push({ ...original, timestamp: at });
    }
    for (let extra = 0; extra < times(this.#malformedAStep, fleet.seed, 24, step); extra++) {
      const value = malformedValue(message(fleet, series, n, seqBase + n, at), fleet.seed, step + extra);
      out.push({ topic: READINGS_TOPIC, key: series.deviceId, timestamp: at, value });
    }
    this.#recent.push(reading);
    if (this.#recent.length > RECENT_MAX) this.#recent.shift();
    this.#position = { ...this.#position, step: step + 1, lastMs: at, lastEntityMs: entityMs };
    return out;
  }

  #entity(index: number, changes: number, atMs: number, eventMs: number): GeneratedRecord {
    const { entity, id, attributes, relationships } = this.#fleet.entity(index, changes);
    const value = JSON.stringify({ entity, id, ts: new Date(eventMs).toISOString(), attributes, relationships });
    return { topic: ENTITIES_TOPIC, key: `${entity}:${id}`, timestamp: atMs, value };
  }

  #reading(series: Series, n: number, seq: number, step: number, atMs: number): GeneratedRecord {
    const { seed } = this.#fleet;
    const late = unit(seed, 25, step) < this.#options.late / (1 - this.#options.duplicates - this.#options.malformed);
    const delayMs = late ? Math.floor(unit(seed, 26, step) * FOUR_DAYS_MS) : hash32(seed, 27, step) % 1_000;
    const value = JSON.stringify(message(this.#fleet, series, n, seq, atMs - delayMs));
    return { topic: READINGS_TOPIC, key: series.deviceId, timestamp: atMs, value };
  }
}

/** Records of simulated time, `count` of them: what `iot-topology generate` writes. */
export function* generateRecords(options: GeneratorOptions, range: { readonly count: number; readonly startMs: number; readonly ratePerSecond: number }): Generator<GeneratedRecord> {
  const generator = new FleetGenerator(options);
  for (let made = 0; made < range.count; ) {
    const records = generator.next(range.startMs + Math.floor((made * 1_000) / range.ratePerSecond));
    for (const record of records) {
      if (made++ >= range.count) return;
      yield record;
    }
  }
}

/** A line of the replay format: the envelope that `kcat -J` prints. */
export function replayLine(record: GeneratedRecord): string {
  return JSON.stringify({ topic: record.topic, key: record.key, ts: record.timestamp, payload: record.value });
}

/** Devices of another fleet bear the same names, so its numbers begin above all that were used. */
function continued(options: GeneratorOptions, position: GeneratorPosition | undefined): GeneratorPosition {
  const { seed, devices } = options;
  if (position === undefined) return { seed, devices, step: 0, seqBase: 0, lastMs: 0, lastEntityMs: 0 };
  if (position.seed === seed && position.devices === devices) return position;
  const used = Math.ceil(position.step / createFleet(position.seed, position.devices).seriesCount);
  return { seed, devices, step: 0, seqBase: position.seqBase + used, lastMs: position.lastMs, lastEntityMs: position.lastEntityMs };
}

/** Devices differ in how they write the same things: numbers as texts, times with an offset or as milliseconds. */
function message(fleet: Fleet, series: Series, n: number, seq: number, eventMs: number): ReadingMessage {
  const value = fleet.value(series, n);
  const dialect = hash32(fleet.seed, 28, Math.floor(series.index / 4)) % 4;
  return {
    deviceId: series.deviceId,
    metric: series.metric.name,
    seq,
    ts: dialect === 1 ? eventMs : dialect === 2 ? withOffset(eventMs) : new Date(eventMs).toISOString(),
    value: dialect === 3 ? String(value) : value,
    unit: series.metric.unit,
  };
}

function withOffset(eventMs: number): string {
  return `${new Date(eventMs + 2 * 3_600_000).toISOString().slice(0, -1)}+02:00`;
}

/** A whole number whose mean is `mean`. */
function times(mean: number, seed: number, ...parts: readonly number[]): number {
  const whole = Math.floor(mean);
  return whole + (unit(seed, ...parts) < mean - whole ? 1 : 0);
}

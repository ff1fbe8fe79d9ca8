/**
 * A store of versions: each key's newest one, and those before it as far back as the history goes.
 *
 *   latest   "s\0" name "\0" key            -> the newest version; a deletion while versions before it are kept
 *   former   length ":" key time             -> a version that another has replaced
 *   ends     time length ":" key time        in order: when each former version was replaced, and when a deletion that is the newest version began
 *
 * A version stands from its time (included) to that of the next (excluded). Puts come in any order; one with the time of another replaces it.
 */
import type { ByteWriter } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";
import type { ValueCodec } from "./codec.ts";
import type { TimestampedValue } from "./entry-codec.ts";
import { KeyIndex } from "./key-index.ts";
import { keyBehindTime, OrderedTable, timedKey, timeOfKey } from "./ordered-table.ts";
import { StateTable } from "./table.ts";
import { startText } from "./window-table.ts";

/** A key's value from a time on; null is a deletion. */
export interface Version<V> {
  readonly value: V | null;
  readonly timestamp: number;
}

const TIME_LENGTH = 16;
/** Before every time that a date can have. */
const FIRST_TIME = -8_640_000_000_000_000;

/** How a version stands in a store: timestamp f64 | 0, or 1 and the serde's bytes to the end. */
export function versionCodec<V>(serde: Serde<V>): ValueCodec<Version<V>> {
  return {
    encode(writer, { value, timestamp }) {
      writer.f64(timestamp);
      writer.u8(value === null ? 0 : 1);
      if (value !== null) serde.encode(writer, value);
    },
    decode(reader) {
      const timestamp = reader.f64();
      return { value: reader.u8() === 0 ? null : serde.decode(reader.bytes(reader.remaining)), timestamp };
    },
  };
}

/** The length in front keeps the versions of a key apart from those of a key that begins with it. */
function versionsOf(key: string): string {
  return `${key.length}:${key}`;
}

export class VersionedTable<V> {
  readonly name: string;
  readonly #latest: StateTable<Version<V>>;
  readonly #former: OrderedTable<Version<V>>;
  readonly #ends: KeyIndex;
  /** No version ends before this, as far as is known. */
  #quietUntil = Number.NEGATIVE_INFINITY;

  constructor(backend: StateBackend, name: string, serde: Serde<V>, options: { readonly entriesMax: number; readonly scratch: ByteWriter }) {
    const codec = versionCodec(serde);
    this.name = name;
    this.#latest = new StateTable(backend, name, codec, options);
    this.#former = new OrderedTable(backend, `${name} (former versions)`, codec, options);
    this.#ends = new KeyIndex(backend, `${name} (ends of versions)`, options);
  }

  /** The newest row of a key; undefined where it is deleted. */
  latest(key: string): TimestampedValue<V> | undefined {
    const found = this.#latest.get(key);
    return found === undefined || found.value === null ? undefined : (found as TimestampedValue<V>);
  }

  /** The row of a key as it was at a moment. */
  asOf(key: string, moment: number): TimestampedValue<V> | undefined {
    const found = this.#versionAt(key, moment);
    return found === undefined || found.value === null ? undefined : (found as TimestampedValue<V>);
  }

  #versionAt(key: string, moment: number): Version<V> | undefined {
    const latest = this.#latest.get(key);
    if (latest === undefined || latest.timestamp <= moment) return latest;
    const prefix = versionsOf(key);
    return this.#former.first({ from: prefix + startText(FIRST_TIME), below: prefix + startText(moment + 1), reverse: true })?.[1];
  }

  /** When the version of a moment was replaced by the next one; undefined where it stands. */
  endOf(key: string, moment: number): number | undefined {
    const latest = this.#latest.get(key);
    if (latest === undefined || latest.timestamp <= moment) return undefined;
    const prefix = versionsOf(key);
    return this.#former.first({ from: prefix + startText(moment + 1), below: prefix + startText(latest.timestamp) })?.[1].timestamp ?? latest.timestamp;
  }

  /** Sets a key's value from a time on, up to the next version. True where that is the newest version. */
  put(key: string, value: V | null, timestamp: number): boolean {
    const latest = this.#latest.get(key);
    if (latest !== undefined && latest.timestamp > timestamp) {
      this.#putFormer(key, { value, timestamp }, latest);
      return false;
    }
    if (latest !== undefined && latest.value === null) this.#ends.remove(endMark(latest.timestamp, key, latest.timestamp));
    if (latest !== undefined && latest.timestamp < timestamp) {
      this.#former.put(versionsOf(key) + startText(latest.timestamp), latest);
      this.#addEnd(timestamp, key, latest.timestamp);
    }
    this.#latest.put(key, { value, timestamp });
    if (value === null) this.#addEnd(timestamp, key, timestamp);
    return true;
  }

  /** Between two versions, or before the first: the one before it ends sooner now. */
  #putFormer(key: string, version: Version<V>, latest: Version<V>): void {
    const prefix = versionsOf(key);
    const place = prefix + startText(version.timestamp);
    if (this.#former.get(place) === undefined) {
      const next = this.#former.first({ from: place, below: prefix + startText(latest.timestamp) })?.[1].timestamp ?? latest.timestamp;
      const before = this.#former.first({ from: prefix + startText(FIRST_TIME), below: place, reverse: true })?.[1];
      if (before !== undefined) {
        this.#ends.remove(endMark(next, key, before.timestamp));
        this.#addEnd(version.timestamp, key, before.timestamp);
      }
      this.#addEnd(next, key, version.timestamp);
    }
    this.#former.put(place, version);
  }

  #addEnd(end: number, key: string, from: number): void {
    this.#ends.insert(endMark(end, key, from));
    this.#quietUntil = Math.min(this.#quietUntil, end);
  }

  /** Forgets the versions that had ended by a moment: nobody may ask for what was before it. */
  expire(moment: number): void {
    if (moment < this.#quietUntil) return;
    this.#quietUntil = Number.POSITIVE_INFINITY;
    for (const mark of this.#ends.walk("", undefined)) {
      const end = timeOfKey(mark);
      if (end > moment) {
        this.#quietUntil = end;
        return;
      }
      this.#ends.remove(mark);
      const version = keyBehindTime(mark);
      const from = timeOfKey(version.slice(-TIME_LENGTH));
      if (from < end) this.#former.delete(version);
      else this.#latest.delete(version.slice(version.indexOf(":") + 1, -TIME_LENGTH));
    }
  }

  flush(batch: StateBatch): void {
    this.#latest.flush(batch);
    this.#former.flush(batch);
    this.#ends.flush(batch);
  }
  committed(): void {
    this.#latest.committed();
    this.#former.committed();
    this.#ends.committed();
  }
}

/** A deletion that is the newest version has the same time twice. */
function endMark(end: number, key: string, from: number): string {
  return timedKey(end, versionsOf(key) + startText(from));
}

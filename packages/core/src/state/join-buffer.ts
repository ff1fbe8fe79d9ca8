/**
 * The records of one side of a join of streams: by stretches of time, so that what is too old is one range, and in a stretch by key, as pages in the order of arrival.
 *
 *   heads   stretch of time, key             -> ranges of the full pages (least and greatest time, each) | the open page's records
 *   pages   stretch of time, number "\0" key -> a full page's records
 *           stretch of time, "any"           -> nothing; says that the stretch has heads
 *   record  := time i64 | open u8 | length u32, the serde's bytes
 *
 * A look-up asks one head or two, and those full pages whose range may hold what is looked for. Most keys have one head and nothing else. LevelDB takes 2 us to find that a key is
 * not there, so a stretch that begins while the task runs is known to be in memory as a whole, as long as its keys have room there.
 */
import type { ByteReader, ByteWriter } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { StateBackend } from "./backend.ts";
import type { ValueCodec } from "./codec.ts";
import { readSized, writeSized } from "./held-codec.ts";
import { WindowTable } from "./window-table.ts";

const NUL = "\0";
const PAGE_RECORDS_MAX = 64;

/** A record as the buffer keeps it. */
export interface BufferedRecord<V> {
  readonly timestamp: number;
  readonly value: V;
  /** Whether it waits to be sent alone where nothing matches it. */
  isOpen: boolean;
}

interface Page<V> {
  /** Of a head: the least and the greatest time of each full page, in pairs. */
  readonly ranges: number[];
  records: BufferedRecord<V>[];
}

function pageCodec<V>(serde: Serde<V>): ValueCodec<Page<V>> {
  return {
    encode(writer: ByteWriter, { ranges, records }) {
      writer.varint(ranges.length);
      for (const time of ranges) writer.i64Number(time);
      writer.varint(records.length);
      for (const { timestamp, isOpen, value } of records) {
        writer.i64Number(timestamp);
        writer.u8(isOpen ? 1 : 0);
        writeSized(writer, serde, value);
      }
    },
    decode(reader: ByteReader) {
      const ranges = Array.from({ length: reader.varint() }, () => reader.i64Number());
      const records = Array.from({ length: reader.varint() }, () => ({ timestamp: reader.i64Number(), isOpen: reader.u8() === 1, value: readSized(reader, serde) }));
      return { ranges, records };
    },
  };
}

const ANY = "any";
const pageKey = (place: number, key: string): string => `${place}${NUL}${key}`;

export class JoinBuffer<V> {
  /** For the task, which flushes them and forgets what is too old. */
  readonly tables: readonly WindowTable<Page<V>>[];
  readonly #heads: WindowTable<Page<V>>;
  readonly #pages: WindowTable<Page<V>>;
  readonly #stretchMs: number;

  /** A look-up must not reach further than `stretchMs`, and is cheapest where it reaches about as far. */
  constructor(backend: StateBackend, name: string, serde: Serde<V>, options: { readonly stretchMs: number; readonly entriesMax: number; readonly scratch: ByteWriter }) {
    const codec = pageCodec(serde);
    this.#pages = new WindowTable(backend, `${name}/pages`, codec, options);
    this.#heads = new WindowTable(backend, name, codec, options, (start) => this.#pages.get(start, ANY) === undefined);
    this.tables = [this.#heads, this.#pages];
    this.#stretchMs = options.stretchMs;
  }

  #startOf(timestamp: number): number {
    return Math.floor(timestamp / this.#stretchMs) * this.#stretchMs;
  }

  add(key: string, record: BufferedRecord<V>): void {
    const start = this.#startOf(record.timestamp);
    const head = this.#heads.get(start, key) ?? this.#newHead(start);
    if (head.records.length >= PAGE_RECORDS_MAX) {
      const times = head.records.map(({ timestamp }) => timestamp);
      this.#pages.put(start, pageKey(head.ranges.length / 2, key), { ranges: [], records: head.records });
      head.ranges.push(Math.min(...times), Math.max(...times));
      head.records = [];
    }
    head.records.push(record);
    this.#heads.put(start, key, head);
  }

  #newHead(start: number): Page<V> {
    if (this.#pages.get(start, ANY) === undefined) this.#pages.put(start, ANY, { ranges: [], records: [] });
    return { ranges: [], records: [] };
  }

  /** The records of a key from one time to another, both inclusive, in the order of time, those of the same time in the order of arrival. */
  find(key: string, from: number, to: number): BufferedRecord<V>[] {
    const found: BufferedRecord<V>[] = [];
    for (let start = this.#startOf(from); start <= to; start += this.#stretchMs) {
      const head = this.#heads.get(start, key);
      if (head === undefined) continue;
      for (let at = 0; at < head.ranges.length; at += 2) {
        if ((head.ranges[at] as number) > to || (head.ranges[at + 1] as number) < from) continue;
        collect(this.#pages.get(start, pageKey(at / 2, key))?.records ?? [], from, to, found);
      }
      collect(head.records, from, to, found);
    }
    for (let at = 1; at < found.length; at++) {
      if ((found[at] as BufferedRecord<V>).timestamp < (found[at - 1] as BufferedRecord<V>).timestamp) return found.sort((a, b) => a.timestamp - b.timestamp);
    }
    return found;
  }

  /** The records of a key and a time are not open any more. */
  close(key: string, timestamp: number): void {
    const start = this.#startOf(timestamp);
    const head = this.#heads.get(start, key);
    if (head === undefined) return;
    for (let at = 0; at < head.ranges.length; at += 2) {
      if ((head.ranges[at] as number) > timestamp || (head.ranges[at + 1] as number) < timestamp) continue;
      closeIn(this.#pages, start, pageKey(at / 2, key), timestamp);
    }
    closeIn(this.#heads, start, key, timestamp);
  }
}

function closeIn<V>(table: WindowTable<Page<V>>, start: number, place: string, timestamp: number): void {
  const page = table.get(start, place);
  if (page === undefined) return;
  let hasChanged = false;
  for (const record of page.records) {
    if (record.timestamp !== timestamp || !record.isOpen) continue;
    record.isOpen = false;
    hasChanged = true;
  }
  if (hasChanged) table.put(start, place, page);
}

function collect<V>(records: readonly BufferedRecord<V>[], from: number, to: number, found: BufferedRecord<V>[]): void {
  for (const record of records) if (record.timestamp >= from && record.timestamp <= to) found.push(record);
}

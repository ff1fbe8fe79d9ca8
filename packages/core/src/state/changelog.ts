/**
 * The changelog of a task: the LevelDB batch of each commit, as records of a log, so that another machine can make the same store.
 *
 *   body   := change*
 *   change := key sized | 0 (deleted)  or  key sized | 1 | end sized (all from key to before end deleted)  or  key sized | 2 + length varint | value
 *   record := format u8 | packing u8 | commit i64 | piece varint | pieces varint | a piece of the packed body
 *
 * A commit is one body, packed (zstd where it pays) and cut into records that a broker takes. Values carry the CRCs that they have in the store.
 */
import { zstdCompressSync, zstdDecompressSync, constants } from "node:zlib";
import { ByteReader, ByteWriter, TopologyError, writeFrame } from "../model/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";

const FORMAT = 1;
const PACKING_NONE = 0;
const PACKING_ZSTD = 1;
/** Kafka's `max.message.bytes` is 1,048,588 by default, for a batch of records with its headers. */
const PIECE_BYTES = 900_000;
const DELETE = 0;
const DELETE_RANGE = 1;
const PUT = 2;
const PACKED_BYTES_MIN = 2_048;
/** No commit is larger: a piece that claims more is damage, not data. */
const BODY_BYTES_MAX = 1 << 30;
const ZSTD_OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** A batch that also writes down what it was told, for the changelog. */
export class ChangeRecorder implements StateBatch {
  readonly #batch: StateBatch;
  readonly #body: ByteWriter;

  constructor(batch: StateBatch, body: ByteWriter) {
    this.#batch = batch;
    this.#body = body;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#batch.put(key, value);
    this.note(key, value);
  }

  del(key: Uint8Array): void {
    this.#batch.del(key);
    this.noteDeleted(key);
  }

  /** For the changelog alone: what the store holds already. */
  note(key: Uint8Array, value: Uint8Array): void {
    this.#body.sized(key);
    this.#body.varint(value.length + PUT);
    this.#body.bytes(value);
  }

  noteDeleted(key: Uint8Array): void {
    this.#body.sized(key);
    this.#body.varint(DELETE);
  }

  /** A range that the store has dropped already. Comes before the puts of its commit. */
  noteRangeDeleted(from: Uint8Array, end: Uint8Array): void {
    this.#body.sized(from);
    this.#body.varint(DELETE_RANGE);
    this.#body.sized(end);
  }
}

/** The records of one commit, in frames. */
export interface PackedChanges {
  readonly frames: Uint8Array;
  readonly recordCount: number;
}

/** Packs a commit's body into frames. */
export function packChanges(body: Buffer, commit: number, timestamp: number): PackedChanges {
  const isPacked = body.length >= PACKED_BYTES_MIN;
  const packed = isPacked ? zstdCompressSync(body, ZSTD_OPTIONS) : body;
  const pieces = Math.max(1, Math.ceil(packed.length / PIECE_BYTES));
  const frames = new ByteWriter(packed.length + 64 * pieces);
  const record = new ByteWriter(Math.min(packed.length, PIECE_BYTES) + 64);
  for (let piece = 0; piece < pieces; piece++) {
    record.reset();
    record.u8(FORMAT);
    record.u8(isPacked ? PACKING_ZSTD : PACKING_NONE);
    record.i64Number(commit);
    record.varint(piece);
    record.varint(pieces);
    record.bytes(packed.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES));
    writeFrame(frames, { key: null, value: record.buffer.subarray(0, record.position), timestamp });
  }
  return { frames: frames.take(), recordCount: pieces };
}

function unreadable(place: string, message: string): TopologyError {
  return new TopologyError("CHANGELOG_MISMATCH", message, {
    place,
    cure: "the topic does not hold what this topology wrote: was it created by hand, compacted, or is it another topology's? Reset the topology, or restore a savepoint",
  });
}

/** Puts the commits of a changelog together from their pieces, and checks that none is missing. */
export class ChangelogReader {
  readonly #place: string;
  #commit: number | undefined;
  #pieces: Buffer[] = [];
  #next = 0;

  /** `commit` is the last one that the store holds; undefined where the store is empty and the log may begin anywhere. */
  constructor(place: string, commit: number | undefined) {
    this.#place = place;
    this.#commit = commit;
  }

  /** The last commit that was read as a whole. */
  get commit(): number | undefined {
    return this.#commit;
  }

  /** Takes the next record: a commit's body once its last piece is there. Throws CHANGELOG_MISMATCH. */
  read(value: Buffer | null, offset: number): Buffer | undefined {
    const place = `${this.#place}, offset ${offset}`;
    if (value === null || value.length < 12 || value[0] !== FORMAT) throw unreadable(place, "a record is not a changelog's");
    const reader = new ByteReader(value, 1);
    const packing = reader.u8();
    const commit = reader.i64Number();
    const piece = reader.varint();
    const pieces = reader.varint();
    if (piece === 0) this.#pieces = [];
    // The first record after records were dropped may be the middle of a commit: the commits that were dropped are not needed, and neither is it.
    if (this.#commit === undefined && piece !== this.#pieces.length) return undefined;
    if (piece !== this.#pieces.length || (piece > 0 && commit !== this.#next)) throw unreadable(place, `piece ${piece} of commit ${commit} does not follow what was read before`);
    if (piece === 0 && this.#commit !== undefined && commit !== this.#commit + 1) throw unreadable(place, `commit ${commit} follows commit ${this.#commit}: the log has lost what was between them`);
    this.#next = commit;
    this.#pieces.push(Buffer.from(reader.bytes(reader.remaining)));
    if (piece + 1 < pieces) return undefined;
    const packed = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#commit = commit;
    return packing === PACKING_ZSTD ? zstdDecompressSync(packed, { maxOutputLength: BODY_BYTES_MAX }) : packed;
  }
}

/** Writes a body's changes into a batch; tells how many there were. Ranges are cleared at once: doing it again does no harm. */
export async function applyChanges(body: Buffer, backend: StateBackend, batch: StateBatch): Promise<number> {
  const reader = new ByteReader(body);
  let count = 0;
  for (; reader.remaining > 0; count++) {
    const key = reader.sized();
    const kind = reader.varint();
    if (kind === DELETE) batch.del(key);
    else if (kind === DELETE_RANGE) await backend.clearRange({ gte: Buffer.from(key), lt: Buffer.from(reader.sized()) });
    else batch.put(key, reader.bytes(kind - PUT));
  }
  return count;
}

/** Where a store stands in its changelog. It stays in the store and never goes into the changelog. */
export interface ChangelogPosition {
  /** The next record to apply. */
  readonly offset: number;
  /** The last commit that the store holds; 0 for none. */
  readonly commit: number;
}

/** The store's key of its {@link ChangelogPosition}. */
export const CHANGELOG_POSITION_KEY: Buffer = Buffer.from("m\0changelog");

/** Puts the position, in the same batch as what it covers. */
export function putPosition(batch: StateBatch, position: ChangelogPosition): void {
  batch.put(CHANGELOG_POSITION_KEY, Buffer.from(JSON.stringify(position)));
}

/** The position of a store; undefined where it never stood in a changelog. */
export function readPosition(backend: StateBackend): ChangelogPosition | undefined {
  const stored = backend.getSync(CHANGELOG_POSITION_KEY);
  return stored === undefined ? undefined : (JSON.parse(stored.toString()) as ChangelogPosition);
}

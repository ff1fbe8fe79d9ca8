/**
 * What a commit keeps beside the stores:
 *
 *   "m\0checkpoint"       -> {commit, offsets, sequences, streamTimes, counters, rebuildUntil}     replaced by each commit
 *   "c\0" + commit u64 BE -> the commit's number again                                            the last CHAIN_LENGTH of them
 *   "o\0" + sink + "\0" + sequence u64 BE -> a sealed batch                                        until it is acknowledged
 *
 * LevelDB can lose a batch from the middle of its log without an error. A commit is one batch, so a lost one leaves a hole in the chain of numbers, or a
 * checkpoint that differs from the chain's end: found when the task is opened. For that a link must come with its commit and with nothing else: no sweep of a
 * changelog carries links, and a store that is restored from a swept one has those before its first commit put with that.
 */
import { type ByteWriter, type TaskCounters, TopologyError } from "../model/index.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import type { SweepState } from "./changelog-sweep.ts";
import { openSealed, putSealed, writeKeyText } from "../state/sealed.ts";

/** A task's place in its input and output, as committed. */
export interface Checkpoint {
  readonly format: 1;
  /** Counts commits from 1. */
  readonly commit: number;
  /** The next offset to process, by `topic-partition`. */
  readonly offsets: Readonly<Record<string, number>>;
  /** The last sealed sequence, by sink. */
  readonly sequences: Readonly<Record<string, number>>;
  readonly streamTimes: Readonly<Record<string, number>>;
  readonly counters: TaskCounters;
  /** While a task is being rebuilt from the log: the offsets up to which its rows may have been delivered in a former life. */
  readonly rebuildUntil?: Readonly<Record<string, number>>;
  /** How far the cleaning of the task's changelog is; in replicated mode only. */
  readonly sweep?: SweepState;
}

const CHECKPOINT_KEY = Buffer.from("m\0checkpoint");
const CHAIN_LENGTH = 1_024;
const LINK_PREFIX = "c\0";
const LINK_PREFIX_END = "c\x01";
const LINK_BYTES = LINK_PREFIX.length + 8;

/** `c\0` and the number in 8 bytes, big-endian, so that the chain is in order. */
function chainKey(commit: number): Buffer {
  const key = Buffer.alloc(LINK_BYTES);
  key.write(LINK_PREFIX);
  key.writeBigUInt64BE(BigInt(commit), LINK_PREFIX.length);
  return key;
}

function putLink(batch: StateBatch, scratch: ByteWriter, commit: number): void {
  const link = chainKey(commit);
  scratch.reset();
  scratch.bytes(link);
  scratch.i64Number(commit);
  putSealed(batch, scratch, link.length);
}

/** Whether an entry is a link of the chain. A copy of one, in another batch than its commit's, would hide that the commit was lost. */
export function isLink(key: Buffer): boolean {
  return key.length === LINK_BYTES && key.latin1Slice(0, LINK_PREFIX.length) === LINK_PREFIX;
}

/** Puts the links before a commit that a store begins with. */
export function putLinksBefore(batch: StateBatch, scratch: ByteWriter, commit: number): void {
  for (let before = Math.max(1, commit - CHAIN_LENGTH + 1); before < commit; before++) putLink(batch, scratch, before);
}

/** Puts the checkpoint and the chain's next link, and drops the link that leaves the chain. */
export function putCheckpoint(batch: StateBatch, scratch: ByteWriter, checkpoint: Checkpoint): void {
  scratch.reset();
  scratch.bytes(CHECKPOINT_KEY);
  writeKeyText(scratch, JSON.stringify(checkpoint));
  putSealed(batch, scratch, CHECKPOINT_KEY.length);
  putLink(batch, scratch, checkpoint.commit);
  if (checkpoint.commit > CHAIN_LENGTH) batch.del(chainKey(checkpoint.commit - CHAIN_LENGTH));
}

function damaged(place: string, message: string): TopologyError {
  return new TopologyError("STATE_CORRUPT", message, { place, cure: "start again: the state is rebuilt from the log where its sinks allow it" });
}

/** The last checkpoint, with its chain checked; undefined in a new store. Throws STATE_CORRUPT. */
export async function readCheckpoint(backend: StateBackend, place: string): Promise<Checkpoint | undefined> {
  const stored = backend.getSync(CHECKPOINT_KEY);
  let first: number | undefined;
  let expected: number | undefined;
  for await (const [key, value] of backend.entries({ gte: Buffer.from(LINK_PREFIX), lt: Buffer.from(LINK_PREFIX_END) })) {
    const number = openSealed(key, value, `${place}, chain of commits`).readUInt32LE(0);
    if (expected !== undefined && number !== expected) throw damaged(place, `commit ${expected} is missing from the chain`);
    first ??= number;
    expected = number + 1;
  }
  if (stored === undefined) {
    if (expected !== undefined) throw damaged(place, "the checkpoint is missing");
    return undefined;
  }
  const checkpoint = JSON.parse(openSealed(CHECKPOINT_KEY, stored, `${place}, checkpoint`).toString()) as Checkpoint;
  if (checkpoint.commit + 1 !== expected) throw damaged(place, `the checkpoint is of commit ${checkpoint.commit}, the chain ends before ${expected ?? 1}`);
  // A batch may be lost from the beginning too, where the commits behind it stood in another of LevelDB's files.
  const begins = Math.max(1, checkpoint.commit - CHAIN_LENGTH + 1);
  if (first !== begins) throw damaged(place, `the chain of commits begins at ${first ?? 0}, not at ${begins}`);
  return checkpoint;
}


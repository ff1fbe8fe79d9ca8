/**
 * How far a file has been read, kept in the log beside the records that came from it. What identifies a file is what was read of it: a
 * file is the one of a position when its first bytes, up to there, have the position's hash, whatever its path.
 *
 *   read before, whole             hash fits, nothing behind it     -> adds nothing
 *   grown, or interrupted before   hash fits, more behind it        -> continues there
 *   changed where it was read      no hash fits                     -> another file, read from its start
 */
import type { FileHandle } from "node:fs/promises";
import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import { TopologyError } from "@iot-topology/core";
import type { PositionedLog } from "./positioned-log.ts";

/** A position as it stands in the log, as JSON. */
export interface FilePosition {
  readonly path: string;
  /** The way of reading: the same bytes read in another way are another source. */
  readonly reading: string;
  /** Bytes consumed, and their hash. */
  readonly position: number;
  readonly sha256: string;
  /** The file's size when it was last read. */
  readonly size: number;
  readonly lines: number;
  readonly records: number;
  /** The columns of a CSV file's header. */
  readonly columns?: readonly string[];
  /** Whether this reading was forced to start anew; an unfinished one is continued by the next forced reading. */
  readonly again: boolean;
  /** Whether the file's end was reached. */
  readonly finished: boolean;
}

/** Where to go on, with the log's entry to be moved. */
export interface StartingPoint {
  readonly sourceId: string;
  /** The entry's bytes as the log holds them, or undefined for a new one. */
  readonly stored: Buffer | undefined;
  readonly from: FilePosition | undefined;
  /** The hash over what was consumed; it goes on from there. */
  readonly hash: Hash;
  /** Whether the path was read before with other content. */
  readonly changed: boolean;
}

interface Candidate {
  readonly sourceId: string;
  readonly stored: Buffer;
  readonly at: FilePosition;
}

const PREFIX = "file:";
const CHUNK = 1 << 20;

/** Finds the position that fits the file best: of those whose hash fits, the one furthest on. */
export async function findStart(log: PositionedLog, file: FileHandle, options: { path: string; reading: string; again: boolean; size: number }): Promise<StartingPoint> {
  const candidates: Candidate[] = [];
  let highest = 0;
  let knownPath = false;
  for await (const [sourceId, stored] of log.sourcePositions()) {
    if (!sourceId.startsWith(PREFIX)) continue;
    highest = Math.max(highest, Number(sourceId.slice(PREFIX.length)));
    const at = parsePosition(sourceId, stored);
    if (at.reading !== options.reading) continue;
    knownPath ||= at.path === options.path;
    const wanted = options.again ? at.again && !at.finished : true;
    if (wanted && at.position > 0 && at.position <= options.size) candidates.push({ sourceId, stored, at });
  }
  const best = await furthestMatch(file, candidates);
  if (best !== undefined) {
    return { sourceId: best.found.sourceId, stored: best.found.stored, from: best.found.at, hash: best.hash, changed: false };
  }
  const sourceId = `${PREFIX}${String(highest + 1).padStart(10, "0")}`;
  return { sourceId, stored: undefined, from: undefined, hash: createHash("sha256"), changed: knownPath && !options.again };
}

function parsePosition(sourceId: string, stored: Buffer): FilePosition {
  try {
    return JSON.parse(stored.toString()) as FilePosition;
  } catch (cause) {
    throw new TopologyError("LOG_CORRUPT", "a file's position cannot be read", { place: sourceId, cure: "restore the log's folder from a copy", cause });
  }
}

/** Hashes the file once, comparing at each candidate's position. */
async function furthestMatch(file: FileHandle, candidates: Candidate[]): Promise<{ found: Candidate; hash: Hash } | undefined> {
  candidates.sort((a, b) => a.at.position - b.at.position || (a.sourceId < b.sourceId ? -1 : 1));
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafeSlow(CHUNK);
  let at = 0;
  let best: { found: Candidate; hash: Hash } | undefined;
  for (const candidate of candidates) {
    while (at < candidate.at.position) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK, candidate.at.position - at), at);
      if (bytesRead === 0) return best;
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    if (hash.copy().digest("hex") === candidate.at.sha256) best = { found: candidate, hash: hash.copy() };
  }
  return best;
}

import { hash } from "node:crypto";
import type { SealedBatch, UnsealedBatch } from "../port/index.ts";

/** Who seals: the parts of a token that are the same for all of a task's batches. */
export interface SealOrigin {
  readonly topology: string;
  readonly version: number;
  readonly task: string;
}

const HASH_LENGTH = 32;

function contentHash(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex").slice(0, HASH_LENGTH);
}

/** Whether rows are those that a batch's token names. */
export function isContentOf({ token }: Pick<SealedBatch, "token">, bytes: Uint8Array): boolean {
  return token.slice(token.lastIndexOf(":") + 1) === contentHash(bytes);
}

/**
 * Fixes a batch: its sequence, its bytes, and the token that names both. The content's hash is part of the token because a receiver drops rows under a
 * token that it knows without comparing them: other rows must never come under the same token.
 */
export function seal(origin: SealOrigin, batch: UnsealedBatch, sequence: number): SealedBatch {
  const { spec, rowCount, bytes, inputs, loadTimeMin, loadTimeMax } = batch;
  const content = contentHash(bytes);
  const token = `${origin.topology}:${origin.version}:${spec.connector}:${spec.target}:${origin.task}:${sequence}:${content}`;
  return { token, ...origin, connector: spec.connector, target: spec.target, sequence, rowCount, bytes, inputs, loadTimeMin, loadTimeMax };
}

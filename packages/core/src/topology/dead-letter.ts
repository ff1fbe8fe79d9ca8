import type { ErrorCode } from "../model/index.ts";
import type { Stream } from "./stream.ts";

/** A record that a step could not process, with its reason and the original bytes. */
export interface DeadLetter {
  readonly code: ErrorCode;
  readonly message: string;
  /** The path of the first wrong field, or empty. */
  readonly field: string;
  /** The name of the step that refused it. */
  readonly step: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The log's timestamp, in epoch milliseconds. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/** The stream of records that steps refused: a policy for their `onError`, and a stream to sink. */
export type DeadLetterStream = Stream<DeadLetter> & {
  /** Its name, and what tells it from another stream of dead letters. */
  readonly deadLetterName: string;
};

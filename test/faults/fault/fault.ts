import type { KafkaOptions } from "../../kafka/kafka-brokers.ts";
import type { Environment } from "../environment.ts";
import type { Client, RunResult } from "../stage.ts";

/** A way to go wrong, and how to stage it. Each run asserts that it fired, and that there was work left when it did. */
export interface Fault {
  /** Its row in the table of faults: `F1`. */
  readonly family: string;
  /** A stable name, unique over all. */
  readonly name: string;
  /** What happens, for the report. */
  readonly what: string;
  /** What brokers it needs; a cluster of one, if nothing is said. */
  readonly kafka?: KafkaOptions;
  readonly run: (environment: Environment, seed: number, client: Client) => Promise<RunResult>;
}

import type { ByteWriter, EpochMs, Header, PlanWarning, RecordKey, RecordMeta } from "../model/index.ts";
import type { Logger } from "./logger.ts";

/** What a sink promises, as `describe` prints it. */
export interface Guarantee {
  readonly level: "exactly-once" | "at-least-once";
  /** How repeats are dropped, in a sentence. */
  readonly by: string;
}

/** Writes one row of a sealed batch. Called once a record, so it allocates nothing; `meta` is the same object each time, and its fields are the row's only during the call. */
export type RowEncoder<V> = (writer: ByteWriter, value: V, meta: RecordMeta, key: RecordKey, timestamp: EpochMs, headers: readonly Header[]) => void;

/** What the plan knows of the rows that come to a sink. */
export interface RowFacts {
  /** Whether a record that its producer sends twice makes its rows twice: no dedup stands between a source and here. */
  readonly mayRepeat: boolean;
  /** Whether a row replaces an earlier one: the stream is of updates. */
  readonly isUpdated: boolean;
  /** The fields by which the rows of an aggregate are told apart, where they still stand as the aggregate made them. */
  readonly group: readonly string[] | undefined;
  /** The fields by which a dedup tells records apart, where they still stand as the cast made them. */
  readonly identity: readonly string[] | undefined;
}

/** A warning of a sink's; the plan adds the step. */
export type SinkWarning = Omit<PlanWarning, "step">;

/** A sink's declaration as plain data, for a lock file. */
export type SinkShape = Readonly<Record<string, unknown>>;

/** What a change of a sink's declaration means for what its target holds already. */
export interface SinkChange {
  /** Whether something is lost or refused by it. */
  readonly isBreaking: boolean;
  /** What has changed. */
  readonly message: string;
  /** What becomes of what is there: how it migrates, or what is lost. */
  readonly effect: string;
}

/**
 * Where a stream ends, as frozen data: the connector that serves it, the target, how rows are encoded.
 * Made by a connector's functions (`clickhouse.history(...)`), held by the topology, opened by the connector at run time.
 */
export interface SinkSpec<in V> {
  readonly kind: "sink";
  /** The connector that opens it: `clickhouse`, `log`, ... */
  readonly connector: string;
  /** The target's name, unique in the connector: a table, a topic. Part of every token, so it is stable. */
  readonly target: string;
  readonly guarantee: Guarantee;
  /** One line for `describe`: `ReplacingMergeTree readings ORDER BY (...)`. */
  readonly summary: string;
  /**
   * How the sink tells which rows it holds already, so that a task may be rebuilt from the log under other batch boundaries: by a row's origin (`by-position`:
   * topic, partition, offset, index), by its key and a version that only grows (`by-key`), or not at all: then damaged state is an error.
   */
  readonly rebuildable: "by-position" | "by-key" | "no";
  /** Names of the tables and views that hang on it, for `describe`. */
  readonly dependents: readonly string[];
  /** Compiles the row encoder; called once a task. */
  readonly encoder: () => RowEncoder<V>;
  /** Errors in the declaration itself, reported by `validate`. */
  readonly problems: readonly string[];
  /** What should be looked at, given the rows that come; shown by `describe`. None where absent. */
  readonly warnings?: (rows: RowFacts) => readonly SinkWarning[];
  /** What of the declaration outlives a process, as plain data; the summary where absent. */
  readonly shape?: SinkShape;
  /** Tells what became of the declaration since it had an earlier shape. Where absent, every difference is breaking. */
  readonly changesSince?: (earlier: SinkShape) => readonly SinkChange[];
  /** The connector's own declaration; opaque to the engine. */
  readonly declaration: unknown;
}

/** Which input a batch's rows came from. */
export interface InputRange {
  readonly topic: string;
  readonly partition: number;
  /** First and last offset, both included. */
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** Rows for one sink that no commit has sealed yet. */
export interface UnsealedBatch {
  readonly spec: SinkSpec<never>;
  readonly rowCount: number;
  readonly bytes: Buffer;
  readonly inputs: readonly InputRange[];
  readonly loadTimeMin: number;
  readonly loadTimeMax: number;
}

/** Rows whose bytes were fixed in the same commit as the state and the offsets they belong to. */
export interface SealedBatch {
  /** `topology:version:sink:task:sequence:hash`, the same for every delivery of these bytes. */
  readonly token: string;
  readonly topology: string;
  readonly version: number;
  readonly connector: string;
  readonly target: string;
  readonly task: string;
  /** Counts this task's batches for this sink, from 1, without gaps. */
  readonly sequence: number;
  readonly rowCount: number;
  readonly bytes: Uint8Array;
  readonly inputs: readonly InputRange[];
  /** The least and greatest load time of the rows' inputs. */
  readonly loadTimeMin: EpochMs;
  readonly loadTimeMax: EpochMs;
}

/** What the engine knows of a delivery. */
export interface DeliveryHint {
  /**
   * True where these rows, or some of them, may have arrived already: an earlier attempt without an answer, a batch found in the
   * outbox at start, a task that is being rebuilt from the log. The sink must then check what it holds, not only trust the token.
   */
  readonly uncertain: boolean;
}

/** An open sink. Calls for one sink are never concurrent, and come in order of sequence a task. */
export interface Sink {
  /** Resolves once the batch is acknowledged. Rejects with a TopologyError; a retriable one is tried again with `uncertain: true`. */
  deliver(batch: SealedBatch, hint: DeliveryHint): Promise<void>;
  /**
   * Whether rows made of these inputs may stand in the target. Asked before a task begins from nothing on an input that holds records already: where no sink holds any, there
   * was no former life, and its batches need not be checked one by one. Without the method they may.
   */
  mayHold?(inputs: readonly InputRange[]): Promise<boolean>;
  /** Called when nothing is waiting for this sink: upkeep that follows deliveries (snapshots, ...). May do nothing. */
  settle(): Promise<void>;
}

/** A connector at run time: opens all sinks of a topology that name it. */
export interface SinkConnector {
  readonly name: string;
  /** Checks or creates the targets. Throws a TopologyError that names place and cure. The order of the result is that of the specs. */
  open(context: SinkContext, specs: readonly SinkSpec<never>[]): Promise<readonly Sink[]>;
  /** Drops what the connector made for these specs (tables, views), for `reset`. */
  reset(context: SinkContext, specs: readonly SinkSpec<never>[]): Promise<void>;
  close(): Promise<void>;
}

/** What a connector gets from the engine. */
export interface SinkContext {
  readonly topology: string;
  readonly version: number;
  readonly logger: Logger;
}

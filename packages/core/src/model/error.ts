/**
 * The one table of errors. `docs/errors.md` has a heading for each code, and a test holds the two together.
 * Expected failures are {@link Failure} values inside the library; at its asynchronous edge they are thrown as {@link TopologyError}.
 */
export const ERROR_CODES = {
  // Records: each of these sends one record to the dead letters (or fails or skips, by the step's policy).
  TOMBSTONE: "the record has no value (a tombstone)",
  EMPTY_PAYLOAD: "the record's value is empty",
  PAYLOAD_TOO_LARGE: "the record's value is larger than the limit",
  PAYLOAD_TOO_DEEP: "the record's value is nested deeper than the limit",
  INVALID_UTF8: "the record's value is not valid UTF-8",
  INVALID_JSON: "the record's value is not valid JSON",
  INVALID_ENCODING: "the record's value is not in the format that its cast reads",
  SCHEMA_UNKNOWN: "the record names a schema that the registry does not know or that cannot be used",
  CAST_FAILED: "the record does not fit its schema",
  KEY_MISMATCH: "the record's key is not the field that its topic is partitioned by",
  STEP_FAILED: "a step of the topology threw",
  // Topology and plan.
  PLAN_INVALID: "the topology has errors",
  TOPOLOGY_NOT_FOUND: "no topology was found where one was named",
  SCHEMA_INVALID: "a schema declaration is wrong",
  // Configuration and use.
  CONFIG_INVALID: "the configuration is wrong",
  USAGE: "the command was called wrongly",
  FILE_NOT_FOUND: "a file does not exist",
  FILE_INVALID: "a file cannot be read as what it was named to be",
  PORT_IN_USE: "a port is already in use",
  FOLDER_IN_USE: "another process has the folder open",
  NOT_RUNNING: "no running instance was found",
  PLATFORM_UNSUPPORTED: "the embedded engine has no build for this platform",
  // Disk.
  DISK_FULL: "the disk is full",
  DISK_READ_ONLY: "the disk or folder cannot be written",
  STATE_CORRUPT: "the local state is damaged",
  STATE_MISMATCH: "the stored state is of another shape than the topology",
  LOG_CORRUPT: "the log is damaged",
  SAVEPOINT_INVALID: "a savepoint is damaged, or is of another topology",
  SAVEPOINT_REFUSED: "a savepoint cannot be taken or used as things stand",
  // Log.
  TOPIC_NOT_FOUND: "the topic does not exist",
  TOPIC_MISMATCH: "the topic differs from what the topology needs",
  OFFSET_OUT_OF_RANGE: "the log no longer holds the wanted offset",
  PRODUCER_FENCED: "a newer producer with the same id took over",
  PRODUCER_OUT_OF_ORDER: "a producer's sequence skipped a batch",
  // Schema registry.
  REGISTRY_UNREACHABLE: "the schema registry does not answer",
  REGISTRY_REFUSED: "the schema registry refused a request",
  SCHEMA_INCOMPATIBLE: "a schema is not compatible with what the registry holds",
  CHANGELOG_MISMATCH: "a task's changelog does not hold what its store needs",
  LEASE_EXPIRED: "this process may have lost its tasks to another",
  // Kafka.
  KAFKA_UNREACHABLE: "Kafka does not answer",
  KAFKA_AUTHENTICATION: "Kafka refused this user",
  KAFKA_TIMEOUT: "Kafka did not answer in time",
  KAFKA_REFUSED: "Kafka refused a request for good",
  TRANSACTION_HANGING: "a transaction is left open and holds readers back",
  // ClickHouse and sinks.
  CLICKHOUSE_UNREACHABLE: "ClickHouse does not answer",
  CLICKHOUSE_REFUSED: "ClickHouse refused a statement",
  CLICKHOUSE_VERSION: "this ClickHouse version cannot hold the guarantees",
  CLICKHOUSE_SETTINGS: "a ClickHouse table's settings cannot hold the guarantees",
  CLICKHOUSE_SCHEMA: "a ClickHouse table differs from its declaration",
  CLICKHOUSE_CRASHED: "the embedded ClickHouse server ended unexpectedly",
  SINK_MISMATCH: "what a sink holds differs from what was delivered",
  SINK_FAILED: "a sink refused a batch for good",
  SINK_FENCED: "another process writes in the place of this one",
  SINK_BUSY: "another process works on a sink's tables",
  // Queries.
  STORE_NOT_FOUND: "no such store can be asked",
  STORE_ELSEWHERE: "the store's task runs in another process",
  // Engine.
  TASK_FAILED: "a task failed",
  BUFFER_FULL: "a step holds back more than its buffer takes",
  INTERNAL: "a bug: something that should not happen",
} as const;

/** A stable error code. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** An expected failure as a value. `place` names where, `cure` says what to do about it. */
export interface Failure {
  readonly _tag: "Failure";
  readonly code: ErrorCode;
  readonly message: string;
  readonly place?: string;
  readonly cure?: string;
  /** Whether the same call may succeed when made again. */
  readonly retriable: boolean;
  readonly cause?: unknown;
}

/** The parts of a {@link Failure} that are not its code and message. */
export interface FailureDetails {
  readonly place?: string;
  readonly cure?: string;
  readonly retriable?: boolean;
  readonly cause?: unknown;
}

/** Makes a {@link Failure}. Not retriable unless said so. */
export function failure(code: ErrorCode, message: string, details: FailureDetails = {}): Failure {
  return { _tag: "Failure", code, message, ...details, retriable: details.retriable ?? false };
}

/** What the public asynchronous functions throw: a {@link Failure} with a stack. `code` is stable, the message is not. */
export class TopologyError extends Error {
  override readonly name = "TopologyError";
  readonly code: ErrorCode;
  readonly place: string | undefined;
  readonly cure: string | undefined;
  readonly retriable: boolean;

  constructor(code: ErrorCode, message: string, details: FailureDetails = {}) {
    const where = details.place === undefined ? "" : ` (${details.place})`;
    const cure = details.cure === undefined ? "" : `\n  cure: ${details.cure}`;
    super(`${message}${where}${cure}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.place = details.place;
    this.cure = details.cure;
    this.retriable = details.retriable ?? false;
  }

  /** The same failure as an error to throw. */
  static of(value: Failure): TopologyError {
    return new TopologyError(value.code, value.message, value);
  }
}

/** Kafka's error codes: their names, and what is to be done. From the protocol's documentation. */
import { TopologyError } from "@iot-topology/core";

/**
 * `again`: ask again after a moment. `leader`: look for the partition's leader, then ask again. `coordinator`: look for the coordinator, then ask again.
 * `fenced`: a newer producer with the id exists. `renew`: only a new producer gets on. `refused`: asking again does not help.
 */
export type ErrorAction = "again" | "leader" | "coordinator" | "fenced" | "renew" | "refused";

const TABLE: Readonly<Record<number, readonly [string, ErrorAction]>> = {
  [-1]: ["UNKNOWN_SERVER_ERROR", "refused"],
  1: ["OFFSET_OUT_OF_RANGE", "refused"],
  2: ["CORRUPT_MESSAGE", "again"],
  3: ["UNKNOWN_TOPIC_OR_PARTITION", "leader"],
  5: ["LEADER_NOT_AVAILABLE", "leader"],
  6: ["NOT_LEADER_OR_FOLLOWER", "leader"],
  7: ["REQUEST_TIMED_OUT", "again"],
  8: ["BROKER_NOT_AVAILABLE", "leader"],
  9: ["REPLICA_NOT_AVAILABLE", "leader"],
  10: ["MESSAGE_TOO_LARGE", "refused"],
  12: ["OFFSET_METADATA_TOO_LARGE", "refused"],
  13: ["NETWORK_EXCEPTION", "leader"],
  14: ["COORDINATOR_LOAD_IN_PROGRESS", "again"],
  15: ["COORDINATOR_NOT_AVAILABLE", "coordinator"],
  16: ["NOT_COORDINATOR", "coordinator"],
  17: ["INVALID_TOPIC_EXCEPTION", "refused"],
  18: ["RECORD_LIST_TOO_LARGE", "refused"],
  19: ["NOT_ENOUGH_REPLICAS", "again"],
  20: ["NOT_ENOUGH_REPLICAS_AFTER_APPEND", "again"],
  22: ["ILLEGAL_GENERATION", "refused"],
  23: ["INCONSISTENT_GROUP_PROTOCOL", "refused"],
  24: ["INVALID_GROUP_ID", "refused"],
  25: ["UNKNOWN_MEMBER_ID", "refused"],
  26: ["INVALID_SESSION_TIMEOUT", "refused"],
  27: ["REBALANCE_IN_PROGRESS", "again"],
  28: ["INVALID_COMMIT_OFFSET_SIZE", "refused"],
  29: ["TOPIC_AUTHORIZATION_FAILED", "refused"],
  30: ["GROUP_AUTHORIZATION_FAILED", "refused"],
  31: ["CLUSTER_AUTHORIZATION_FAILED", "refused"],
  32: ["INVALID_TIMESTAMP", "refused"],
  35: ["UNSUPPORTED_VERSION", "refused"],
  36: ["TOPIC_ALREADY_EXISTS", "refused"],
  37: ["INVALID_PARTITIONS", "refused"],
  38: ["INVALID_REPLICATION_FACTOR", "refused"],
  40: ["INVALID_CONFIG", "refused"],
  41: ["NOT_CONTROLLER", "leader"],
  42: ["INVALID_REQUEST", "refused"],
  43: ["UNSUPPORTED_FOR_MESSAGE_FORMAT", "refused"],
  44: ["POLICY_VIOLATION", "refused"],
  45: ["OUT_OF_ORDER_SEQUENCE_NUMBER", "renew"],
  46: ["DUPLICATE_SEQUENCE_NUMBER", "refused"],
  47: ["INVALID_PRODUCER_EPOCH", "fenced"],
  48: ["INVALID_TXN_STATE", "renew"],
  49: ["INVALID_PRODUCER_ID_MAPPING", "fenced"],
  50: ["INVALID_TRANSACTION_TIMEOUT", "refused"],
  51: ["CONCURRENT_TRANSACTIONS", "again"],
  52: ["TRANSACTION_COORDINATOR_FENCED", "coordinator"],
  53: ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "refused"],
  55: ["OPERATION_NOT_ATTEMPTED", "again"],
  56: ["KAFKA_STORAGE_ERROR", "leader"],
  59: ["UNKNOWN_PRODUCER_ID", "renew"],
  60: ["REASSIGNMENT_IN_PROGRESS", "again"],
  68: ["NON_EMPTY_GROUP", "refused"],
  69: ["GROUP_ID_NOT_FOUND", "refused"],
  72: ["LISTENER_NOT_FOUND", "leader"],
  73: ["TOPIC_DELETION_DISABLED", "refused"],
  74: ["FENCED_LEADER_EPOCH", "leader"],
  75: ["UNKNOWN_LEADER_EPOCH", "again"],
  76: ["UNSUPPORTED_COMPRESSION_TYPE", "refused"],
  78: ["OFFSET_NOT_AVAILABLE", "again"],
  79: ["MEMBER_ID_REQUIRED", "again"],
  80: ["PREFERRED_LEADER_NOT_AVAILABLE", "leader"],
  81: ["GROUP_MAX_SIZE_REACHED", "refused"],
  82: ["FENCED_INSTANCE_ID", "refused"],
  86: ["GROUP_SUBSCRIBED_TO_TOPIC", "refused"],
  87: ["INVALID_RECORD", "refused"],
  88: ["UNSTABLE_OFFSET_COMMIT", "again"],
  89: ["THROTTLING_QUOTA_EXCEEDED", "again"],
  90: ["PRODUCER_FENCED", "fenced"],
  100: ["UNKNOWN_TOPIC_ID", "leader"],
  103: ["INCONSISTENT_TOPIC_ID", "leader"],
  105: ["TRANSACTIONAL_ID_NOT_FOUND", "refused"],
  120: ["TRANSACTION_ABORTABLE", "renew"],
};

/** Codes that the connector asks for by name. */
export const CODE = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  messageTooLarge: 10,
  illegalGeneration: 22,
  unknownMemberId: 25,
  rebalanceInProgress: 27,
  invalidPartitions: 37,
  topicAlreadyExists: 36,
  duplicateSequence: 46,
  nonEmptyGroup: 68,
  groupIdNotFound: 69,
  memberIdRequired: 79,
  fencedInstanceId: 82,
  transactionalIdNotFound: 105,
} as const;

/** A code's name, as Kafka's documentation has it. */
export function errorName(code: number): string {
  return TABLE[code]?.[0] ?? `error ${code}`;
}

/** What to do about a code. A code that is not known is not retried. */
export function errorAction(code: number): ErrorAction {
  return TABLE[code]?.[1] ?? "refused";
}

const CURES: Readonly<Record<number, string>> = {
  10: "raise the topic's max.message.bytes (and the broker's message.max.bytes), or write smaller records",
  12: "raise the brokers' offset.metadata.max.bytes",
  26: "choose a session timeout between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms",
  29: "grant this user the operation on the topic",
  30: "grant this user Read on the group",
  31: "grant this user the operation on the cluster",
  32: "the record's timestamp is outside of what the topic allows: see message.timestamp.after.max.ms",
  38: "name a replication factor that the cluster's brokers suffice for",
  50: "set a transaction timeout of at most the brokers' transaction.max.timeout.ms",
  53: "grant this user Write and Describe on the transactional id",
};

/** The error for an answer that asking again does not change. */
export function refusal(what: string, code: number, place: string, message?: string | null): TopologyError {
  const cure = CURES[code];
  const detail = message === undefined || message === null || message === "" ? "" : `: ${message}`;
  if (code === CODE.messageTooLarge || code === 18) return new TopologyError("PAYLOAD_TOO_LARGE", `${what}: the broker takes no batch of this size`, { place, cure: CURES[10] as string });
  if (code === CODE.unknownTopicOrPartition) return topicNotFound(place);
  return new TopologyError("KAFKA_REFUSED", `${what}: ${errorName(code)}${detail}`, { place, ...(cure === undefined ? {} : { cure }) });
}

/** The error for a topic that the cluster does not have. */
export function topicNotFound(topic: string): TopologyError {
  return new TopologyError("TOPIC_NOT_FOUND", `the topic ${topic} does not exist`, { place: topic, cure: "create it, or check its name and this user's right to see it" });
}

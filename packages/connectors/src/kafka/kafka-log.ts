import type { ClusterLog, Logger } from "@iot-topology/core";
import type { PositionedLog } from "@iot-topology/connectors/file";
import type { Compression } from "./compression.ts";
import type { WireSasl, WireTls } from "./wire.ts";

/** How `openKafkaLog` reaches a cluster, and its bounds. */
export interface KafkaLogOptions {
  /** `host:port`, one or more; the others are learnt from them. */
  readonly brokers: readonly string[];
  /** The library that speaks to the brokers; `platformatic` when absent. Both hold the same guarantees: it is the faster one, and is maintained. */
  readonly client?: "kafkajs" | "platformatic";
  /** Shown in the brokers' logs and quotas; `iot-topology` when absent. */
  readonly clientId?: string;
  /** The data centre that this process stands in: brokers may then send it to a nearer replica to read. */
  readonly rack?: string;
  readonly tls?: WireTls;
  /** PLAIN and OAUTHBEARER are refused without TLS, unless the broker is on this machine. */
  readonly sasl?: WireSasl;
  readonly logger?: Logger;
  /** After this long without an end the coordinator aborts a transaction; 60 s when absent. */
  readonly transactionTimeoutMs?: number;
  /** A commit, an append, a question to the brokers may take this long; 30 s when absent. */
  readonly deadlineMs?: number;
  /** One request may take this long; 10 s when absent. */
  readonly requestTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  /** How batches are written; `none` when absent. All of Kafka's codecs are read. */
  readonly compression?: Compression;
  /** A batch of records ends before it is larger than this, and no record can be: 900,000 when absent, for the brokers' default of `message.max.bytes`. */
  readonly batchBytesMax?: number;
  /** How long a broker may hold a read at the end; 500 ms when absent. */
  readonly fetchWaitMs?: number;
  /** What is read ahead at most, a partition (8 MiB) and in all (64 MiB). */
  readonly fetchPartitionBytesMax?: number;
  readonly fetchBytesMax?: number;
  /** The topic that keeps how far files were read; `iot-topology-positions` when absent. */
  readonly positionsTopic?: string;
}

/**
 * Kafka as a log. Beside what every {@link ClusterLog} does it keeps positions of sources that are no logs, in the transaction that appends their records.
 *
 * `append` and `appendFrames` make no transaction: what one partition gets is appended once, but of records for several partitions a rejection may leave a part.
 */
export interface KafkaLog extends ClusterLog, PositionedLog {
  /** The library in use. */
  readonly client: "kafkajs" | "platformatic";
  /** The first offset whose record was written at or after the time (epoch milliseconds); the partition's end where there is none. */
  offsetForTime(topic: string, partition: number, timestamp: number): Promise<number>;
}

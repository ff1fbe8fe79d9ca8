/** Kafka as a log with groups and transactions, through kafkajs or @platformatic/kafka. */
export { openKafkaLog } from "./open-kafka-log.ts";
export type { KafkaLog, KafkaLogOptions } from "./kafka-log.ts";
export type { Compression } from "./compression.ts";
export type { WireSasl, WireTls } from "./wire.ts";

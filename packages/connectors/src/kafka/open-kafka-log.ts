import { TopologyError } from "@iot-topology/core";
import type {
  AppendResult, FetchResult, GroupDescription, GroupMembership, GroupOptions, GroupPosition, OpenTransaction, ProducerRecord, ProducerSequence, TopicCreation, TopicDescription, TopicPartition, TransactionalProducer,
} from "@iot-topology/core";
import { Administration } from "./administration.ts";
import { Deadline, untilAnswered } from "./attempt.ts";
import { Cluster } from "./cluster.ts";
import { codecOf } from "./compression.ts";
import { Fetcher } from "./fetcher.ts";
import { GroupMember } from "./group-member.ts";
import { IdempotentProducer, framesOf, needsTransactions } from "./idempotent-producer.ts";
import type { KafkaLog, KafkaLogOptions } from "./kafka-log.ts";
import type { ProducerSettings } from "./producer-settings.ts";
import { Router } from "./request.ts";
import { SourcePositions, type SourceRecords } from "./source-positions.ts";
import { openTransactionalProducer } from "./transactional-producer.ts";
import type { Wire, WireAddress } from "./wire.ts";

/**
 * Connects to a Kafka cluster.
 *
 * Throws CONFIG_INVALID, KAFKA_UNREACHABLE and KAFKA_AUTHENTICATION.
 *
 * ```ts
 * const log = await openKafkaLog({ brokers: ["127.0.0.1:9092"] });
 * const { records, nextOffset } = await log.fetch("iot.readings", 0, 0, { recordsMax: 1_000, bytesMax: 1 << 20 });
 * ```
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<KafkaLog> {
  const { client = "platformatic", deadlineMs = 30_000 } = options;
  const bootstrap = options.brokers.map(addressOf);
  if (bootstrap.length === 0) throw new TopologyError("CONFIG_INVALID", "no brokers are named", { place: "kafka", cure: "name at least one as host:port" });
  const { clientId = "iot-topology", connectTimeoutMs = 5_000, requestTimeoutMs = 10_000, tls, sasl, logger } = options;
  const wire = { clientId, connectTimeoutMs, ...(tls === undefined ? {} : { tls }), ...(sasl === undefined ? {} : { sasl }) };
  const cluster = new Cluster(await loadWire(client), { bootstrap, wire, requestTimeoutMs, logger });
  try {
    const place = options.brokers.join(", ");
    await untilAnswered({ what: "connecting to Kafka", place, deadline: new Deadline(deadlineMs) }, async () => ({ value: await cluster.metadata([]) }));
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return new OpenKafkaLog(cluster, client, options, deadlineMs, requestTimeoutMs);
}

/** Only the library that is used is loaded. */
async function loadWire(client: string): Promise<Wire> {
  if (client === "kafkajs") return (await import("./wire-kafkajs/index.ts")).kafkajsWire();
  if (client === "platformatic") return (await import("./wire-platformatic/index.ts")).platformaticWire();
  throw new TopologyError("CONFIG_INVALID", `there is no Kafka client ${client}`, { place: "kafka", cure: "choose kafkajs or platformatic" });
}

function addressOf(broker: string): WireAddress {
  const found = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(broker);
  const port = Number(found?.[2]);
  if (found === null || port < 1 || port > 65_535) throw new TopologyError("CONFIG_INVALID", `${broker} is no broker's address`, { place: "kafka", cure: "write host:port" });
  return { host: found[1] as string, port };
}

class OpenKafkaLog implements KafkaLog {
  readonly name = "kafka";
  readonly isCluster = true;
  readonly client: "kafkajs" | "platformatic";
  readonly maxRecordBytes: number;
  readonly #cluster: Cluster;
  readonly #router: Router;
  readonly #administration: Administration;
  readonly #fetcher: Fetcher;
  readonly #appender: IdempotentProducer;
  readonly #settings: ProducerSettings;
  readonly #positions: SourcePositions;
  readonly #members = new Set<GroupMember>();

  constructor(cluster: Cluster, client: "kafkajs" | "platformatic", options: KafkaLogOptions, deadlineMs: number, requestTimeoutMs: number) {
    this.client = client;
    this.#cluster = cluster;
    this.#router = new Router(cluster);
    this.#administration = new Administration(this.#router, deadlineMs, requestTimeoutMs * 0.8);
    this.#settings = {
      deadlineMs,
      transactionTimeoutMs: options.transactionTimeoutMs ?? 60_000,
      replicationTimeoutMs: Math.round(requestTimeoutMs * 0.8),
      batchBytesMax: options.batchBytesMax ?? 900_000,
      codec: codecOf(options.compression ?? "none"),
    };
    this.maxRecordBytes = this.#settings.batchBytesMax;
    this.#appender = new IdempotentProducer(this.#router, this.#settings);
    this.#fetcher = new Fetcher(this.#router, {
      pollWaitMs: options.fetchWaitMs ?? 500,
      partitionPollBytes: 1 << 20,
      pollBytesMax: 16 << 20,
      partitionBufferBytesMax: options.fetchPartitionBytesMax ?? 8 << 20,
      bufferBytesMax: options.fetchBytesMax ?? 64 << 20,
      interestMs: 30_000,
      deadlineMs,
      requestTimeoutMs,
      rack: options.rack,
    });
    this.#positions = new SourcePositions(
      {
        createTopics: (topics) => this.createTopics(topics),
        partitionCount: (topic) => this.partitionCount(topic),
        openProducer: (id) => this.openProducer(id),
        fetch: (...place) => this.fetch(...place),
        offsets: (topic, partition) => this.offsets(topic, partition),
        settledEnd: (topic, partition) => this.#administration.settledEnd(topic, partition),
      },
      options.positionsTopic ?? "iot-topology-positions",
    );
  }

  partitionCount(topic: string): Promise<number | undefined> {
    return this.#administration.partitionCount(topic);
  }

  async ensureTopic(topic: string, { partitions }: { readonly partitions: number }): Promise<void> {
    let found = await this.partitionCount(topic);
    if (found === undefined) {
      await this.createTopics([{ topic, partitions }]);
      found = await this.partitionCount(topic);
    }
    if (found === partitions) return;
    throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} has ${found} partitions, not ${partitions}`, { place: topic, cure: `ask for ${found} partitions, or name another topic` });
  }

  offsets(topic: string, partition: number): Promise<{ readonly start: number; readonly end: number }> {
    return this.#administration.offsets(topic, partition);
  }

  offsetForTime(topic: string, partition: number, timestamp: number): Promise<number> {
    return this.#administration.offsetForTime(topic, partition, timestamp);
  }

  fetch(topic: string, partition: number, fromOffset: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchResult> {
    return this.#fetcher.fetch(topic, partition, fromOffset, limits);
  }

  onAppend(listener: () => void): () => void {
    return this.#fetcher.onAppend(listener);
  }

  append(topic: string, records: readonly ProducerRecord[], producer?: ProducerSequence): Promise<AppendResult> {
    return this.appendFrames(topic, framesOf(records), records.length, producer);
  }

  async appendFrames(topic: string, frames: Uint8Array, recordCount: number, producer?: ProducerSequence): Promise<AppendResult> {
    if (producer !== undefined) throw needsTransactions(topic);
    await this.#appender.append(topic, frames, recordCount);
    return { repeated: false, recordCount };
  }

  /** There are none: sequences are the transactions'. */
  forgetProducers(): Promise<number> {
    return Promise.resolve(0);
  }

  appendWithPosition(sourceId: string, position: Uint8Array, parts: readonly SourceRecords[], expected?: { readonly position: Uint8Array | undefined }): Promise<AppendResult> {
    return this.#positions.append(sourceId, Buffer.from(position), parts, expected);
  }

  sourcePosition(sourceId: string): Promise<Buffer | undefined> {
    return this.#positions.position(sourceId);
  }

  async *sourcePositions(): AsyncGenerator<readonly [string, Buffer], void, undefined> {
    yield* await this.#positions.all();
  }

  openProducer(transactionalId: string): Promise<TransactionalProducer> {
    return openTransactionalProducer(this.#router, this.#settings, transactionalId);
  }

  joinGroup(options: GroupOptions): Promise<GroupMembership> {
    const member = new GroupMember(this.#router, options);
    this.#members.add(member);
    return member.start();
  }

  committedOffsets(group: string, partitions: readonly TopicPartition[]): Promise<ReadonlyMap<string, number>> {
    return this.#administration.committedOffsets(group, partitions);
  }

  setCommittedOffsets(group: string, positions: readonly GroupPosition[]): Promise<void> {
    return this.#administration.setCommittedOffsets(group, positions);
  }

  describeGroup(group: string): Promise<GroupDescription> {
    return this.#administration.describeGroup(group);
  }

  deleteGroup(group: string): Promise<void> {
    return this.#administration.deleteGroup(group);
  }

  settledEnd(topic: string, partition: number): Promise<number> {
    return this.#administration.settledEnd(topic, partition);
  }

  describeTopic(topic: string): Promise<TopicDescription | undefined> {
    return this.#administration.describeTopic(topic);
  }

  createTopics(topics: readonly TopicCreation[]): Promise<void> {
    return this.#administration.createTopics(topics);
  }

  deleteTopics(topics: readonly string[]): Promise<void> {
    return this.#administration.deleteTopics(topics);
  }

  deleteRecordsBefore(topic: string, partition: number, offset: number): Promise<void> {
    return this.#administration.deleteRecordsBefore(topic, partition, offset);
  }

  openTransactions(startedBefore: number): Promise<readonly OpenTransaction[]> {
    return this.#administration.openTransactions(startedBefore);
  }

  /** Members do not leave their groups: a process that means to says so with `leave`. */
  async close(): Promise<void> {
    for (const member of this.#members) member.close();
    this.#fetcher.close();
    await this.#cluster.close();
  }
}

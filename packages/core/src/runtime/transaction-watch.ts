import { topicPartitionName } from "../model/index.ts";
import type { ClusterLog, OpenTransaction } from "../port/index.ts";
import type { HangingTransactionStatus } from "./status.ts";
import type { ClusterPart } from "./cluster-topics.ts";
import type { ResolvedOptions } from "./options.ts";

/**
 * The alarm about transactions that somebody began in an input and never ended: readers do not get past them, and nothing else would say why the lag grows.
 * One that is open for longer than allowed is told in the log (code TRANSACTION_HANGING) and shown in the status until it is over.
 */
export class TransactionWatch {
  readonly #log: ClusterLog;
  readonly #options: ResolvedOptions;
  readonly #inputs: ReadonlySet<string>;
  #hanging: ReadonlyMap<string, HangingTransactionStatus> = new Map();

  constructor(log: ClusterLog, parts: readonly ClusterPart[], options: ResolvedOptions) {
    this.#log = log;
    this.#options = options;
    const counted = parts.flatMap(({ part, partitionCount, globals }) => [...part.topics.map((topic) => [topic, partitionCount] as const), ...globals]);
    this.#inputs = new Set(counted.flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => topicPartitionName(topic, partition))));
  }

  get hanging(): readonly HangingTransactionStatus[] {
    return [...this.#hanging.values()];
  }

  /** Looks once. Throws what the brokers answer. */
  async look(): Promise<void> {
    const { clock, logger, hangingTransactionMs } = this.#options;
    const found = new Map<string, HangingTransactionStatus>();
    for (const transaction of await this.#log.openTransactions(clock.now() - hangingTransactionMs)) {
      const status = this.#statusOf(transaction);
      if (status.partitions.length > 0) found.set(`${status.transactionalId} ${status.startedAt}`, status);
    }
    for (const [name, status] of found) {
      if (this.#hanging.has(name)) continue;
      logger.warn({ code: "TRANSACTION_HANGING", ...status, openForMs: clock.now() - status.startedAt }, "a transaction is left open and holds readers of these partitions back: end the process that left it, or abort it with kafka-transactions");
    }
    for (const [name, { transactionalId }] of this.#hanging) if (!found.has(name)) logger.info({ transactionalId }, "the transaction that held readers back is over");
    this.#hanging = found;
  }

  #statusOf({ transactionalId, startedAt, partitions }: OpenTransaction): HangingTransactionStatus {
    return { transactionalId, startedAt, partitions: partitions.map(({ topic, partition }) => topicPartitionName(topic, partition)).filter((name) => this.#inputs.has(name)) };
  }
}

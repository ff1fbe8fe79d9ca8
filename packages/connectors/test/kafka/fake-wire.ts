import { Cluster } from "../../src/kafka/cluster.ts";
import { Router } from "../../src/kafka/request.ts";
import { WireError } from "../../src/kafka/wire.ts";
import type { Wire, WireConnection, WireFetchedPartition } from "../../src/kafka/wire.ts";

type Produce = Parameters<WireConnection["produce"]>[0];
type Fetch = Parameters<WireConnection["fetch"]>[0];

/** Brokers that do what the test says, to have in a fixed order what real ones do once in a while. */
export interface FakeBrokers {
  /** `leaders[partition]` of the one topic there is; undefined: the topic does not exist. */
  leaders: number[] | undefined;
  /** Answers a batch; a number is an error code, "cut" loses the connection. */
  onProduce: (broker: number, partition: number, batch: Buffer) => number | { readonly baseOffset: number } | "cut";
  onFetch: (broker: number, partition: Fetch["partitions"][number], request: Fetch) => Partial<WireFetchedPartition> | "cut";
  /** Requests so far, as `broker: partition ...`. */
  readonly produced: string[];
  readonly fetched: string[];
  readonly metadataRequests: () => number;
  readonly router: Router;
  close(): Promise<void>;
}

export const TOPIC = "t";

/** Three brokers, numbered from 1. */
export function fakeBrokers(): FakeBrokers {
  const produced: string[] = [];
  const fetched: string[] = [];
  let asked = 0;
  const connection = (broker: number): WireConnection => {
    const closers: (() => void)[] = [];
    let isOpen = true;
    const cut = (): never => {
      isOpen = false;
      for (const close of closers) close();
      throw new WireError(`broker ${broker}: the connection was lost`);
    };
    const known: Partial<WireConnection> = {
      onClose: (listener) => void closers.push(listener),
      close: async () => undefined,
      async metadata(topics) {
        asked++;
        const leaders = fake.leaders;
        const partitions = (leaders ?? []).map((leader, partition) => ({ errorCode: 0, partition, leader, replicas: [1, 2, 3], isr: [1, 2, 3] }));
        return {
          clusterId: null,
          controllerId: 1,
          brokers: [1, 2, 3].map((nodeId) => ({ nodeId, host: `broker-${nodeId}`, port: 1, rack: null })),
          topics: (topics ?? []).map((topic) => ({ topic, errorCode: leaders === undefined ? 3 : 0, partitions })),
        };
      },
      async produce({ batches }: Produce) {
        produced.push(`${broker}: ${batches.map(({ partition }) => partition).join(" ")}`);
        const answers = batches.map(({ topic, partition, batch }) => ({ topic, partition, answer: fake.onProduce(broker, partition, Buffer.from(batch)) }));
        if (answers.some(({ answer }) => answer === "cut")) cut();
        return answers.map(({ topic, partition, answer }) => (typeof answer === "object" ? { topic, partition, errorCode: 0, ...answer } : { topic, partition, errorCode: Number(answer), baseOffset: -1 }));
      },
      async fetch(request: Fetch) {
        fetched.push(`${broker}: ${request.partitions.map(({ partition }) => partition).sort().join(" ")}`);
        await new Promise((resolve) => setTimeout(resolve, Math.min(request.maxWaitMs, 5)));
        const answers = request.partitions.map((part) => ({ part, answer: fake.onFetch(broker, part, request) }));
        if (answers.some(({ answer }) => answer === "cut")) cut();
        return {
          errorCode: 0,
          partitions: answers.map(({ part, answer }) => ({
            topic: part.topic, partition: part.partition, errorCode: 0, highWatermark: 0, lastStableOffset: 0, logStartOffset: 0, abortedTransactions: [], preferredReplica: -1, records: Buffer.alloc(0),
            ...(answer as Partial<WireFetchedPartition>),
          })),
        };
      },
    };
    return new Proxy(known as WireConnection, { get: (target, name) => (name === "isOpen" ? isOpen : Reflect.get(target, name)) });
  };
  const wire: Wire = { name: "kafkajs", connect: async ({ host }) => connection(Number(host.split("-")[1])) };
  const cluster = new Cluster(wire, { bootstrap: [{ host: "broker-1", port: 1 }], wire: { clientId: "test", connectTimeoutMs: 1_000 }, requestTimeoutMs: 1_000 });
  const fake: FakeBrokers = {
    leaders: [1, 2, 3],
    onProduce: () => ({ baseOffset: 0 }),
    onFetch: () => ({}),
    produced,
    fetched,
    metadataRequests: () => asked,
    router: new Router(cluster),
    close: () => cluster.close(),
  };
  return fake;
}

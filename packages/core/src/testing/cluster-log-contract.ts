import { TopologyError, partitionOfKey, topicPartitionName } from "../model/index.ts";
import type { ProducerRecord } from "../model/index.ts";
import { armFailpoints, disarmFailpoints } from "../port/index.ts";
import type { ClusterLog, GroupPosition, Transaction, TransactionalProducer } from "../port/index.ts";
import { type AbandonTransaction, type ClusterSuite, LIMITS, type MakeClient, batchOf, outputs, readRecords, record, textOf, untilSo } from "./cluster-case.ts";
import { clusterGroupContract } from "./cluster-group-contract.ts";
import type { ContractRunner } from "./source-log-contract.ts";

/** How {@link clusterLogContract} deals with an implementation. */
export interface ClusterContractOptions {
  /** When absent, the failpoint `kafka.txn.before-end` is made to throw. */
  readonly abandon?: AbandonTransaction;
  /** The shortest session that the cluster allows; 1,500 ms when absent. */
  readonly sessionTimeoutMs?: number;
}

async function abandonAtEnd(_log: ClusterLog, producer: TransactionalProducer, transaction: Transaction): Promise<void> {
  const dead = new Error("the process is dead");
  armFailpoints("kafka.txn.before-end", () => {
    throw dead;
  });
  try {
    await producer.commit(transaction);
  } catch (error) {
    if (error === dead) return;
    throw error;
  } finally {
    disarmFailpoints();
  }
  throw new Error("the transaction was committed, and was to be left open");
}

let cases = 0;

/**
 * What every {@link ClusterLog} keeps. `makeLog` opens a new client each time, all on one cluster; names are unique, so that the cluster may be anyone's.
 *
 * ```ts
 * clusterLogContract((name, body) => t.test(name, body), () => openKafkaLog({ brokers }));
 * ```
 */
export function clusterLogContract(test: ContractRunner, makeLog: MakeClient, options: ClusterContractOptions = {}): void {
  const { abandon = abandonAtEnd, sessionTimeoutMs = 1_500 } = options;
  const suite: ClusterSuite = (name, body) => {
    test(name, async (t) => {
      const unique = `${Date.now().toString(36)}${process.pid}-${cases++}`;
      const clients = [await makeLog()];
      const another = async (): Promise<ClusterLog> => {
        const client = await makeLog();
        clients.push(client);
        return client;
      };
      try {
        await body(t, { log: clients[0] as ClusterLog, another, name: (what) => `${what}-${unique}`, abandon, sessionTimeoutMs });
      } finally {
        for (const client of clients) await client.close();
      }
    });
  };
  transactions(suite);
  aborted(suite);
  takeovers(suite);
  contents(suite);
  administration(suite);
  clusterGroupContract(suite);
}

function transactions(suite: ClusterSuite): void {
  suite("a transaction's records in all topics and its offsets appear together, and it says where they end", async (t, { log, name }) => {
    const [a, b, input, group] = [name("a"), name("b"), name("in"), name("group")];
    await log.createTopics([{ topic: a, partitions: 2 }, { topic: b, partitions: 1 }, { topic: input, partitions: 2 }]);
    const producer = await log.openProducer(name("id"));
    const positions: GroupPosition[] = [{ topic: input, partition: 0, offset: 7, metadata: "seven" }, { topic: input, partition: 1, offset: 9 }];
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
    const { nextOffsets } = await producer.commit({ batches: [batchOf(a, keys.map((key) => record(key, key))), batchOf(b, [record(null, "one"), record(null, "two")])], group, positions });
    for (const partition of [0, 1]) {
      const expected = keys.filter((key) => partitionOfKey(Buffer.from(key), 2) === partition);
      const found = await readRecords(log, a, partition, expected.length);
      t.same(found.map(textOf), expected, "by murmur2, in order");
      t.equal(nextOffsets.get(topicPartitionName(a, partition)), (found.at(-1)?.offset ?? -1) + 1);
    }
    t.same((await readRecords(log, b, 0, 2)).map(textOf), ["one", "two"]);
    t.equal(nextOffsets.get(topicPartitionName(b, 0)), 2);
    await untilSo("offsets", async () => (await log.committedOffsets(group, positions)).get(topicPartitionName(input, 0)) === 7);
    const committed = await log.committedOffsets(group, [...positions, { topic: b, partition: 0 }]);
    t.same([committed.size, committed.get(topicPartitionName(input, 1))], [2, 9]);
  });
  suite("transactions of offsets alone, of records alone and of nothing at all are transactions", async (t, { log, name }) => {
    const [a, group] = [name("a"), name("group")];
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const producer = await log.openProducer(name("id"));
    t.equal((await producer.commit(outputs())).nextOffsets.size, 0);
    t.equal((await producer.commit({ batches: [], group, positions: [{ topic: a, partition: 0, offset: 3 }] })).nextOffsets.size, 0);
    await producer.commit(outputs(batchOf(a, [record("k", "v")])));
    t.same((await readRecords(log, a, 0, 1)).map(textOf), ["v"]);
    await untilSo("offsets", async () => (await log.committedOffsets(group, [{ topic: a, partition: 0 }])).get(topicPartitionName(a, 0)) === 3);
    t.same([...(await log.committedOffsets(name("nobody"), [{ topic: a, partition: 0 }]))], []);
  });
  suite("transactions one behind the other keep their order, over the gaps that their ends leave", async (t, { log, name }) => {
    const [a, group] = [name("a"), name("group")];
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const producer = await log.openProducer(name("id"));
    let next = 0;
    for (let index = 0; index < 25; index++) {
      const { nextOffsets } = await producer.commit({ batches: [batchOf(a, [record("k", `${index}.0`), record("k", `${index}.1`)])], group, positions: [{ topic: a, partition: 0, offset: index }] });
      const end = nextOffsets.get(topicPartitionName(a, 0)) ?? 0;
      t.ok(end >= next + 2, "ends rise");
      next = end;
    }
    const found = await readRecords(log, a, 0, 50);
    t.same(found.map(textOf), Array.from({ length: 50 }, (_, index) => `${index >> 1}.${index & 1}`));
    t.equal(found.at(-1)?.offset, next - 1);
  });
  suite("a read ahead begins anew where it is told to, and a listener hears of what comes", async (t, { log, name }) => {
    const a = name("a");
    await log.createTopics([{ topic: a, partitions: 1 }]);
    t.same(await log.fetch(a, 0, 0, LIMITS), { records: [], nextOffset: 0, endOffset: 0 }, "nothing, at once");
    let told = 0;
    const stop = log.onAppend(() => told++);
    await log.append(a, Array.from({ length: 100 }, (_, index) => record("k", String(index))));
    await untilSo("told", async () => told > 0 || (await log.fetch(a, 0, 0, { recordsMax: 1, bytesMax: 1 })).records.length > 1);
    stop();
    t.same((await readRecords(log, a, 0, 100)).map(textOf), Array.from({ length: 100 }, (_, index) => String(index)));
    for (const from of [40, 41, 10, 99, 0]) {
      const { records, nextOffset, endOffset } = await log.fetch(a, 0, from, { recordsMax: 3, bytesMax: 1 << 20 });
      t.same(records.map(({ offset }) => offset), [from, from + 1, from + 2].filter((offset) => offset < 100));
      t.equal(nextOffset, from + records.length);
      t.equal(endOffset, 100);
    }
    await t.rejects(log.fetch(a, 0, 101, LIMITS), { code: "OFFSET_OUT_OF_RANGE" });
    await t.rejects(log.fetch(a, 1, 0, LIMITS), { code: "TOPIC_MISMATCH" });
    await t.rejects(log.fetch(name("none"), 0, 0, LIMITS), { code: "TOPIC_NOT_FOUND" });
  });
  suite("several read one partition at a time, at different places: each gets what is its own, and is told the true end", async (t, { log, name }) => {
    const a = name("a");
    await log.createTopics([{ topic: a, partitions: 1 }]);
    await log.append(a, Array.from({ length: 200 }, (_, index) => record("k", String(index))));
    await untilSo("the end", async () => (await log.offsets(a, 0)).end === 200);
    const read = async (from: number): Promise<number[]> => {
      const offsets: number[] = [];
      for (let next = from; ; ) {
        const { records, nextOffset, endOffset } = await log.fetch(a, 0, next, { recordsMax: 7 + (from % 5), bytesMax: 1 << 20 });
        t.ok(records.length > 0 || nextOffset > next || next === 200, `a reader at ${next} of 200 is given something`);
        t.equal(endOffset, 200);
        offsets.push(...records.map(({ offset }) => offset));
        if (nextOffset >= endOffset) return offsets;
        next = nextOffset;
      }
    };
    for (const starts of [[0, 0, 0, 0], [0, 50, 50, 120, 199], [200, 3]]) {
      const found = await Promise.all(starts.map(read));
      for (const [index, from] of starts.entries()) t.same(found[index], Array.from({ length: 200 - from }, (_, offset) => from + offset));
    }
  });
}

function aborted(suite: ClusterSuite): void {
  suite("an open transaction is not seen and holds readers back; taking over aborts it", async (t, { log, another, name, abandon }) => {
    const [a, group, id] = [name("a"), name("group"), name("id")];
    await log.createTopics([{ topic: a, partitions: 1 }]);
    await log.append(a, [record("k", "before")]);
    const dying = await another();
    await abandon(dying, await dying.openProducer(id), { batches: [batchOf(a, [record("k", "lost 1"), record("k", "lost 2")])], group, positions: [{ topic: a, partition: 0, offset: 1 }] });
    await log.append(a, [record("k", "behind")]);
    t.equal((await log.offsets(a, 0)).end, 1, "the end is the last stable offset");
    const held = await readRecords(log, a, 0, 1);
    t.same(held.map(textOf), ["before"]);
    t.same((await log.fetch(a, 0, 1, LIMITS)).records.map(textOf), []);
    const open = await log.openTransactions(Date.now() + 60_000);
    let settled: number | undefined;
    const settling = log.settledEnd(a, 0).then((end) => (settled = end));
    t.same(open.filter(({ transactionalId }) => transactionalId === id).map(({ partitions }) => partitions.filter(({ topic }) => topic === a).map(({ partition }) => partition)), [[0]], "it is listed");
    t.equal(settled, undefined, "the end is not settled while it is open");
    await log.openProducer(id);
    t.ok((await settling) >= 4, "the settled end is behind all that was written");
    t.same((await readRecords(log, a, 0, 2)).map(textOf), ["before", "behind"]);
    t.same([...(await log.committedOffsets(group, [{ topic: a, partition: 0 }]))], [], "its offsets are gone too");
    t.same((await log.openTransactions(Date.now() + 60_000)).filter(({ transactionalId }) => transactionalId === id), []);
  });
  suite("of interleaved transactions exactly the aborted ones are left out, wherever a read begins", async (t, { log, another, name, abandon }) => {
    const a = name("a");
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const ids = [name("x"), name("y"), name("z")] as const;
    const dying = await another();
    const lost = async (id: string, ...values: string[]): Promise<void> => abandon(dying, await dying.openProducer(id), outputs(batchOf(a, values.map((value) => record("k", value)))));
    await lost(ids[0], "lost x1", "lost x2");
    await lost(ids[1], "lost y1");
    const z = await log.openProducer(ids[2]);
    await z.commit(outputs(batchOf(a, [record("k", "z1")])));
    const x = await log.openProducer(ids[0]);
    await x.commit(outputs(batchOf(a, [record("k", "x3")])));
    await lost(ids[2], "lost z2");
    await log.openProducer(ids[1]);
    await (await log.openProducer(ids[2])).commit(outputs(batchOf(a, [record("k", "z3")])));
    await log.append(a, [record("k", "end")]);
    const all = await readRecords(log, a, 0, 4);
    t.same(all.map(textOf), ["z1", "x3", "z3", "end"]);
    const { end } = await log.offsets(a, 0);
    for (let from = 0; from < end; from++) {
      const expected = all.filter(({ offset }) => offset >= from);
      t.same((await readRecords(await another(), a, 0, expected.length, from)).map(textOf), expected.map(textOf), `from ${from}`);
    }
  });
  suite("a key of four zero bytes is a key, in a committed and in an aborted transaction", async (t, { log, another, name, abandon }) => {
    const [a, id] = [name("a"), name("id")];
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const zero = Buffer.alloc(4);
    const dying = await another();
    await abandon(dying, await dying.openProducer(id), outputs(batchOf(a, [record("k", "lost 1"), record(zero, "lost 2")]), batchOf(a, [record("k", "lost 3"), record("k", "lost 4")])));
    const producer = await log.openProducer(id);
    await producer.commit(outputs(batchOf(a, [record(zero, "one"), record("k", "two"), record(zero, "three")])));
    await log.append(a, [record(zero, "four")]);
    const found = await readRecords(log, a, 0, 4);
    t.same(found.map(textOf), ["one", "two", "three", "four"]);
    t.same(found.map(({ key }) => key), [zero, Buffer.from("k"), zero, zero]);
  });
}

function takeovers(suite: ClusterSuite): void {
  suite("a newer producer fences the older one, whose commit says so and leaves nothing", async (t, { log, another, name }) => {
    const [a, id, group] = [name("a"), name("id"), name("group")];
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const zombie = await (await another()).openProducer(id);
    await zombie.commit(outputs(batchOf(a, [record("k", "first")])));
    const owner = await log.openProducer(id);
    const zombieSays = async (transaction: Transaction): Promise<unknown> => zombie.commit(transaction).then(() => undefined, (error: unknown) => error);
    const error = await zombieSays({ batches: [batchOf(a, [record("k", "zombie")])], group, positions: [{ topic: a, partition: 0, offset: 1 }] });
    t.ok(error instanceof TopologyError && error.code === "PRODUCER_FENCED" && !error.retriable, String(error));
    t.ok((await zombieSays(outputs(batchOf(a, [record("k", "zombie again")])))) instanceof Error, "it stays finished");
    await owner.commit({ batches: [batchOf(a, [record("k", "second")])], group, positions: [{ topic: a, partition: 0, offset: 2 }] });
    t.same((await readRecords(log, a, 0, 2)).map(textOf), ["first", "second"]);
    await untilSo("offsets", async () => (await log.committedOffsets(group, [{ topic: a, partition: 0 }])).get(topicPartitionName(a, 0)) === 2);
  });
  suite("a zombie that only commits offsets is fenced too", async (t, { log, another, name }) => {
    const [a, id, group] = [name("a"), name("id"), name("group")];
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const zombie = await (await another()).openProducer(id);
    await log.openProducer(id);
    await t.rejects(zombie.commit({ batches: [], group, positions: [{ topic: a, partition: 0, offset: 5 }] }), { code: "PRODUCER_FENCED" });
    t.same([...(await log.committedOffsets(group, [{ topic: a, partition: 0 }]))], []);
  });
  suite("once a producer is open, what the one before has committed is final: offsets and records are there at once", async (t, { log, another, name }) => {
    const [a, id, group] = [name("a"), name("id"), name("group")];
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const other = await another();
    for (let index = 1; index <= 12; index++) {
      const owner = await (index % 2 === 0 ? log : other).openProducer(id);
      const { nextOffsets } = await owner.commit({ batches: [batchOf(a, [record("k", String(index))])], group, positions: [{ topic: a, partition: 0, offset: index }] });
      const next = index % 2 === 0 ? other : log;
      await next.openProducer(id);
      t.equal((await next.committedOffsets(group, [{ topic: a, partition: 0 }])).get(topicPartitionName(a, 0)), index);
      t.ok((await next.offsets(a, 0)).end >= (nextOffsets.get(topicPartitionName(a, 0)) ?? Infinity), "the end is behind its records");
    }
  });
  suite("a producer opened while others open it too: one remains, and it works", async (t, { log, another, name }) => {
    const [a, id] = [name("a"), name("id")];
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const other = await another();
    const opened = await Promise.allSettled([log, other, log, other].map((client) => client.openProducer(id)));
    const outcomes: string[] = [];
    for (const attempt of opened) {
      if (attempt.status === "rejected") continue;
      outcomes.push(await attempt.value.commit(outputs(batchOf(a, [record("k", "v")]))).then(() => "committed", (error: unknown) => (error as TopologyError).code));
    }
    t.equal(outcomes.filter((outcome) => outcome === "committed").length, 1, outcomes.join(", "));
    t.ok(outcomes.every((outcome) => outcome === "committed" || outcome === "PRODUCER_FENCED"), outcomes.join(", "));
  });
}

function contents(suite: ClusterSuite): void {
  suite("records come back as they were: absent, empty and large keys and values, headers, timestamps", async (t, { log, name }) => {
    const a = name("a");
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const producer = await log.openProducer(name("id"));
    const now = Date.now();
    const given: ProducerRecord[] = [
      { key: "clé", value: "wörth", timestamp: now, headers: [{ key: "h", value: Buffer.from([0, 255]) }, { key: "h", value: null }, { key: "", value: Buffer.alloc(0) }] },
      { key: null, value: null, timestamp: 0 },
      { key: "", value: "", timestamp: now - 86_400_000 },
      { key: Buffer.from([0xff]), value: Buffer.from([0xfe, 0]), timestamp: 1 },
      { key: "k".repeat(300), value: "v".repeat(70_000), timestamp: now },
    ];
    await producer.commit(outputs(batchOf(a, given)));
    await log.append(a, given);
    const found = await readRecords(log, a, 0, 10);
    const bytes = (value: Uint8Array | string | null): Buffer | null => (value === null ? null : Buffer.from(value as string));
    for (const [index, each] of found.entries()) {
      const expected = given[index % 5] as ProducerRecord;
      t.same(each.key, bytes(expected.key));
      t.same(each.value, bytes(expected.value));
      t.equal(each.timestamp, expected.timestamp);
      t.same(each.headers.map(({ key, value }) => [key, value]), (expected.headers ?? []).map(({ key, value }) => [key, value]));
    }
  });
  suite("a partition is the transaction's, else the record's, else the key's; without any, they take turns", async (t, { log, name }) => {
    const a = name("a");
    await log.createTopics([{ topic: a, partitions: 3 }]);
    const producer = await log.openProducer(name("id"));
    const free = { ...record("k", "free"), partition: 1 };
    await producer.commit(outputs(batchOf(a, [{ ...free, value: "given" }], 2), batchOf(a, [free])));
    for (let index = 0; index < 6; index++) await producer.commit(outputs(batchOf(a, [record(null, `turn ${index}`), record(null, `turn ${index}`)])));
    await producer.commit(outputs(...[0, 1, 2].map((partition) => batchOf(a, [record(null, "end")], partition))));
    const found: string[][] = [];
    for (const partition of [0, 1, 2]) {
      const all: string[] = [];
      let next = 0;
      await untilSo("the end", async () => {
        const { records, nextOffset } = await log.fetch(a, partition, next, LIMITS);
        all.push(...records.map(textOf));
        next = nextOffset;
        return all.at(-1) === "end";
      });
      t.ok(all.filter((value) => value.startsWith("turn")).length > 0, `partition ${partition} got a turn`);
      found.push(all);
    }
    t.equal(found[2]?.includes("given"), true);
    t.equal(found[1]?.includes("free"), true);
    await t.rejects(producer.commit(outputs(batchOf(a, [record("k", "v")], 3))), { code: "TOPIC_MISMATCH" });
  });
  suite("several megabytes for one partition are one transaction, in order", async (t, { log, name }) => {
    const a = name("a");
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const producer = await log.openProducer(name("id"));
    const large = Array.from({ length: 1_200 }, (_, index) => record(`k${index}`, `${index}:${"x".repeat(index % 400 === 0 ? 700_000 : 2_500)}`));
    const { nextOffsets } = await producer.commit(outputs(batchOf(a, large)));
    t.equal(nextOffsets.get(topicPartitionName(a, 0)), 1_200);
    const found = await readRecords(log, a, 0, 1_200);
    t.equal(found.length, 1_200);
    t.ok(found.every((each, index) => each.offset === index && each.value?.length === (large[index]?.value as string).length && textOf(each).startsWith(`${index}:`)));
  });
}

function administration(suite: ClusterSuite): void {
  suite("topics are made once, described as they are, and deleted", async (t, { log, name }) => {
    const a = name("a");
    t.equal(await log.describeTopic(a), undefined);
    t.equal(await log.partitionCount(a), undefined);
    await log.createTopics([{ topic: a, partitions: 3, config: { "retention.ms": "-1", "cleanup.policy": "delete" } }]);
    await log.createTopics([{ topic: a, partitions: 5 }]);
    const found = await log.describeTopic(a);
    t.same([found?.partitions, found?.config["retention.ms"], found?.config["cleanup.policy"]], [3, "-1", "delete"]);
    t.ok((found?.replicationFactor ?? 0) >= 1);
    await log.ensureTopic(a, { partitions: 3 });
    await t.rejects(log.ensureTopic(a, { partitions: 4 }), { code: "TOPIC_MISMATCH" });
    await log.deleteTopics([a, name("none")]);
    await untilSo("the topic is gone", async () => (await log.partitionCount(a)) === undefined);
  });
  suite("records before an offset can be dropped, and reading them is refused", async (t, { log, another, name }) => {
    const a = name("a");
    await log.createTopics([{ topic: a, partitions: 1 }]);
    const producer = await log.openProducer(name("id"));
    for (let index = 0; index < 4; index++) await producer.commit(outputs(batchOf(a, [record("k", `${index}`), record("k", `${index}`)])));
    const all = await readRecords(log, a, 0, 8);
    const keep = all[4]?.offset ?? 0;
    await log.deleteRecordsBefore(a, 0, keep);
    await untilSo("the start", async () => (await log.offsets(a, 0)).start === keep);
    t.same((await readRecords(log, a, 0, 4, keep)).map(textOf), ["2", "2", "3", "3"]);
    const error = await (await another()).fetch(a, 0, 0, LIMITS).then(() => undefined, (cause: unknown) => cause);
    t.ok(error instanceof TopologyError && error.code === "OFFSET_OUT_OF_RANGE" && error.place?.includes(a) === true, String(error));
    await log.deleteRecordsBefore(a, 0, keep - 1);
    t.equal((await log.offsets(a, 0)).start, keep, "never backwards");
  });
  suite("a group's offsets can be set and dropped while it has no members", async (t, { log, name }) => {
    const [a, group] = [name("a"), name("group")];
    await log.createTopics([{ topic: a, partitions: 2 }]);
    await log.deleteGroup(group);
    await log.setCommittedOffsets(group, [{ topic: a, partition: 0, offset: 4 }, { topic: a, partition: 1, offset: 0 }]);
    const committed = await log.committedOffsets(group, [{ topic: a, partition: 0 }, { topic: a, partition: 1 }]);
    t.same([committed.get(topicPartitionName(a, 0)), committed.get(topicPartitionName(a, 1))], [4, 0]);
    t.same(await log.describeGroup(group), { state: "Empty", members: [] });
    await log.deleteGroup(group);
    t.equal((await log.committedOffsets(group, [{ topic: a, partition: 0 }])).size, 0);
  });
}

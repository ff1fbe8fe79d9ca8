import t from "tap";
import { ByteWriter, type ClusterLog, type GroupAssignment, type GroupOptions, type ProducerRecord, type Transaction, writeFrame } from "../../src/index.ts";
import { type MemoryCluster, manualClock, memoryCluster, readPartition, sourceLogContract } from "../../src/testing.ts";

sourceLogContract((name, body) => t.test(name, body), async () => memoryCluster().connect());

function batch(topic: string, values: readonly string[], partition?: number): Transaction["batches"][number] {
  const writer = new ByteWriter();
  for (const value of values) writeFrame(writer, { key: null, value, timestamp: 5 } satisfies ProducerRecord);
  return { topic, frames: writer.take(), recordCount: values.length, ...(partition === undefined ? {} : { partition }) };
}

function transaction(topic: string, values: readonly string[], offset: number): Transaction {
  return { batches: [batch(topic, values, 0)], group: "g", positions: [{ topic: "in", partition: 0, offset }] };
}

const IN = [{ topic: "in", partition: 0 }];

async function cluster(seed = 1): Promise<{ cluster: MemoryCluster; log: ClusterLog }> {
  const made = memoryCluster({ seed });
  const log = made.connect();
  await log.createTopics([{ topic: "in", partitions: 1 }, { topic: "out", partitions: 2, config: { "retention.ms": "-1" } }]);
  return { cluster: made, log };
}

async function values(log: ClusterLog, topic: string, partition = 0): Promise<(string | undefined)[]> {
  return (await readPartition(log, topic, partition)).map((record) => record.value?.toString());
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 100_000; turn++) {
    if (await condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error("it never came");
}

t.test("a transaction's records and positions become readable together, and its end takes an offset", async (t) => {
  const { cluster: model, log } = await cluster();
  const producer = await log.openProducer("task");
  const { nextOffsets } = await producer.commit(transaction("out", ["a", "b"], 7));
  t.same([...nextOffsets], [["out-0", 2]]);
  await until(async () => (await log.offsets("out", 0)).end === 3);
  t.same(await values(log, "out"), ["a", "b"]);
  t.same([...(await log.committedOffsets("g", IN))], [["in-0", 7]]);
  await producer.commit(transaction("out", ["c"], 8));
  await until(async () => (await log.committedOffsets("g", IN)).get("in-0") === 8);
  t.same((await readPartition(log, "out", 0)).map(({ offset }) => offset), [0, 1, 3]);
  t.same(model.entriesOf("out", 0).map(({ kind }) => kind), ["record", "record", "commit", "record", "commit"]);
  t.same((await log.describeTopic("out"))?.config, { "retention.ms": "-1" });
});

t.test("an open transaction holds readers back, and the producer that takes over aborts it", async (t) => {
  const { cluster: model, log } = await cluster();
  const zombie = await model.connect().openProducer("task");
  model.failNext("any", "end", "before");
  await t.rejects(zombie.commit(transaction("out", ["lost"], 1)), { code: "KAFKA_TIMEOUT", retriable: true });
  await log.append("out", [{ key: null, value: "plain", timestamp: 1, partition: 0 }]);
  t.equal((await log.offsets("out", 0)).end, 0);
  t.same(await values(log, "out"), []);
  t.same((await log.openTransactions(Date.now() + 1_000)).map(({ transactionalId, partitions }) => [transactionalId, partitions]), [["task", [{ topic: "out", partition: 0 }]]]);
  await log.openProducer("task");
  t.same(await values(log, "out"), ["plain"]);
  t.equal((await log.committedOffsets("g", IN)).size, 0);
  t.same(await log.openTransactions(Date.now() + 1_000), []);
});

t.test("the end of a transaction whose reply is lost has happened, and is settled once the next producer is open", async (t) => {
  const { cluster: model, log } = await cluster();
  const producer = await log.openProducer("task");
  model.failNext(log, "end", "after");
  await t.rejects(producer.commit(transaction("out", ["there"], 4)), { code: "KAFKA_TIMEOUT" });
  await t.rejects(producer.commit(transaction("out", ["never"], 5)), { code: "KAFKA_REFUSED" });
  await log.openProducer("task");
  t.same(await values(log, "out"), ["there"]);
  t.equal((await log.committedOffsets("g", IN)).get("in-0"), 4);
});

t.test("an older producer is fenced at whichever request it makes next", async (t) => {
  for (const operation of ["produce", "offsets", "end"] as const) {
    const { cluster: model, log } = await cluster();
    const other = model.connect();
    const old = await other.openProducer("task");
    model.pause(other);
    const commit = old.commit(transaction("out", ["zombie"], 1));
    const outcome = t.rejects(commit, { code: "PRODUCER_FENCED", retriable: false });
    if (operation !== "produce") {
      // Lets requests through one by one until the wanted one is held back.
      model.resume(other);
      await until(() => model.entriesOf("out", 0).length > 0);
      model.pause(other);
    }
    const mine = await log.openProducer("task");
    await mine.commit(transaction("out", ["mine"], 1));
    model.resume(other);
    await outcome;
    await until(async () => (await values(log, "out")).length === 1);
    t.same(await values(log, "out"), ["mine"], operation);
  }
});

t.test("a dead client's calls never settle, and what it left open is aborted by the coordinator", async (t) => {
  const { cluster: model, log } = await cluster();
  const dying = model.connect();
  const producer = await dying.openProducer("task");
  let settled = 0;
  void producer.commit(transaction("out", ["half"], 1)).then(() => settled++, () => settled++);
  await until(() => model.entriesOf("out", 0).length > 0);
  model.crash(dying);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  const open = await log.openTransactions(Date.now() + 1_000);
  t.equal(settled, 0);
  t.equal(open.length, 1, "it was not over before");
  t.equal(await model.abortHanging(), 1);
  t.same(model.entriesOf("out", 0).map(({ kind, state }) => [kind, state]), [["record", "aborted"], ["abort", "aborted"]]);
  t.same(await values(log, "out"), []);
});

t.test("records before an offset go away, and topics keep their partitions", async (t) => {
  const { log } = await cluster();
  await log.append("in", ["a", "b", "c"].map((value) => ({ key: null, value, timestamp: 1 })));
  await log.deleteRecordsBefore("in", 0, 2);
  t.same(await log.offsets("in", 0), { start: 2, end: 3 });
  await t.rejects(log.fetch("in", 0, 1, { recordsMax: 1, bytesMax: 1 }), { code: "OFFSET_OUT_OF_RANGE" });
  await log.createTopics([{ topic: "in", partitions: 9 }]);
  t.equal(await log.partitionCount("in"), 1);
  await log.deleteTopics(["in"]);
  t.equal(await log.partitionCount("in"), undefined);
  t.equal(await log.describeTopic("in"), undefined);
});

interface Seen {
  readonly assigned: { readonly generation: number; readonly memberId: string; readonly text: string }[];
  readonly lost: string[];
}

function membership(seen: Seen, extra: Partial<GroupOptions> = {}): GroupOptions {
  return {
    group: "g",
    topics: ["in"],
    sessionTimeoutMs: 1_000,
    rebalanceTimeoutMs: 2_000,
    heartbeatIntervalMs: 100,
    userData: () => Buffer.from("me"),
    assign: async (members) => new Map(members.map(({ memberId }, index): [string, GroupAssignment] => [memberId, { partitions: { in: [index] }, userData: Buffer.from(`${index}/${members.length}`) }])),
    async onAssigned(assignment, generation, memberId) {
      seen.assigned.push({ generation, memberId, text: assignment.userData.toString() });
    },
    async onLost(reason) {
      seen.lost.push(reason);
    },
    onFailure(error) {
      seen.lost.push(error.message);
    },
    ...extra,
  };
}

const nothing = (): Seen => ({ assigned: [], lost: [] });

t.test("members share a group: one joins, another joins, one leaves", async (t) => {
  const clock = manualClock(1_000_000);
  const model = memoryCluster({ clock, seed: 3 });
  const [a, b] = [model.connect(), model.connect()];
  const [seenA, seenB] = [nothing(), nothing()];
  await a.joinGroup(membership(seenA));
  await until(() => seenA.assigned.length === 1);
  t.equal(seenA.assigned[0]?.text, "0/1");
  const joining = b.joinGroup(membership(seenB));
  await clock.advance(300);
  const second = await joining;
  await until(() => seenA.assigned.length === 2 && seenB.assigned.length === 1);
  t.same([seenA.assigned[1]?.text, seenB.assigned[0]?.text].sort(), ["0/2", "1/2"]);
  t.equal(seenA.assigned[1]?.generation, seenB.assigned[0]?.generation);
  t.same((await a.describeGroup("g")).members.map(({ clientId }) => clientId), ["client-1", "client-2"]);
  t.equal((await a.describeGroup("g")).state, "Stable");
  await t.rejects(a.setCommittedOffsets("g", [{ topic: "in", partition: 0, offset: 1 }]), { code: "CONFIG_INVALID" });
  await second.leave();
  await clock.advance(300);
  await until(() => seenA.assigned.length === 3);
  t.equal(seenA.assigned[2]?.text, "0/1");
  t.same([seenA.lost, seenB.lost], [[], []]);
  model.close();
});

t.test("a member whose session ended elsewhere hears of it at its next heartbeat, and joins again", async (t) => {
  const clock = manualClock(1_000_000);
  const model = memoryCluster({ clock });
  const log = model.connect();
  const seen = nothing();
  const member = await log.joinGroup(membership(seen));
  await until(() => seen.assigned.length === 1);
  t.equal(model.expire(log), 1);
  t.same(seen.lost, []);
  await clock.advance(150);
  await until(() => seen.assigned.length === 2);
  t.same(seen.lost, ["UNKNOWN_MEMBER_ID"]);
  t.not(seen.assigned[1]?.memberId, seen.assigned[0]?.memberId);
  t.ok(member.acknowledgedAt >= 1_000_100);
  await member.leave();
  model.close();
});

t.test("a dead member's session ends by the clock, and a former self that is named is not waited for", async (t) => {
  const clock = manualClock(1_000_000);
  const model = memoryCluster({ clock });
  const [a, b] = [model.connect(), model.connect()];
  const [seenA, seenB, seenC] = [nothing(), nothing(), nothing()];
  const joinA = a.joinGroup(membership(seenA));
  await joinA;
  const joinB = b.joinGroup(membership(seenB));
  await clock.advance(300);
  await joinB;
  await until(() => seenB.assigned.length === 1 && seenA.assigned.length === 2);
  model.crash(b);
  await clock.advance(900);
  t.equal(seenA.assigned.length, 2);
  await clock.advance(500);
  await until(() => seenA.assigned.length === 3);
  t.equal(seenA.assigned[2]?.text, "0/1");

  const former = seenA.assigned[2]?.memberId ?? "";
  model.crash(a);
  const c = model.connect();
  await c.joinGroup(membership(seenC, { formerMemberId: former }));
  await until(() => seenC.assigned.length === 1);
  t.equal(seenC.assigned[0]?.text, "0/1", "without any time passing");
  model.close();
});

t.test("those who do not join again in time are out of the group, and rejoin begins a generation", async (t) => {
  const clock = manualClock(1_000_000);
  const model = memoryCluster({ clock });
  const [a, b] = [model.connect(), model.connect()];
  const [seenA, seenB] = [nothing(), nothing()];
  let release: () => void = () => undefined;
  const busy = new Promise<void>((resolve) => (release = resolve));
  const first = await a.joinGroup(membership(seenA, { rebalanceTimeoutMs: 600 }));
  await until(() => seenA.assigned.length === 1);
  first.rejoin();
  await until(() => seenA.assigned.length === 2);
  t.equal(seenA.assigned[1]?.generation, 2);
  const joinB = b.joinGroup(membership(seenB, { rebalanceTimeoutMs: 600, onAssigned: () => busy }));
  await clock.advance(200);
  await joinB;
  await until(() => seenA.assigned.length === 3);
  first.rejoin();
  await clock.advance(500);
  t.equal(seenA.assigned.length, 3, "the busy one is waited for, its heartbeats go on");
  await clock.advance(300);
  await until(() => seenA.assigned.length === 4);
  t.equal(seenA.assigned[3]?.text, "0/1");
  release();
  await clock.advance(300);
  await until(() => seenB.lost.length === 1);
  model.close();
});

t.test("lost joins, syncs and heartbeats lead to the same group", async (t) => {
  for (const operation of ["join", "sync", "heartbeat"] as const) {
    for (const moment of ["before", "after"] as const) {
      const clock = manualClock(1_000_000);
      const model = memoryCluster({ clock });
      const log = model.connect();
      const seen = nothing();
      model.failNext(log, operation, moment);
      const joining = log.joinGroup(membership(seen));
      for (let step = 0; step < 100 && (seen.assigned.length === 0 || model.faultsLeft() > 0); step++) await clock.advance(20);
      await joining;
      t.equal(seen.assigned.at(-1)?.text, "0/1");
      t.equal(model.faultsLeft(), 0, `${operation} ${moment}: the fault struck`);
      t.equal((await log.describeGroup("g")).members.length, 1, `${operation} ${moment}: no ghost is left`);
      t.same(seen.lost, []);
      model.close();
    }
  }
});

/** F6 and F8: what others do to the input: transactions that abort, interleave, hang; everything delivered once more. */
import type { ScriptedProducer } from "../apache-client.ts";
import type { LoadRecord } from "../load.ts";
import { PARTITIONS, topicOf } from "../topology.ts";
import { onStage, pause, type Stage, until } from "../stage.ts";
import type { Fault } from "./fault.ts";

const ZERO_KEY = Buffer.from([0, 0, 0, 0]);
const HANGING_MS = 3_000;

/** Sends records of the load to one partition, where records of other keys stand too: in a transaction that aborts, they must never be seen. */
async function send(stage: Stage, producer: ScriptedProducer, partition: number, records: readonly LoadRecord[]): Promise<void> {
  for (const [index, record] of records.entries()) await producer.send(topicOf(stage.name, "input"), partition, index === 0 ? { ...record, key: ZERO_KEY } : record);
}

/** Two transactions in one partition, one within the other; each aborts or commits. Those that commit hold what cannot be read, so that no device is in two partitions. */
async function interleave(stage: Stage, names: readonly [string, string], partition: number): Promise<void> {
  const { apache } = stage.environment;
  const [a, b] = [apache.producer(names[0]), apache.producer(names[1])];
  const [endA, endB] = stage.random.pick([["abort", "abort"], ["abort", "commit"], ["commit", "abort"], ["abort", "abort"]] as const);
  const some = (end: "abort" | "commit"): LoadRecord[] => stage.load.draft(3).map((record) => (end === "commit" ? { ...record, value: "{" } : record));
  await a.begin();
  await send(stage, a, partition, some(endA));
  await b.begin();
  await send(stage, b, partition, some(endB));
  await send(stage, a, partition, some(endA));
  await a[endA]();
  await stage.feed(10);
  await send(stage, b, partition, some(endB));
  await b[endB]();
  stage.note(`transactions ${endA} and ${endB}`);
}

export const inputFaults: readonly Fault[] = [
  {
    family: "F6",
    name: "transactions-in-input",
    what: "aborted and interleaved transactions, int32 key 0 first in each, control batches alone, by Apache's producer",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client }, async (stage) => {
        const worker = stage.start();
        const names: readonly [string, string] = [`${stage.name}-script-a`, `${stage.name}-script-b`];
        for (let round = 0; round < 10; round++) {
          await interleave(stage, names, stage.random.below(PARTITIONS));
          await stage.feed(30);
          if (round === 4) await (await stage.restart(worker)).started;
        }
        // Partitions that end in markers alone: the group must come to their end all the same.
        const last = environment.apache.producer(names[0]);
        await last.begin();
        for (let partition = 0; partition < PARTITIONS; partition++) await send(stage, last, partition, stage.load.draft(2));
        await last.abort();
        stage.note("markers alone at the end");
        await until("the group is behind the markers at the end", () => stage.isAtEnd());
      }),
  },
  {
    family: "F6",
    name: "transaction-hanging",
    what: "a transaction is left open in the input: the alarm names it and the partition, other partitions go on; when it is aborted the alarm ends and nothing is missing",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, hangingTransactionMs: HANGING_MS }, async (stage) => {
        const worker = stage.start();
        await worker.started;
        await stage.feed(100);
        await stage.progress();
        const id = `${stage.name}-hanging`;
        const partition = stage.random.below(PARTITIONS);
        const producer = environment.apache.producer(id);
        await producer.begin();
        await send(stage, producer, partition, stage.load.draft(3));
        await producer.abandon();
        stage.note("transaction left open");
        await stage.feed(200);
        const hanging = async () => (await worker.status())?.cluster?.hangingTransactions ?? [];
        await until("the alarm is raised", async () => (await hanging()).length > 0);
        const [alarm] = await hanging();
        if (alarm?.transactionalId !== id || alarm.partitions.join() !== `${topicOf(stage.name, "input")}-${partition}`) stage.findings.problems.push(`the alarm says ${JSON.stringify(alarm)}`);
        if (worker.said("TRANSACTION_HANGING").length !== 1) stage.findings.problems.push("the alarm is not once in the log");
        await stage.feed(100);
        await stage.progress();
        // Another producer with its id settles it.
        const next = environment.apache.producer(id);
        await next.begin();
        await next.abort();
        await until("the alarm ends", async () => (await hanging()).length === 0);
      }),
  },
  {
    family: "F8",
    name: "delivered-again",
    what: "the whole input delivered once more, twice, with a kill -9 between; events years off and out of order are in every load",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, clickhouse: seed % 2 === 0 }, async (stage) => {
        const worker = stage.start();
        await stage.feed(500);
        await stage.progress();
        await stage.append(stage.load.all());
        stage.note("input again");
        const next = await stage.restart(worker);
        await next.started;
        await stage.feed(100);
        await pause(300);
        await stage.append(stage.load.all());
        stage.note("input again");
      }),
  },
];

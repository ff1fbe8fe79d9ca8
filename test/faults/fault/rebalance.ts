/** F4: instances that come and go under load; topics that change under a running topology. */
import { PARTITIONS, topicOf } from "../topology.ts";
import { onStage, pause, type Stage, until } from "../stage.ts";
import type { WorkerProcess } from "../worker-process.ts";
import type { Fault } from "./fault.ts";

/** Waits for a worker to fail for good, and notes a problem where the error is another. */
export async function expectFailure(stage: Stage, worker: WorkerProcess, code: string): Promise<void> {
  await until(`the worker fails with ${code}`, () => worker.failure !== undefined || !worker.isAlive, 45_000);
  const { failure } = worker;
  if (failure?.code !== code) stage.findings.problems.push(`the worker failed with ${failure?.code ?? "nothing"} instead of ${code}: ${failure?.message ?? ""}`);
  else if (!/cure: \S/.test(failure.message)) stage.findings.problems.push(`${code} comes without a cure: ${failure.message}`);
  stage.dismiss(worker);
}

export const rebalanceFaults: readonly Fault[] = [
  {
    family: "F4",
    name: "join-and-leave",
    what: "instances join and leave every second or two under load",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, clickhouse: seed % 3 === 0, standbyReplicas: seed % 2 }, async (stage) => {
        await stage.start().started;
        for (let change = 0; change < 8; change++) {
          for (let slice = 0; slice < 8; slice++) {
            await stage.feed(30);
            await pause(stage.random.below(120));
          }
          const workers = stage.alive;
          if (workers.length > 1 && (workers.length > 3 || stage.random.oneIn(2))) {
            const leaver = stage.random.pick(workers);
            stage.note("leave");
            leaver.stop();
            await leaver.ended;
          } else {
            stage.note("join");
            const folder = stage.workers.find(({ isAlive }) => !isAlive)?.setup.stateDir;
            const isFree = folder !== undefined && workers.every(({ setup }) => setup.stateDir !== folder);
            await stage.start(isFree ? { stateDir: folder } : {}).started;
          }
        }
      }),
  },
  {
    family: "F4",
    name: "partitions-raised",
    what: "the input gets more partitions under a running topology: refused by name, with the cure, running and at the start",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, endsRefused: true }, async (stage) => {
        const worker = stage.start();
        await stage.feed(300);
        await stage.progress();
        await environment.kafka.apache?.run("TopicCommand", ["--alter", "--topic", topicOf(stage.name, "input"), "--partitions", String(PARTITIONS + 2)]);
        stage.note("partitions raised");
        await expectFailure(stage, worker, "TOPIC_MISMATCH");
        await expectFailure(stage, stage.start(), "TOPIC_MISMATCH");
      }),
  },
  {
    family: "F4",
    name: "topic-made-anew",
    what: "the input is deleted and made again: refused by name, with the cure",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, endsRefused: true }, async (stage) => {
        const worker = stage.start();
        await stage.feed(300);
        await stage.progress();
        await pause(500);
        const input = topicOf(stage.name, "input");
        await stage.log.deleteTopics([input]);
        stage.note("topic deleted");
        await expectFailure(stage, worker, "TOPIC_NOT_FOUND");
        await until("the topic can be made again", async () => {
          await stage.log.createTopics([{ topic: input, partitions: PARTITIONS }]);
          return (await stage.log.partitionCount(input)) === PARTITIONS;
        });
        await expectFailure(stage, stage.start({ stateDir: worker.setup.stateDir }), "OFFSET_OUT_OF_RANGE");
      }),
  },
];

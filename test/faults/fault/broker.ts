/** F5: brokers that stop, die and come back under load; one of three gone while its partitions' leaders move. */
import { onStage, pause, type Stage } from "../stage.ts";
import type { Fault } from "./fault.ts";

const THREE = { count: 3 } as const;

/** Feeds in the background until the work is done, so that faults come into the middle of appends too. */
async function whileFeeding(stage: Stage, work: () => Promise<void>): Promise<void> {
  let isDone = false;
  const feeding = (async () => {
    while (!isDone) {
      await stage.feed(20);
      await pause(80);
    }
  })();
  try {
    await work();
  } finally {
    isDone = true;
    await feeding;
  }
}

export const brokerFaults: readonly Fault[] = [
  {
    family: "F5",
    name: "broker-bounced",
    what: "the only broker is stopped cleanly or killed -9, and started again, five times under load",
    kafka: { own: true },
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, clickhouse: seed % 3 === 0 }, async (stage) => {
        await Promise.all([stage.start().started, stage.start().started]);
        await whileFeeding(stage, async () => {
          for (let bounce = 0; bounce < 5; bounce++) {
            await stage.progress();
            await pause(stage.random.below(400));
            const how = (bounce + seed) % 2 === 0 ? "kill" : "stop";
            stage.note(`broker ${how}`);
            await environment.kafka.bounce(1, how);
          }
          await stage.progress();
        });
      }),
  },
  {
    family: "F5",
    name: "one-of-three",
    what: "one of three brokers is killed -9 while leaders move, and comes back, three times; three replicas, two must have a write",
    kafka: THREE,
    run: (environment, seed, client) =>
      onStage(environment, { seed, client }, async (stage) => {
        await Promise.all([stage.start().started, stage.start().started]);
        await whileFeeding(stage, async () => {
          for (let round = 0; round < 3; round++) {
            await stage.progress();
            const node = 1 + ((seed + round) % 3);
            await pause(stage.random.below(400));
            stage.note(`broker ${node} killed`);
            await environment.kafka.kill(node);
            await stage.progress();
            await pause(stage.random.below(1_000));
            await environment.kafka.start(node);
          }
          await stage.progress();
        });
      }),
  },
];

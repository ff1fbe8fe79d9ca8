/** F1: kill -9 at every step of the replicated commit and of the delivery to ClickHouse, and at random moments. */
import { rmSync } from "node:fs";
import { onStage, pause, type Stage, until } from "../stage.ts";
import type { WorkerProcess } from "../worker-process.ts";
import type { Fault } from "./fault.ts";

const COMMIT_STEPS = [
  "commit.before-seal", "commit.before-transaction",
  "kafka.txn.before-begin", "kafka.txn.after-add-partitions", "kafka.txn.after-add-offsets", "kafka.txn.after-produce", "kafka.txn.after-offset-commit", "kafka.txn.before-end", "kafka.txn.after-end",
  "commit.after-transaction", "commit.after-write", "commit.after-committed",
] as const;
/** The verification of a batch comes only where one was uncertain, so it follows on the kill that makes it so. */
const DELIVERY_STEPS = ["deliver.before-send", "clickhouse.after-insert", "clickhouse.after-verify", "deliver.after-send", "deliver.after-acknowledge"] as const;

/** Feeds until the worker has been killed by its failpoint. */
async function feedUntilKilled(stage: Stage, worker: WorkerProcess, step: string): Promise<void> {
  await worker.started;
  await until(`failpoint ${step} fires`, async () => {
    if (!worker.isAlive) return true;
    await stage.feed(12);
    await pause(60);
    return !worker.isAlive;
  });
  if (worker.failpoint !== step) throw new Error(`the worker ended without failpoint ${step}: ${JSON.stringify(worker.failure ?? (await worker.ended))}`);
  stage.note(`kill -9 at ${step}`);
}

async function killAt(stage: Stage, steps: readonly string[]): Promise<void> {
  // Every other run has a second worker that goes on meanwhile and takes the tasks over.
  const other = stage.options.seed % 2 === 0 ? stage.start() : undefined;
  await other?.started;
  let folder: string | undefined;
  for (const step of steps) {
    const passage = step.startsWith("clickhouse.after-verify") ? 1 : 1 + stage.random.below(4);
    const worker = stage.start({ failpoint: `${step}=${passage}`, ...(folder === undefined ? {} : { stateDir: folder }) });
    folder = worker.setup.stateDir;
    await feedUntilKilled(stage, worker, step);
  }
  stage.start(folder === undefined ? {} : { stateDir: folder });
}

function shuffled<T>(stage: Stage, items: readonly T[]): T[] {
  const rest = [...items];
  return items.map(() => rest.splice(stage.random.below(rest.length), 1)[0] as T);
}

export const killFaults: readonly Fault[] = [
  {
    family: "F1",
    name: "kill-in-commit",
    what: "kill -9 at each of the 12 steps of the replicated commit, in random order",
    run: (environment, seed, client) => onStage(environment, { seed, client }, (stage) => killAt(stage, shuffled(stage, COMMIT_STEPS))),
  },
  {
    family: "F1",
    name: "kill-in-delivery",
    what: "kill -9 at each of the 5 steps of the delivery to ClickHouse",
    run: (environment, seed, client) => onStage(environment, { seed, client, clickhouse: true }, (stage) => killAt(stage, DELIVERY_STEPS)),
  },
  {
    family: "F1",
    name: "kill-at-random",
    what: "kill -9 at random moments under load, one worker of two each time",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, clickhouse: seed % 3 === 0, standbyReplicas: seed % 2 }, async (stage) => {
        await Promise.all([stage.start().started, stage.start().started]);
        for (let kill = 0; kill < 8; kill++) {
          await stage.feed(150);
          await pause(stage.random.below(400));
          const victim = stage.random.pick(stage.alive);
          stage.note("kill -9");
          await (await stage.restart(victim)).started;
        }
      }),
  },
  {
    family: "F7",
    name: "disk-lost",
    what: "kill -9 and the local folder gone, so that every store comes from its changelog",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client }, async (stage) => {
        let worker = stage.start();
        await worker.started;
        for (let loss = 0; loss < 4; loss++) {
          await stage.feed(300);
          await stage.progress();
          await pause(stage.random.below(200));
          worker.signal("SIGKILL");
          await worker.ended;
          rmSync(worker.setup.stateDir, { recursive: true, force: true });
          stage.note("folder removed");
          worker = stage.start({ stateDir: worker.setup.stateDir });
          await worker.started;
        }
      }),
  },
];

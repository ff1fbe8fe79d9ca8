/** Random schedules: whatever comes, in any order, in a few seconds of load. */
import { rmSync } from "node:fs";
import type { Environment } from "../environment.ts";
import { type Client, onStage, pause, type RunResult, type Stage } from "../stage.ts";

type Action = "kill" | "kill-and-lose-disk" | "stop-and-continue" | "join" | "leave" | "bounce" | "feed";

const WORKERS_MAX = 3;
let bouncing: Promise<void> = Promise.resolve();

/** One bounce at a time, whoever asks. */
async function bounce(environment: Environment, how: "kill" | "stop"): Promise<void> {
  const before = bouncing;
  let done = (): void => {};
  bouncing = new Promise((resolve) => (done = resolve));
  await before;
  try {
    await environment.kafka.bounce(1, how);
  } finally {
    done();
  }
}

function choose(stage: Stage, bounces: boolean): Action {
  const actions: Action[] = ["feed", "kill", "kill", "stop-and-continue", "kill-and-lose-disk"];
  if (stage.alive.length < WORKERS_MAX) actions.push("join", "join");
  if (stage.alive.length > 1) actions.push("leave");
  if (bounces) actions.push("bounce");
  return stage.random.pick(actions);
}

async function act(stage: Stage, environment: Environment, action: Action): Promise<void> {
  const { random } = stage;
  const victim = random.pick(stage.alive);
  if (action === "feed") return;
  stage.note(action);
  if (action === "kill") await stage.restart(victim);
  else if (action === "kill-and-lose-disk") {
    victim.signal("SIGKILL");
    await victim.ended;
    rmSync(victim.setup.stateDir, { recursive: true, force: true });
    stage.start({ stateDir: victim.setup.stateDir });
  } else if (action === "stop-and-continue") {
    victim.signal("SIGSTOP");
    await stage.feed(40);
    await pause(random.pick([50, 400, 2_500]));
    victim.signal("SIGCONT");
  } else if (action === "join") stage.start();
  else if (action === "leave") {
    victim.stop();
    await victim.ended;
  } else await bounce(environment, random.oneIn(2) ? "kill" : "stop");
}

/** Runs one schedule. One in four feeds ClickHouse, one in six has a broker that bounces. */
export function runSchedule(environment: Environment, seed: number, client: Client): Promise<RunResult> {
  return onStage(environment, { seed, client, clickhouse: seed % 4 === 0, standbyReplicas: seed % 3 === 0 ? 1 : 0 }, async (stage) => {
    const workers = Array.from({ length: 1 + stage.random.below(2) }, () => stage.start());
    await Promise.race(workers.map(({ started }) => started));
    const count = 3 + stage.random.below(4);
    for (let step = 0; step < count; step++) {
      await stage.feed(30 + stage.random.below(90));
      await pause(stage.random.below(500));
      await act(stage, environment, choose(stage, seed % 6 === 5 && step % 2 === 0));
    }
    if (stage.fired.length > 0) return;
    stage.note("kill");
    await stage.restart(stage.random.pick(stage.alive));
  });
}

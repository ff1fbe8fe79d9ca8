/** F3: an instance that is stopped for longer than its session, while another takes its tasks over, and then wakes up in the middle of what it was doing. */
import { onStage, pause, until } from "../stage.ts";
import type { Fault } from "./fault.ts";

const TASKS = 8;

export const zombieFaults: readonly Fault[] = [
  {
    family: "F3",
    name: "zombie",
    what: "SIGSTOP past the session under load, another takes over, SIGCONT",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, clickhouse: seed % 3 === 0 }, async (stage) => {
        const workers = [stage.start(), stage.start()];
        await Promise.all(workers.map(({ started }) => started));
        await stage.feed(200);
        await stage.progress();
        for (let round = 0; round < 3; round++) {
          const [zombie, other] = round % 2 === 0 ? workers : [...workers].reverse();
          if (zombie === undefined || other === undefined) return;
          const feeding = (async () => {
            for (let slice = 0; slice < 12; slice++) {
              await stage.feed(25);
              await pause(20);
            }
          })();
          await pause(stage.random.below(200));
          zombie.signal("SIGSTOP");
          await feeding;
          await until("the other worker has all tasks", async () => (await other.status())?.tasks.length === TASKS);
          await stage.feed(100);
          await stage.progress();
          stage.note("zombie wakes");
          zombie.signal("SIGCONT");
          await stage.feed(100);
          await until("the zombie has its share again", async () => ((await zombie.status())?.tasks.length ?? 0) === TASKS / 2);
        }
      }),
  },
];

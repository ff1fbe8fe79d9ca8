/** F12: another version of the topology comes to a group that runs. */
import { onStage, pause, until } from "../stage.ts";
import type { Fault } from "./fault.ts";

export const versionFaults: readonly Fault[] = [
  {
    family: "F12",
    name: "schema-widened",
    what: "a version that reads one more field, with a default, takes over instance by instance under load",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client }, async (stage) => {
        const old = [stage.start(), stage.start()];
        await Promise.all(old.map(({ started }) => started));
        await stage.feed(200);
        await stage.progress();
        for (const worker of old) {
          await stage.feed(100);
          stage.note("instance replaced");
          const next = stage.start({ variant: { change: "wider" } });
          await next.started;
          await stage.feed(100);
          worker.stop();
          await worker.ended;
        }
        await stage.progress();
      }),
  },
  {
    family: "F12",
    name: "shape-changed",
    what: "a process with another shape of the topology, and one with a new version, join the group: they get no tasks and say why, and the work goes on",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client }, async (stage) => {
        const worker = stage.start();
        await worker.started;
        await stage.feed(200);
        await stage.progress();
        for (const variant of [{ change: "other" }, { version: 2 }] as const) {
          const stranger = stage.start({ variant });
          await until("the stranger is told why it gets no tasks", () => stranger.said("no tasks").some((line) => line.includes("another version or shape")));
          stage.note(`joined by ${JSON.stringify(variant)}`);
          await stage.feed(150);
          await stage.progress();
          const tasks = (await stranger.status())?.tasks.length ?? 0;
          if (tasks > 0) stage.findings.problems.push(`a process of another shape got ${tasks} tasks`);
          stranger.stop();
          await stranger.ended;
        }
      }),
  },
  {
    family: "F12",
    name: "version-raised",
    what: "the next version of the topology waits in the group, and goes on with the state when the former leaves, by itself or by kill -9",
    run: (environment, seed, client) =>
      onStage(environment, { seed, client, finalVariant: { version: 2 }, clickhouse: seed % 2 === 0 }, async (stage) => {
        const worker = stage.start();
        await worker.started;
        await stage.feed(300);
        await stage.progress();
        const next = stage.start({ variant: { version: 2 } });
        await next.started;
        await stage.feed(100);
        await pause(500);
        stage.note("former version leaves");
        if (seed % 2 === 0) worker.stop();
        else worker.signal("SIGKILL");
        await worker.ended;
        await until("the next version has all tasks", async () => (await next.status())?.tasks.length === 8);
        await stage.feed(100);
        await stage.progress();
      }),
  },
];

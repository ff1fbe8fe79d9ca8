/** Random schedules of the topologies here, and that the simulator itself is right: the same seed is the same run, and what it says of a failure replays it. */
import t from "tap";
import { type ExpectedOutcome, exactly, simulate, type SimulatedRecord, type SimulationOptions } from "@iot-topology/core/testing";
import { plant } from "./plant.ts";
import { topologies } from "./topologies.ts";

const SCHEDULES = 80;
/** Its schedules have several times the events of the others'. */
const DIRECTORY_SCHEDULES = 40;
const SEED = Number(process.env["SEED"] ?? "1");

t.setTimeout(110_000);

for (const { name, topology, ...options } of topologies) {
  t.test(`whatever happens to ${name}, what comes out is the model's`, async (t) => {
    const schedules = name === "directory" ? DIRECTORY_SCHEDULES : SCHEDULES;
    const { failure, faults, records } = await simulate(topology, { ...options, seed: SEED, schedules });
    t.comment(`seeds ${SEED} to ${SEED + schedules - 1}`);
    t.same(failure?.problems, undefined, failure === undefined ? "nothing is wrong" : `seed ${failure.seed}, ${failure.mode}: ${failure.schedule.join("; ")}`);
    t.ok(records > 10 * schedules);
    for (const kind of ["kill", "power-cut", "stop", "pause", "disk-full", "join", "lost", "expire", "abort-hanging", "mishap"]) t.ok((faults[kind] ?? 0) > 5, `${kind} struck ${faults[kind] ?? 0} times while there was work`);
  });
}

t.test("the same seed is the same run, event for event, and another seed is another", async (t) => {
  const run = (seed: number) => simulate(plant.topology, { ...plant, seed, schedules: 20 });
  const first = await run(7);
  const second = await run(7);
  t.equal(first.digest, second.digest);
  t.equal(first.steps, second.steps);
  t.not((await run(8)).digest, first.digest);
});

/** A model that forgets one reading: whatever the engine does, it is wrong. */
function wrongModel(records: readonly SimulatedRecord[]): ExpectedOutcome {
  const { outputs } = plant.model(records);
  const { history } = outputs;
  if (history?.kind !== "exactly") throw new Error("the history is compared row by row");
  return { outputs: { history: exactly(history.rows.filter((row) => (row as { seq: number }).seq !== 3)) } };
}

t.test("a schedule that goes wrong is made smaller, and what is left of it replays it", async (t) => {
  const options: SimulationOptions = { ...plant, model: wrongModel, seed: 11, schedules: 20 };
  const { failure } = await simulate(plant.topology, options);
  if (failure === undefined) throw new Error("a wrong model was not noticed");
  t.equal(failure.only.records.length, 1, "one reading is enough to show it");
  t.equal(failure.only.items.length, 0, "and no fault");
  t.match(failure.problems[0], /^history: 1 rows are too much or wrong: .*"seq":3/);
  t.ok(failure.trace.length > 10);
  const again = await simulate(plant.topology, { ...options, seed: failure.seed, schedules: 1, only: failure.only, modes: [failure.mode] });
  t.same(again.failure?.problems, failure.problems);
  t.same(again.failure?.trace, failure.trace, "event for event");
});

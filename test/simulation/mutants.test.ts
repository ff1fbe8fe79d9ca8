/** The simulator finds each of a set of planted bugs: a check that cannot fail is no check. */
import t from "tap";
import { catchAll } from "./hunt.ts";
import { mutants } from "./mutants.ts";

const SCHEDULES = 1_500;

t.setTimeout(110_000);

t.test("each planted bug is found", async (t) => {
  const names = mutants.map(({ name }) => name);
  t.equal(new Set(names).size, names.length);
  const catches = await catchAll(mutants, { schedules: SCHEDULES, jobs: 2, seed: 1, tell: (line) => t.comment(line.split("\n")[0]) });
  t.equal(catches.length, mutants.length);
  for (const { mutant, foundAfter } of catches) t.ok(foundAfter !== undefined, `${mutant.name}: ${mutant.what}`);
});

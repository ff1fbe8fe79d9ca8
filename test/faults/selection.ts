/**
 * `npm run faults:short`: a selection of the faults of `npm run faults`, and that the checks behind them can fail. Apart from the tests for its minute and a half. Exit code 1 where
 * something is wrong, 3 where Java or Maven is missing.
 */
import t from "tap";
import { openEnvironment } from "./environment.ts";
import { faults } from "./fault/index.ts";
import { runSchedule } from "./fault/schedule.ts";
import { compareSequences, compareSets, noFindings } from "./findings.ts";
import { onStage, type RunResult } from "./stage.ts";
import { topicOf } from "./topology.ts";

const SELECTION = ["kill-at-random", "zombie", "transactions-in-input"] as const;
const SEED = Number(process.env["FAULTS_SEED"] ?? 1);

t.setTimeout(480_000);

t.test("differences are seen: what is missing, what is there twice, what is in another order", (t) => {
  const findings = noFindings();
  compareSets(findings, "set", ["a", "b", "b", "x"], ["a", "b", "c"]);
  t.match(findings, { lost: 1, doubled: 2, problems: ["set: 1 lost, as c", "set: 2 too many, as b (repeated)"] });
  const order = noFindings();
  compareSequences(order, "list", ["b", "a"], ["a", "b"]);
  t.match(order, { lost: 0, doubled: 0, problems: ["list: out of order at 0: b instead of a"] });
  t.end();
});

const environment = await openEnvironment({ own: true });
if (environment === undefined) process.exit(3);
else {
  t.teardown(() => environment.close());
  const check = (t: { same: typeof import("tap").t.same; ok: typeof import("tap").t.ok }, { seed, client, fired, lost, doubled, problems }: RunResult): void => {
    t.same({ lost, doubled, problems }, { lost: 0, doubled: 0, problems: [] }, `seed ${seed}, ${client}`);
    t.ok(fired.length > 0, `${fired.length} fired`);
  };
  void t.test("rows that the topology did not write are found", async (t) => {
    const result = await onStage(environment, { seed: SEED, client: "kafkajs" }, async (stage) => {
      stage.start();
      await stage.feed(100);
      await stage.log.append(topicOf(stage.name, "clean"), [{ key: "d1", value: '{"device":"d1","seq":7000000,"site":"north","value":1,"at":0}', timestamp: 0 }]);
      await stage.log.append(topicOf(stage.name, "dead"), [{ key: null, value: '{"partition":9,"offset":9,"code":"NONE"}', timestamp: 0 }]);
    });
    t.match(result, { lost: 0, doubled: 2 });
    t.equal(result.problems.length, 2, result.problems.join("; "));
  });
  for (const [index, name] of SELECTION.entries()) {
    const fault = faults.find((each) => each.name === name);
    void t.test(`${fault?.family} ${fault?.what}`, async (t) => {
      environment.checks.tools = name === "zombie";
      if (fault === undefined) throw new Error(`there is no fault ${name}`);
      check(t, await fault.run(environment, SEED + index, index % 2 === 0 ? "platformatic" : "kafkajs"));
    });
  }
  void t.test("a random schedule", async (t) => check(t, await runSchedule(environment, SEED + 3, "platformatic")));
}

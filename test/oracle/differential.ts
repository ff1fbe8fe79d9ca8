/**
 * `npm run differential -- [--cases N] [--seed N] [--family F] [--keep DIR] [--differences N]`: N new cases a family from a seed, through Kafka Streams and
 * through our engine. Cases that fail can be kept as files for `npm run oracle`. Exit code 1 where any case fails; 3 where Java or Maven is missing.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FAMILY_NAMES, generateCase, type UnansweredCase } from "./generate/generate.ts";
import { judge } from "./judge.ts";
import { answers, buildKafkaStreams } from "./kafka-streams.ts";
import { type JudgedCase, reportText } from "./report.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100" },
    seed: { type: "string" },
    family: { type: "string" },
    keep: { type: "string" },
    differences: { type: "string", default: "10" },
  },
});
const caseCount = Number(values.cases);
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
if (!Number.isSafeInteger(caseCount) || caseCount < 1 || !Number.isSafeInteger(seed)) {
  process.stderr.write("usage: npm run differential -- [--cases N] [--seed N] [--family F] [--keep DIR] [--differences N]\n");
  process.exit(2);
}

function* newCases(): Generator<UnansweredCase> {
  for (const family of values.family === undefined ? FAMILY_NAMES : [values.family]) {
    for (let number = 0; number < caseCount; number++) yield generateCase(family, seed, number);
  }
}

const kafkaStreams = await buildKafkaStreams();
if ("missing" in kafkaStreams) {
  process.stderr.write(`differential: SKIPPED, this needs ${kafkaStreams.missing}\n`);
  process.exit(3);
}
process.stdout.write(`seed ${seed}, ${caseCount} cases a family\n`);
const judged: JudgedCase[] = [];
for await (const answer of answers(kafkaStreams, newCases())) {
  if ("failure" in answer) throw new Error(`Kafka Streams fails on ${answer.case}: ${answer.failure}`);
  const verdict = judge(answer);
  judged.push({ test: { case: answer.case, family: answer.family }, verdict });
  if (verdict.kind !== "failed" || values.keep === undefined) continue;
  mkdirSync(values.keep, { recursive: true });
  writeFileSync(join(values.keep, `${answer.case}.json`), `${JSON.stringify(answer)}\n`);
}
process.stdout.write(`${reportText(judged, Number(values.differences))}\n`);
process.exitCode = judged.some(({ verdict }) => verdict.kind === "failed") ? 1 : 0;

/**
 * `npm run oracle -- DIR [--family F] [--case PREFIX] [--differences N]`: what our engine makes of a folder of cases beside what Kafka Streams was recorded to make.
 * Exit code 1 where any case fails, or where there is none.
 */
import { parseArgs } from "node:util";
import { casePaths, readCase } from "./case.ts";
import { judge } from "./judge.ts";
import { type JudgedCase, reportText } from "./report.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { family: { type: "string" }, case: { type: "string" }, differences: { type: "string", default: "10" } },
});
const [folder] = positionals;
if (folder === undefined || positionals.length > 1) {
  process.stderr.write("usage: npm run oracle -- DIR [--family F] [--case PREFIX] [--differences N]\n");
  process.exit(2);
}

const judged: JudgedCase[] = [];
for (const path of casePaths(folder)) {
  const test = readCase(path);
  if (values.family !== undefined && test.family !== values.family) continue;
  if (values.case !== undefined && !test.case.startsWith(values.case)) continue;
  judged.push({ test: { case: test.case, family: test.family }, verdict: judge(test) });
}
process.stdout.write(`${reportText(judged, Number(values.differences))}\n`);
if (judged.length === 0) process.stderr.write(`no case in ${folder}${values.family === undefined ? "" : ` of family ${values.family}`}\n`);
process.exitCode = judged.length === 0 || judged.some(({ verdict }) => verdict.kind === "failed") ? 1 : 0;

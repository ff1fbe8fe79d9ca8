// A topology of 200 steps must be type-checked in under 5 s: writes one, of steps of every family, and times the compiler over it.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { root } from "./sources.mjs";

const STEPS = 200;
const SECONDS_MAX = 5;
const folder = join(root, "node_modules", ".cache", "type-speed");
const families = [
  (n) => `const s${n} = s${n - 1}.filter(({ value }) => value > ${n});`,
  (n) => `const s${n} = s${n - 1}.map((value) => ({ ...value, c${n}: value.value * ${n} }));`,
  (n) => `const s${n} = s${n - 1}.peek(({ id }) => void id);`,
  (n) => `const s${n} = s${n - 1}.dedup("dedup-${n}", { by: ["id", "seq"] });`,
  (n) => `const s${n} = s${n - 1}.rekey(({ id }) => id);`,
  (n) => `const { big: s${n} } = s${n - 1}.branch({ big: ({ value }) => value > ${n} });`,
  (n) => `s${n - 1}.groupBy("id", "seq").windowed(tumbling(hours(${n}), { grace: hours(1) })).aggregate("hourly-${n}", { n: count(), total: sum("value") }).sink(collect("hourly-${n}")); const s${n} = s${n - 1};`,
  (n) => `const t${n} = s${n - 1}.groupByKey().aggregate("total-${n}", { value: serde.json<{ id: string; seq: number; value: number }>(), init: () => ({ id: "", seq: 0, value: 0 }), add: (total, { id, seq, value }) => ({ id, seq, value: total.value + value }) }); const s${n} = t${n}.filter(({ value }) => value > ${n}).mapValues((value) => ({ ...value, d${n}: 1 })).toStream().flatMap((value) => (value === null ? [] : [value]));`,
  (n) => `const m${n} = s${n - 1}.map(({ id, seq, value }) => ({ id, seq, value })); const s${n} = m${n}.join(m${n}, (left, right) => ({ ...left, e${n}: right.value }), { name: "join-${n}", within: joinWindow({ before: 0, after: hours(1), grace: 0 }), left: serde.json<{ id: string; seq: number; value: number }>(), right: serde.json<{ id: string; seq: number; value: number }>() });`,
  (n) => `s${n - 1}.groupByKey().windowed(session(hours(1), { grace: 0 }), { emit: "close" }).count("visits-${n}").toStream().sink(collect("visits-${n}")); const s${n} = s${n - 1};`,
];
const lines = [
  'import { c, count, defineTopology, hours, joinWindow, record, serde, session, sum, tumbling } from "@iot-topology/core";',
  'import { collect } from "@iot-topology/core/testing";',
  'const Reading = record("Reading", { id: c.string(), seq: c.int32(), value: c.float64() });',
  'export default defineTopology("big", (b) => {',
  'const s0 = b.source("in").cast(Reading);',
  ...Array.from({ length: STEPS }, (_, n) => families[n % families.length](n + 1)),
  `s${STEPS}.sink(collect("out"));`,
  "});",
];
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "topology.ts"), lines.join("\n"));
const { config } = ts.readConfigFile(join(root, "tsconfig.base.json"), ts.sys.readFile);
const given = { ...config.compilerOptions, noEmit: true, isolatedDeclarations: false, noUnusedLocals: false, typeRoots: [join(root, "node_modules", "@types")] };
const { options } = ts.convertCompilerOptionsFromJson(given, root);
// CPU time, so that whatever else the machine does is not counted; it holds the compiler's start and the reading of all files too.
const startedAt = process.cpuUsage();
const program = ts.createProgram([join(folder, "topology.ts"), join(root, "types", "node-buffer.d.ts")].filter((file) => ts.sys.fileExists(file)), options);
const errors = ts.getPreEmitDiagnostics(program, program.getSourceFile(join(folder, "topology.ts")));
const { user, system } = process.cpuUsage(startedAt);
const seconds = (user + system) / 1e6;
process.stdout.write(ts.formatDiagnostics(errors, { getCurrentDirectory: () => root, getCanonicalFileName: (name) => name, getNewLine: () => "\n" }));
process.stdout.write(`${STEPS} steps: type-checked in ${seconds.toFixed(1)} s of CPU\n`);
if (errors.length > 0 || seconds >= SECONDS_MAX) {
  process.stderr.write(`a topology of ${STEPS} steps must be type-checked in under ${SECONDS_MAX} s\n`);
  process.exitCode = 1;
}

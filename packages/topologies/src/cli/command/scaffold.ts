/** The files of a new project, by path. `version` is that of the packages it depends on. */
export function scaffold(name: string, version: string): ReadonlyMap<string, string> {
  const range = `^${version}`;
  const packageJson = {
    name,
    version: "0.1.0",
    private: true,
    type: "module",
    scripts: {
      start: "iot-topology start ./topology.ts",
      sample: "iot-topology start ./topology.ts --input sample.ndjson --key sensor --until-end",
      describe: "iot-topology describe ./topology.ts",
      test: "node --test",
      check: "iot-topology check ./topology.ts",
    },
    dependencies: { "@iot-topology/connectors": range, "@iot-topology/core": range, "iot-topology": range },
    devDependencies: { "@types/node": "^24.0.0", node: "^24.0.0", typescript: "~6.0.0" },
    allowScripts: { node: true, "classic-level": true, chdb: true },
  };
  return new Map([
    ["package.json", json(packageJson)],
    ["tsconfig.json", json(TSCONFIG)],
    ["topology.ts", topologyFile(databaseName(name))],
    ["topology.test.ts", TEST],
    ["sample.ndjson", SAMPLE],
    ["README.md", readme(name, databaseName(name))],
    [".gitignore", "node_modules/\n.iot-topology/\n"],
  ]);
}

/** A name that npm takes: from what the folder is called. */
export function packageName(folderName: string): string {
  const cleaned = folderName.toLowerCase().replace(/[^a-z0-9-]+/g, "-").replace(/^-+|-+$/g, "");
  return cleaned === "" ? "my-topology" : cleaned;
}

const databaseName = (name: string) => name.replaceAll("-", "_").replace(/^(\d)/, "t$1");
const json = (value: object) => `${JSON.stringify(value, undefined, 2)}\n`;

const TSCONFIG = {
  compilerOptions: {
    target: "ES2024",
    module: "NodeNext",
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    erasableSyntaxOnly: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    types: ["node"],
  },
  include: ["*.ts"],
};

const topologyFile = (name: string) => `import { avg, c, count, days, defineTopology, hours, max, record, tumbling } from "@iot-topology/core";
import { clickhouse } from "@iot-topology/connectors/clickhouse";

// One declaration: the TypeScript type, the reading of loose JSON, and the ClickHouse columns.
const Measurement = record("Measurement", {
  id: c.string({ nonEmpty: true }),
  sensor: c.string({ nonEmpty: true }),
  at: c.dateTime64(3, "UTC"),
  celsius: c.float64(),
});

const Hour = record("Hour", {
  window_start: c.dateTime64(3, "UTC"),
  sensor: c.string(),
  n: c.uint64(),
  avg: c.float64(),
  max: c.float64(),
  updates: c.uint64(),
});

export default defineTopology("${name}", (t) => {
  // What does not fit is kept, with its reason: \`iot-topology dlq list\`.
  const refused = t.deadLetter("refused");
  refused.sink(clickhouse.deadLetters("dead_letters"));

  const measurements = t
    .source("measurements")
    .cast(Measurement, { timestamp: "at", onError: refused })
    .dedup("seen", { by: ["id"] });

  measurements.sink(
    clickhouse.history("measurements", Measurement, {
      orderBy: ["sensor", "at", "id"],
      latest: [{ view: "measurements_latest", by: ["sensor"], newest: ["at", "id"] }],
    }),
  );

  measurements
    .groupBy("sensor")
    .windowed(tumbling(hours(1), { grace: days(2) }))
    .aggregate("hours", { n: count(), avg: avg("celsius"), max: max("celsius") })
    .sink(clickhouse.upsert("hours", Hour, { key: ["sensor", "window_start"], version: "updates" }));
});
`;

const TEST = `import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { testDriver } from "@iot-topology/core/testing";
import topology from "./topology.ts";

const measured = (id: string, at: string, celsius: number) => ({ value: { id, sensor: "cellar", at, celsius }, timestamp: Date.parse(at) });

test("a measurement that comes twice counts once", () => {
  const driver = testDriver(topology);
  driver.pipe("measurements", measured("a-1", "2026-01-01T10:05:00Z", 9.5), measured("a-1", "2026-01-01T10:05:00Z", 9.5));
  equal(driver.read("measurements").length, 1);
  equal(driver.counters().deduplicated, 1);
});

test("an hour sums up its measurements, also over a crash", () => {
  const driver = testDriver(topology);
  const later = measured("a-2", "2026-01-01T10:35:00Z", 10.5);
  // What no commit has covered is read from the log again.
  driver.pipe("measurements", measured("a-1", "2026-01-01T10:05:00Z", 9.5), { event: "commit" }, later, { event: "crash" }, later, { event: "commit" });
  const hours = driver.values("hours") as { readonly n: bigint | number; readonly max: number }[];
  deepEqual(hours.map(({ n, max }) => [Number(n), max]), [[1, 9.5], [2, 10.5]]);
});
`;

/** Good ones, a repeat, and two that are refused. */
const SAMPLE = `${[
  { id: "a-1", sensor: "cellar", at: "2026-01-01T10:05:00Z", celsius: 9.5 },
  { id: "a-2", sensor: "cellar", at: "2026-01-01T10:35:00Z", celsius: "10.5" },
  { id: "b-1", sensor: "roof", at: "2026-01-01T11:10:00+01:00", celsius: -3 },
  { id: "a-2", sensor: "cellar", at: "2026-01-01T10:35:00Z", celsius: "10.5" },
  { id: "b-2", sensor: "roof", at: 1767265200000, celsius: -1.25 },
  { id: "b-3", sensor: "roof", at: "2026-02-30T00:00:00Z", celsius: 0 },
  { id: "", sensor: "roof", at: "2026-01-01T12:00:00Z", celsius: 0 },
]
  .map((row) => JSON.stringify(row))
  .join("\n")}\n`;

const readme = (name: string, database: string) => `# ${name}

    npm install
    npm run sample

reads \`sample.ndjson\` through \`topology.ts\` into an embedded ClickHouse. Ask it:

    npx iot-topology sql "SELECT * FROM ${database}.hours ORDER BY sensor, window_start FORMAT PrettyCompact"
    npx iot-topology dlq list

\`npm test\` runs \`topology.test.ts\`, which drives the topology without a log or a database. \`npm run describe\` shows what the topology does. \`npx iot-topology start ./topology.ts --input FILE\` reads another file, and
\`--clickhouse URL\` writes to a server of your own.
`;

// Every @example in the TSDoc of the language is type-checked, built into a topology and driven with records. `npm run check:tsdoc`.
//
// An example is a piece of a topology: it sees `t` and the streams and tables of PRELUDE. One that begins with `export default` is a module of its own.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./sources.mjs";

const source = join(root, "packages", "core", "src", "topology");
const folder = join(root, ".tsdoc");

/** What examples may use. Each name that an example declares itself hides the one here. */
const PRELUDE = `
const Reading = record("Reading", { deviceId: c.string(), metric: c.string(), site: c.string(), seq: c.uint64(), value: c.float64(), ts: c.dateTime64(3, "UTC") });
interface Click { readonly user: string; readonly page: string; readonly at: number; readonly countryCode: string }
interface User { readonly name: string; readonly country: string; readonly team: string; readonly manager: string | null }
interface Order { readonly id: string; readonly user: string; readonly product: string; readonly amount: number; readonly at: number }
interface Payment { readonly order: string; readonly amount: number; readonly at: number }
interface Country { readonly name: string }
interface Account { readonly owner: string; readonly balance: number }
interface Address { readonly city: string }
interface Product { readonly title: string; readonly price: number }
`;
const STREAMS = {
  dead: 't.deadLetter("prelude-dead");\n  dead.sink(collect("prelude-dead"))',
  readings: 't.source("prelude-readings").cast(Reading, { name: "prelude-cast", timestamp: "ts", partitionedBy: "deviceId" })',
  clicks: 't.source("prelude-clicks").decode(serde.json<Click>()).flatMap(some)',
  orders: 't.source("prelude-orders").decode(serde.json<Order>()).flatMap(some)',
  payments: 't.source("prelude-payments").decode(serde.json<Payment>()).flatMap(some)',
  users: 't.table("prelude-users", { store: "prelude-users-store", value: serde.json<User>() })',
  products: 't.table("prelude-products", { store: "prelude-products-store", value: serde.json<Product>() })',
  accounts: 't.table("prelude-accounts", { store: "prelude-accounts-store", value: serde.json<Account>() })',
  addresses: 't.table("prelude-addresses", { store: "prelude-addresses-store", value: serde.json<Address>() })',
  countries: 't.globalTable("prelude-countries", { store: "prelude-countries-store", value: serde.json<Country>() })',
};
const RECORDS = `
const at = Date.UTC(2026, 0, 1);
const records = (i) => [
  ["prelude-readings", "d" + (i % 3), { deviceId: "d" + (i % 3), metric: "m", site: "s", seq: i, value: i, ts: at + i * 1_000 }],
  ["prelude-clicks", "u" + (i % 2), { user: "u" + (i % 2), page: "p" + i, at: at + i, countryCode: "c" + (i % 2) }],
  ["prelude-orders", "o" + (i % 4), { id: "o" + (i % 4), user: "u" + (i % 2), product: "p" + (i % 2), amount: i, at: at + i }],
  ["prelude-payments", "o" + (i % 4), { order: "o" + (i % 4), amount: i, at: at + i }],
  ["prelude-users", "u" + (i % 2), i === 9 ? null : { name: "n" + i, country: i % 2 ? "at" : "nl", team: "t" + (i % 2), manager: i % 2 ? "u0" : null }],
  ["prelude-accounts", "a" + (i % 3), { owner: "u" + (i % 2), balance: i }],
  ["prelude-addresses", "u" + (i % 2), { city: "c" + i }],
  ["prelude-countries", "c" + (i % 2), { name: "n" + i }],
  ["prelude-products", "p" + (i % 2), { title: "t" + i, price: i }],
];
`;

function examplesOf(file) {
  const text = readFileSync(join(source, file), "utf8");
  return [...text.matchAll(/\/\*\*([\s\S]*?)\*\//g)].flatMap(({ 1: comment, index }) => {
    const line = text.slice(0, index).split("\n").length;
    const body = comment.split("\n").map((each) => each.replace(/^\s*\* ?/, "")).join("\n");
    return body.split(/^@example/m).slice(1).map((example) => ({ file, line, code: example.split(/^@\w/m)[0].trim() }));
  });
}

const modules = ["@iot-topology/core", "@iot-topology/core/testing", "@iot-topology/connectors/clickhouse"];
const exported = new Map([["z", "zod"]]);
for (const name of modules) for (const key of Object.keys(await import(name))) if (!exported.has(key)) exported.set(key, name);

function importsFor(code) {
  const used = [...exported].filter(([key]) => new RegExp(`(?<![\\w.$"])${key}(?![\\w$"])`).test(code));
  return used.map(([key, name]) => `import { ${key} } from "${name}";`).join("\n");
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const examples = readdirSync(source).filter((file) => file.endsWith(".ts")).flatMap(examplesOf).map((example, index) => ({ ...example, path: join(folder, `example-${index}.ts`) }));
for (const { code, path } of examples) {
  const used = Object.entries(STREAMS).filter(([name]) => !code.includes(`const ${name} =`) && new RegExp(`(?<![\\w.$"])${name}(?![\\w$"])`).test(code));
  const streams = used.map(([name, made]) => `  const ${name} = ${made};`).join("\n");
  const some = "const some = <V>(value: V | null): V[] => (value === null ? [] : [value]);\nvoid some;";
  const whole = code.startsWith("export default") ? `${PRELUDE}\n${code}` : `${PRELUDE}\nexport default defineTopology("example", (t) => {\n${some}\n${streams}\n{\n${code}\n}\n});`;
  writeFileSync(path, `${importsFor(whole)}\n${whole}\n`);
}
const options = { noEmit: true, isolatedDeclarations: false, noUnusedLocals: false, noUnusedParameters: false, typeRoots: [join(root, "node_modules", "@types")] };
writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: join(root, "tsconfig.base.json"), compilerOptions: options, include: [join(folder, "*.ts"), join(root, "types")] }));
writeFileSync(join(folder, "run.mjs"), `
import { testDriver } from "@iot-topology/core/testing";
${RECORDS}
for (const path of process.argv.slice(2)) {
  try {
    const { default: topology } = await import(path);
    // An example without a source has nothing to run.
    if (topology.nodes.length === 0) continue;
    const driver = testDriver(topology);
    const topics = new Set(topology.nodes.flatMap((node) => (node.kind === "source" ? node.topics : [])));
    for (let i = 0; i < 12; i++) for (const [topic, key, value] of records(i)) if (topics.has(topic)) driver.pipe(topic, { key, value, timestamp: at + i * 1_000 });
    await driver.commit();
  } catch (cause) {
    console.log(path + ": " + cause.message);
  }
}
`);
const failures = [];
const types = spawnSync(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", folder], { cwd: folder, encoding: "utf8" });
if (types.status !== 0) failures.push(types.stdout);
const { status, stdout, stderr } = spawnSync(process.execPath, ["--conditions=@iot-topology/source", "--no-warnings", join(folder, "run.mjs"), ...examples.map(({ path }) => path)], { cwd: root, encoding: "utf8" });
if (status !== 0 || stdout !== "") failures.push(`${stdout}${stderr}`);
const text = failures.join("\n");
failures.push(...examples.filter(({ path }) => text.includes(path.slice(folder.length + 1))).map(({ file, line, path }) => `${path} is of ${file}:${line}`));
process.stdout.write(`${examples.length} examples\n${failures.join("\n")}\n`);
// What failed stays to be looked at.
if (failures.length === 0) rmSync(folder, { recursive: true });
process.exitCode = failures.length === 0 ? 0 : 1;

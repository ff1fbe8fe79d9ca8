/** Each kind of store that can be made over, from one form of its values to another. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { c, carries, defineTopology, hopping, hours, keyValueStore, openInstance, orderedStore, record, type Serde, serde, sessionStore, type Stream, type TopologyBuilder, tumbling, windowStore } from "@iot-topology/core";
import { collect, collectConnector, memoryLog } from "@iot-topology/core/testing";

const Old = record("Row", { id: c.string(), n: c.int32() });
const New = record("Row", { id: c.string(), n: c.int64(), was: c.string() });
interface Row {
  readonly id: string;
  readonly n: bigint | number;
  readonly was?: string;
}

/** How a kind of store is used: it counts the records of a key in rows of the serde's type. */
type Use = (b: TopologyBuilder, value: Serde<Row>, first: (id: string) => Row, next: (row: Row) => Row) => void;

const out = collect<unknown>("out");
const STORES: Readonly<Record<string, Use>> = {
  "an aggregate a key": (b, value, first, next) => b.source("in").decode(serde.string()).groupByKey().aggregate("rows", { value, init: () => first("k"), add: next }).toStream().sink(out),
  "a table's group": (b, value, first, next) =>
    b.table("in", { store: "in", value: serde.string() }).groupBy((text, key) => ({ key, value: text })).aggregate("rows", { value, init: () => first("k"), add: next, subtract: (row) => row }).toStream().sink(out),
  "a table with a ttl": (b, value, first, next) => {
    const rows = b.source("in").decode(serde.string()).groupByKey();
    rows.aggregate("rows", { value, init: () => first("k"), add: next, ttl: hours(1) }).toStream().sink(out);
  },
  "a table that another is joined to": (b, value, first, next) => {
    const counted = b.source("in").decode(serde.string()).groupByKey();
    const rows = counted.aggregate("counted", { value, init: () => first("k"), add: next });
    rows.mapValues((row) => row, { store: "rows", value }).toStream().sink(out);
  },
  "tumbling windows of a key": (b, value, first, next) => {
    b.source("in").decode(serde.string()).groupByKey().windowed(tumbling(hours(1), { grace: 0 })).aggregate("rows", { value, init: () => first("k"), add: next }).toStream().map(({ value: row }) => row).sink(out);
  },
  "hopping windows of a key": (b, value, first, next) => {
    b.source("in").decode(serde.string()).groupByKey().windowed(hopping(hours(1), { advance: hours(1), grace: 0 })).aggregate("rows", { value, init: () => first("k"), add: next }).toStream().map(({ value: row }) => row).sink(out);
  },
  "a processor's key-value store": (b, value, first, next) => {
    const rows = keyValueStore("rows", { value });
    b.source("in").decode(serde.string()).process("count", { stores: [rows], output: carries<Row>(), process: (_, { store, forward }) => { const row = next(store("rows").get("k") ?? first("k")); store("rows").put("k", row); forward({ key: "k", value: row }); } }).sink(out);
  },
  "a processor's ordered store with a ttl": (b, value, first, next) => {
    const rows = orderedStore("rows", { value, ttl: hours(1) });
    b.source("in").decode(serde.string()).process("count", { stores: [rows], output: carries<Row>(), process: (_, { store, forward }) => { const row = next(store("rows").get("k") ?? first("k")); store("rows").put("k", row); forward({ key: "k", value: row }); } }).sink(out);
  },
  "a processor's window store": (b, value, first, next) => {
    const rows = windowStore("rows", { value, retention: hours(1) });
    b.source("in").decode(serde.string()).process("count", { stores: [rows], output: carries<Row>(), process: (_, { store, forward }) => { const row = next(store("rows").get("k", 0) ?? first("k")); store("rows").put("k", 0, row); forward({ key: "k", value: row }); } }).sink(out);
  },
  "a processor's session store": (b, value, first, next) => {
    const rows = sessionStore("rows", { value, retention: hours(1) });
    b.source("in").decode(serde.string()).process("count", { stores: [rows], output: carries<Row>(), process: (_, { store, forward }) => { const row = next(store("rows").get("k", 0, 9) ?? first("k")); store("rows").put("k", 0, 9, row); forward({ key: "k", value: row }); } }).sink(out);
  },
};

const migrating = serde.migrating(serde.binary(New), serde.from(serde.binary(Old), ({ id, n }) => ({ id, n: BigInt(n), was: "made over" })));

async function last(dir: string, records: number, build: (b: TopologyBuilder) => void): Promise<unknown> {
  const log = memoryLog();
  await log.ensureTopic("in", { partitions: 1 });
  await log.append("in", Array.from({ length: records }, (_, index) => ({ key: "k", value: `record ${index}`, timestamp: index })));
  const sink = collectConnector();
  const instance = await openInstance(defineTopology("x", build), { log, connectors: [sink], stateDir: dir });
  instance.run();
  await instance.drain();
  await instance.stop();
  return sink.values("out").at(-1);
}

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-migration-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

for (const [kind, use] of Object.entries(STORES)) {
  t.test(`${kind} is made over`, async (t) => {
    const dir = folder(t);
    t.match(await last(dir, 2, (b) => use(b, serde.binary(Old), (id) => ({ id, n: 0 }), (row) => ({ ...row, n: Number(row.n) + 1 }))), { n: 2 });
    const now = (b: TopologyBuilder) => use(b, migrating, (id) => ({ id, n: 0n, was: "new" }), (row) => ({ ...row, n: BigInt(row.n) + 1n }));
    t.match(await last(dir, 3, now), { n: 3n, was: "made over" });
    t.match(await last(dir, 4, now), { n: 4n, was: "made over" });
  });
}

for (const windowed of [false, true]) {
  t.test(`a reduce over fields is made over, ${windowed ? "with" : "without"} windows`, async (t) => {
    const dir = folder(t);
    const Later = record("Row", { id: c.string(), n: c.int64(), was: c.string({ default: "new" }) });
    const source = (b: TopologyBuilder) => b.source("in").decode(serde.string());
    const grouped = <V extends { readonly id: string }>(rows: Stream<V>) => (windowed ? rows.groupBy("id").windowed(tumbling(hours(1), { grace: "unbounded" })) : rows.groupBy("id"));
    t.match(await last(dir, 2, (b) => grouped(source(b).map(() => ({ id: "k", n: 1 }))).reduce("rows", Old, (total, { n }) => ({ ...total, n: total.n + n })).sink(out)), { value: { n: 2 } });
    const now = (b: TopologyBuilder) =>
      grouped(source(b).map(() => ({ id: "k", n: 1n, was: "new" })))
        .reduce("rows", Later, (total, { n }) => ({ ...total, n: total.n + n }), { migrations: [serde.from(serde.binary(Old), ({ id, n }) => ({ id, n: BigInt(n), was: "made over" }))] })
        .sink(out);
    t.match(await last(dir, 3, now), { value: { n: 3n, was: "made over" } });
  });
}

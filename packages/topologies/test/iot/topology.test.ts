import t from "tap";
import { describe, type Plan, validate } from "@iot-topology/core";
import { testDriver } from "@iot-topology/core/testing";
import * as Either from "fp-ts/lib/Either.js";
import { recordSinks } from "../../src/cli/run/balance.ts";
import iot from "../../src/iot/topology.ts";

const good = (seq: unknown, more: object = {}) => ({ deviceId: "d-1", metric: "m", seq, ts: "2026-01-01T00:00:00Z", value: 1.5, unit: "V", ...more });
const text = (more: string) => JSON.stringify(good(1)).replace(/\}$/, `,${more}}`);

/** What comes -> the code under which it is refused. */
const REFUSED: readonly (readonly [title: string, value: unknown, code: string])[] = [
  ["a tombstone", null, "TOMBSTONE"],
  ["an empty payload", "", "EMPTY_PAYLOAD"],
  ["no JSON", "not json", "INVALID_JSON"],
  ["cut off", '{"deviceId":"d-1"', "INVALID_JSON"],
  ["NaN, which is no JSON", text('"value":NaN'), "INVALID_JSON"],
  ["invalid UTF-8", Buffer.concat([Buffer.from('{"deviceId":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]), "INVALID_UTF8"],
  ["more than 1 MiB", text(`"pad":"${"x".repeat(1_048_576)}"`), "PAYLOAD_TOO_LARGE"],
  ["depth 10,000", text(`"deep":${"[".repeat(10_000)}${"]".repeat(10_000)}`), "PAYLOAD_TOO_DEEP"],
  ["an array", [1, 2], "CAST_FAILED"],
  ["a text", '"text"', "CAST_FAILED"],
  ["no fields", {}, "CAST_FAILED"],
  ["an empty device", good(1, { deviceId: "" }), "CAST_FAILED"],
  ["an empty metric", good(1, { metric: "" }), "CAST_FAILED"],
  ["a negative seq", good(-1), "CAST_FAILED"],
  ["a fractional seq", good(1.5), "CAST_FAILED"],
  ["a seq above 64 bits", text('"seq":18446744073709551616'), "CAST_FAILED"],
  ["an impossible date", good(1, { ts: "2026-02-30T00:00:00Z" }), "CAST_FAILED"],
  ["a date without an offset", good(1, { ts: "2026-02-03T00:00:00" }), "CAST_FAILED"],
  ["a value that is no number", good(1, { value: "warm" }), "CAST_FAILED"],
  ["an infinite value", text('"value":1e999'), "CAST_FAILED"],
  ["a text of an infinite value", good(1, { value: "Infinity" }), "CAST_FAILED"],
  ["null for a value", good(1, { value: null }), "CAST_FAILED"],
];

/** What looks odd and is right. */
const TAKEN: readonly (readonly [title: string, value: unknown])[] = [
  ["a seq of 64 bits", text('"seq":18446744073709551615')],
  ["a seq as a text", good("7")],
  ["a value as a text", good(2, { value: "-1.5e3" })],
  ["a time as epoch milliseconds", good(3, { ts: 1_767_225_600_000 })],
  ["a time with another offset", good(4, { ts: "2026-01-01T05:30:00.123+05:30" })],
  ["unknown fields, __proto__ among them", text('"seq":5,"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}')],
  ["a quote, a backslash and a statement in a name", good(6, { deviceId: "o'brien\"\\ '); DROP TABLE readings; --" })],
];

t.test("every malformed reading is refused alone, with its reason, and its neighbours are not touched", async (t) => {
  const driver = testDriver(iot);
  const wanted: Record<string, number> = {};
  let seq = 1_000;
  for (const [title, value, code] of REFUSED) {
    driver.pipe("iot.readings", { key: "d-1", value: good(seq++), timestamp: 1 }, { key: "d-1", value, timestamp: 2 }, { key: "d-1", value: good(seq++), timestamp: 3 });
    wanted[code] = (wanted[code] ?? 0) + 1;
    const { deadLetters, written } = driver.counters();
    t.match([{ ...deadLetters }, written["readings"] ?? 0], [wanted, 0], title);
  }
  await driver.commit();
  t.match(driver.counters(), { read: REFUSED.length * 3, deduplicated: 0, written: { readings: REFUSED.length * 2, dead_letters: REFUSED.length } });
});

t.test("loose but right readings are taken, and repeats of each are dropped", async (t) => {
  const driver = testDriver(iot);
  for (const [title, value] of TAKEN) {
    driver.pipe("iot.readings", { value, timestamp: 1 }, { value, timestamp: 2 });
    t.same(driver.counters().deadLetters, {}, title);
  }
  await driver.commit();
  t.match(driver.counters(), { read: TAKEN.length * 2, deduplicated: TAKEN.length, written: { readings: TAKEN.length } });
  t.equal(({} as { polluted?: unknown }).polluted, undefined);
});

t.test("an entity is one state a moment; the first in the log stands", async (t) => {
  const driver = testDriver(iot);
  const entity = (ts: string, firmware: string) => ({ entity: "device", id: "d-1", ts, attributes: { firmware }, relationships: { gateway: "g-1" } });
  driver.pipe(
    "iot.entities",
    { value: entity("2026-01-01T00:00:00Z", "1"), timestamp: 1 },
    { value: entity("2026-01-01T01:00:00+01:00", "2"), timestamp: 2 },
    { value: entity("2026-01-01T00:00:00.001Z", "2"), timestamp: 3 },
    { value: { ...entity("2026-01-02T00:00:00Z", "2"), id: "" }, timestamp: 4 },
    { value: { ...entity("2026-01-02T00:00:00Z", "2"), attributes: { firmware: {} } }, timestamp: 5 },
  );
  await driver.commit();
  t.match(driver.counters(), { read: 5, deduplicated: 1, written: { entities: 2, dead_letters: 2 }, deadLetters: { CAST_FAILED: 2 } });
});

t.test("the plan names every table and view, each exactly once delivered, and which rows are records", async (t) => {
  const plan = validate(iot);
  if (Either.isLeft(plan)) throw new Error(JSON.stringify(plan.left));
  const { sinks } = plan.right satisfies Plan;
  t.strictSame(sinks.flatMap((sink) => [sink.target, ...sink.dependents]).sort(), [
    "dead_letters", "entities", "entities_as_of", "entities_as_of_daily", "entities_latest", "readings", "readings_1d", "readings_1h", "readings_1m",
    "readings_as_of", "readings_as_of_daily", "readings_latest", "relationships_latest", "windows_1h",
  ]);
  t.ok(sinks.every((sink) => sink.guarantee.level === "exactly-once"));
  t.strictSame(recordSinks(plan.right), ["readings", "entities"]);
  t.match(describe(plan.right, "mermaid"), "flowchart");
});

import t from "tap";
import { compileDecoder } from "@iot-topology/core";
import { Entity } from "../../src/iot/entity.ts";
import { DEFAULT_GENERATOR, ENTITIES_TOPIC, FleetGenerator, type GeneratedRecord, generateRecords, READINGS_TOPIC, replayLine } from "../../src/iot/generate.ts";
import { malformedValue, malformedWayCount } from "../../src/iot/malformed.ts";
import { Reading } from "../../src/iot/reading.ts";

const START_MS = Date.UTC(2026, 0, 1);
const range = { count: 40_000, startMs: START_MS, ratePerSecond: 50 };
const decodeReading = compileDecoder(Reading);
const decodeEntity = compileDecoder(Entity);
const bytes = ({ value }: Pick<GeneratedRecord, "value">) => (value === null ? null : Buffer.from(value));
const isFailure = (value: unknown): value is { code: string } => value instanceof Error || (typeof value === "object" && value !== null && "errors" in value);
const identity = (reading: Reading) => `${reading.device_id}|${reading.metric}|${reading.seq}`;

t.test("the same seed gives the same bytes, another seed gives others", async (t) => {
  const text = (seed: number) => [...generateRecords({ ...DEFAULT_GENERATOR, seed }, { ...range, count: 2_000 })].map(replayLine).join("\n");
  t.equal(text(7), text(7));
  t.not(text(7), text(8));
  t.equal([...generateRecords(DEFAULT_GENERATOR, { ...range, count: 1 })].length, 1);
});

t.test("shares of repeats, late and malformed records are those asked for, and all else fits the schema", async (t) => {
  const options = { ...DEFAULT_GENERATOR, duplicates: 0.1, late: 0.04, malformed: 0.05 };
  const seen = new Set<string>();
  const codes = new Set<string>();
  const counts = { good: 0, repeated: 0, late: 0, malformed: 0, entities: 0 };
  let lastMs = 0;
  for (const record of generateRecords(options, range)) {
    if (record.timestamp < lastMs) t.fail("load time goes backwards");
    lastMs = record.timestamp;
    if (record.topic === ENTITIES_TOPIC) {
      counts.entities++;
      if (isFailure(decodeEntity(bytes(record)))) t.fail(`an entity does not fit: ${record.value}`);
      continue;
    }
    const reading = decodeReading(bytes(record));
    if (isFailure(reading)) {
      counts.malformed++;
      codes.add(reading.code);
    } else if (seen.has(identity(reading))) counts.repeated++;
    else {
      seen.add(identity(reading));
      counts.good++;
      const delayMs = record.timestamp - reading.event_time;
      if (delayMs < 0 || delayMs > 4 * 86_400_000) t.fail(`a delay of ${delayMs} ms`);
      if (delayMs >= 1_000) counts.late++;
    }
  }
  const near = (share: number, wanted: number) => Math.abs(share - wanted) < wanted * 0.15;
  t.ok(near(counts.repeated / range.count, options.duplicates), `repeats ${counts.repeated}`);
  t.ok(near(counts.malformed / range.count, options.malformed), `malformed ${counts.malformed}`);
  t.ok(near(counts.late / range.count, options.late), `late ${counts.late}`);
  t.ok(counts.entities > 100);
  for (const code of ["TOMBSTONE", "EMPTY_PAYLOAD", "INVALID_JSON", "PAYLOAD_TOO_DEEP", "CAST_FAILED"]) t.ok(codes.has(code), `${code} comes up`);
});

t.test("every way of being malformed is refused by the schema", async (t) => {
  const reading = { deviceId: "d", metric: "m", seq: 3, ts: "2026-01-01T00:00:00Z", value: 1.5, unit: "V" };
  t.notOk(isFailure(decodeReading(Buffer.from(JSON.stringify(reading)))));
  const made = new Set<string | null>();
  for (let n = 0; n < 1_000; n++) made.add(malformedValue(reading, 1, n));
  t.equal(made.size, malformedWayCount, "all ways come up");
  for (const value of made) t.ok(isFailure(decodeReading(bytes({ value }))), JSON.stringify(value));
});

t.test("a generator that goes on from its position never uses an identity for two readings", async (t) => {
  const owner = new Map<string, string>();
  let generator = new FleetGenerator({ ...DEFAULT_GENERATOR, devices: 3 });
  let nowMs = START_MS;
  const use = (steps: number) => {
    for (let step = 0; step < steps; step++) {
      for (const record of generator.next((nowMs += 20))) {
        if (record.topic !== READINGS_TOPIC) continue;
        const reading = decodeReading(bytes(record));
        if (isFailure(reading)) continue;
        const before = owner.get(identity(reading));
        if (before !== undefined && before !== record.value) t.fail(`${identity(reading)} is two readings`);
        owner.set(identity(reading), record.value ?? "");
      }
    }
  };
  use(1_000);
  const resumed = JSON.parse(JSON.stringify(generator.position)) as typeof generator.position;
  generator = new FleetGenerator({ ...DEFAULT_GENERATOR, devices: 3 }, resumed);
  t.same(generator.position, resumed);
  use(1_000);
  t.equal(generator.position.step, 2_000);
  // Another fleet has devices of the same names: its numbers begin above.
  const last = generator.position;
  generator = new FleetGenerator({ ...DEFAULT_GENERATOR, devices: 5, seed: 9 }, last);
  t.equal(generator.position.seqBase, Math.ceil(2_000 / 12));
  const size = owner.size;
  use(1_000);
  t.equal(owner.size, size + 1_000);
  // A clock that was set back does not take times of entities again.
  nowMs -= 86_400_000;
  const before = generator.position.lastMs;
  generator.next(nowMs);
  t.equal(generator.position.lastMs, before);
});

import { expect, test } from "tstyche";
import { avg, c, count, defineTopology, hours, min, record, serde, type Stream, topic, tumbling } from "@iot-topology/core";

const Reading = record("Reading", { id: c.string(), seq: c.uint64(), value: c.float64(), at: c.dateTime64(3, "UTC"), unit: c.nullable(c.string()) });
const Row = record("Row", { id: c.string(), window_start: c.dateTime64(3, "UTC"), n: c.uint64(), low: c.float64(), mean: c.float64() });

test("types go from the source to the sink", () => {
  defineTopology("x", (t) => {
    const readings = t.source("in").cast(Reading, { timestamp: "at", partitionedBy: "id" });
    expect(readings).type.toBe<Stream<{ readonly id: string; readonly seq: bigint; readonly value: number; readonly at: number; readonly unit: string | null }>>();
    const rows = readings.groupBy("id").windowed(tumbling(hours(1), { grace: 0 })).aggregate("rows", { n: count(), low: min("value"), mean: avg("value") });
    rows.sink(topic("rows", Row));
    rows.map((row) => {
      expect(row.id).type.toBe<string>();
      expect(row.window_start).type.toBe<number>();
      expect(row.n).type.toBe<number>();
      expect(row.updates).type.toBe<number>();
      return row;
    });
    rows.late.map((late) => expect(late.seq).type.toBe<bigint>());
    const { high, rest } = readings.branch({ high: (r) => r.value > 1 });
    expect(high.merge(rest)).type.toBe<typeof readings>();
  });
});

test("a repartition keeps the stream's type, or takes that of a schema which takes the stream's values", () => {
  const Count = record("Count", { id: c.string(), n: c.int64() });
  defineTopology("x", (t) => {
    const readings = t.source("in").cast(Reading);
    const again = readings.repartition("again", { by: ["id", "unit"] });
    expect(again).type.toBe<typeof readings>();
    readings.repartition("keyed", { by: (value, { timestamp }) => `${value.id}${timestamp}` });
    const counts = readings.map(({ id }) => ({ id, n: 1, more: true }));
    const kept = counts.repartition("counts", { by: ["id"], schema: Count, partitions: 3, onError: "skip" });
    expect(kept).type.toBe<Stream<{ readonly id: string; readonly n: bigint }>>();
    expect(readings.repartition).type.not.toBeCallableWith("again", { by: ["nothing" as const] });
    expect(readings.repartition).type.not.toBeCallableWith("again", {});
    expect(counts.repartition).type.not.toBeCallableWith("again", { by: ["more" as const], schema: Count });
    expect(readings.map(({ id }) => ({ id, n: "one" })).repartition).type.not.toBeCallableWith("again", { by: ["id" as const], schema: Count });
    expect(readings.map(({ id }) => ({ id })).repartition).type.not.toBeCallableWith("again", { by: ["id" as const], schema: Count });
  });
});

test("a repartition by a serde keeps the stream's type, and a partitioner comes with a number of partitions", () => {
  defineTopology("x", (t) => {
    const texts = t.source("in").decode(serde.string());
    const again = texts.repartition("again", { by: (value) => value?.slice(0, 1) ?? null, value: serde.string() });
    expect(again).type.toBe<Stream<string | null>>();
    texts.repartition("placed", {
      by: (_value, { key }) => key,
      value: serde.string(),
      partitions: 4,
      partitioner: (key, value, partitionCount) => {
        expect(key).type.toBe<string>();
        expect(value).type.toBe<string | null>();
        return key.length % partitionCount;
      },
    });
    t.source("others").cast(Reading).repartition("by-fields", { by: ["id"], partitions: 4, partitioner: (_key, reading, partitionCount) => Number(reading.seq) % partitionCount });
    expect(texts.repartition).type.not.toBeCallableWith("x", { by: () => "a", value: serde.int32() });
    expect(texts.repartition).type.not.toBeCallableWith("x", { by: ["length" as const], value: serde.string() });
    expect(texts.repartition).type.not.toBeCallableWith("x", { by: () => "a", value: serde.string(), partitioner: () => 0 });
  });
});

test("misuse does not compile", () => {
  defineTopology("x", (t) => {
    const raw = t.source("in");
    expect(raw.cast).type.not.toBeCallableWith(Reading, { timestamp: "id" as const });
    expect(raw.cast).type.not.toBeCallableWith(Reading, { partitionedBy: "seq" as const });
    const readings = raw.cast(Reading);
    expect(readings.dedup).type.not.toBeCallableWith("seen", { by: ["nothing" as const] });
    expect(readings.dedup).type.not.toBeCallableWith("seen", { by: ["id" as const], sequence: "value-less" as const });
    expect(readings.dedup).type.not.toBeCallableWith("seen", { by: ["id" as const], sequence: "seq" as const, within: 5 });
    expect(readings.groupBy).type.not.toBeCallableWith("nothing");
    expect(readings.groupBy("id").aggregate).type.not.toBeCallableWith("x", { low: min("unit") });
    expect(readings.sink).type.not.toBeCallableWith(topic("rows", Row));
    expect(readings.filter).type.not.toBeCallableWith((r: { nothing: number }) => r.nothing > 1);
    expect(readings.map).type.not.toBeCallableWith((r: never) => r, { onError: readings });
  });
});

import { describe, expect, test } from "tstyche";
import { c, count, defineTopology, hopping, max, record, serde, session, sliding, type Stream, tumbling, untilTimeLimit, untilWindowCloses, type Windowed, type WindowedTable } from "@iot-topology/core";

const Reading = record("Reading", { device: c.string(), value: c.float64() });

defineTopology("types", (t) => {
  const group = t.source("in").decode(serde.json<number>()).groupByKey();

  describe("windows over keys", () => {
    test("give tables of results with their windows", () => {
      const counts = group.windowed(tumbling(10, { grace: 5 })).count("n");
      expect(counts).type.toBeAssignableTo<WindowedTable<number>>();
      expect(counts.toStream()).type.toBe<Stream<Windowed<number>>>();
      expect(counts.mapValues((n) => `${n}`).toStream()).type.toBe<Stream<Windowed<string>>>();
    });
    test("take null values, where the stream has them, but for sliding windows", () => {
      group.windowed(hopping(10, { advance: 5, grace: 0 })).reduce("a", { value: serde.json<number>() }, (total, value) => {
        expect(total).type.toBe<number>();
        expect(value).type.toBe<number | null>();
        return total;
      });
      group.windowed(sliding(10, { grace: 0 })).reduce("b", { value: serde.json<number>() }, (total, value) => {
        expect(value).type.toBe<number>();
        return total + value;
      });
      expect(group.windowed(tumbling(10, { grace: 5 })).count("c").late).type.toBe<Stream<number | null>>();
    });
    test("sessions need merge, others have none, and totals of windows have no ttl", () => {
      const form = { value: serde.string(), init: () => "", add: (total: string) => total };
      const sessions = group.windowed(session(10, { grace: 0 }));
      const fixed = group.windowed(tumbling(10, { grace: 0 }));
      expect(sessions.aggregate).type.not.toBeCallableWith("d", form);
      expect(sessions.aggregate).type.toBeCallableWith("d", { ...form, merge: (a: string, b: string) => a + b });
      expect(fixed.aggregate).type.toBeCallableWith("d", form);
      expect(fixed.aggregate).type.not.toBeCallableWith("d", { ...form, merge: (a: string, b: string) => a + b });
      expect(fixed.aggregate).type.not.toBeCallableWith("d", { ...form, ttl: 5 });
    });
    test("grace must be said", () => {
      expect(tumbling).type.not.toBeCallableWith(10);
      expect(session).type.not.toBeCallableWith(10);
    });
  });

  describe("suppress", () => {
    test("of windows holds until they close, of tables for a time", () => {
      const counts = group.windowed(tumbling(10, { grace: 5 })).count("e");
      const table = group.count("f");
      expect(counts.suppress).type.toBeCallableWith("g", untilWindowCloses());
      expect(counts.suppress).type.not.toBeCallableWith("g", untilTimeLimit(5));
      expect(table.suppress).type.toBeCallableWith("g", untilTimeLimit(5));
      expect(table.suppress).type.not.toBeCallableWith("g", untilWindowCloses());
    });
    test("of windows never emits early", () => {
      expect(untilTimeLimit).type.toBeCallableWith(5, { buffer: { recordsMax: 5, full: "emit-early" } } as const);
      expect(untilWindowCloses).type.not.toBeCallableWith({ buffer: { recordsMax: 5, full: "emit-early" } } as const);
      expect(untilWindowCloses).type.toBeCallableWith({ buffer: { recordsMax: 5, full: "fail" } } as const);
    });
  });

  describe("cogroup", () => {
    test("adds streams of different types to one total", () => {
      const others = t.source("others").decode(serde.json<string>()).groupByKey();
      const both = group.cogroup((total: number, value) => total + (value ?? 0)).cogroup(others, (total, value) => {
        expect(total).type.toBe<number>();
        expect(value).type.toBe<string | null>();
        return total + 1;
      });
      expect(both.aggregate("h", { value: serde.float64(), init: () => 0 }).toStream()).type.toBe<Stream<number | null>>();
      expect(both.windowed(tumbling(10, { grace: 0 })).aggregate("i", { value: serde.float64(), init: () => 0 }).late).type.toBe<Stream<number | string | null>>();
      expect(both.windowed(session(10, { grace: 0 })).aggregate).type.not.toBeCallableWith("j", { value: serde.float64(), init: () => 0 });
      expect(both.aggregate).type.not.toBeCallableWith("k", { value: serde.string(), init: () => "" });
    });
  });

  describe("windows over groups of fields", () => {
    test("add their bounds to rows", () => {
      const rows = t.source("readings").cast(Reading).groupBy("device").windowed(sliding(10, { grace: 5 }), { emit: "close" }).aggregate("l", { n: count(), most: max("value") });
      rows.map((row) => {
        expect(row.window_start).type.toBe<number>();
        expect(row.most).type.toBe<number>();
        return row;
      });
    });
    test("sessions emit on close only", () => {
      const group = t.source("more").cast(Reading).groupBy("device");
      expect(group.windowed).type.toBeCallableWith(session(10, { grace: 5 }), { emit: "close" } as const);
      expect(group.windowed).type.not.toBeCallableWith(session(10, { grace: 5 }), { emit: "update" } as const);
    });
  });
});

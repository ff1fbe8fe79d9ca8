import { expect, test } from "tstyche";
import { carries, customStore, type CustomStore, defineTopology, type KeyValueStore, keyValueStore, orderedStore, serde, sessionStore, type Stream, versionedStore, windowStore } from "@iot-topology/core";

interface Alert {
  readonly text: string;
}
interface Filter extends CustomStore {
  readonly has: (key: string) => boolean;
}
const seen = keyValueStore("seen", { value: serde.int32(), ttl: 5 });
const names = orderedStore("names", { value: serde.string() });
const filter = customStore("filter", (): Filter => ({ has: () => true, flush: () => {}, committed: () => {}, mark: () => {}, rollBack: () => {} }));

test("a step gets its declared stores by name, each with its type", () => {
  defineTopology("x", (t) => {
    const numbers = t.source("in").decode(serde.json<number>());
    const out = numbers.process("step", {
      stores: [seen, names, filter, windowStore("windows", { value: serde.json<Alert>(), retention: 5 }), sessionStore("sessions", { value: serde.float64(), retention: 5 }), versionedStore("versions", { value: serde.boolean(), history: 5 })],
      process({ key, value }, context) {
        expect(value).type.toBe<number | null>();
        expect(context.store("seen")).type.toBe<KeyValueStore<number>>();
        expect(context.store("names").get("a")).type.toBe<string | undefined>();
        expect(context.store("filter").has("a")).type.toBe<boolean>();
        expect([...context.store("windows").fetch("a", 0, 1)][0]?.value).type.toBe<Alert | undefined>();
        expect([...context.store("sessions").find("a", 0, 1)][0]?.end).type.toBe<number | undefined>();
        expect(context.store("versions").get("a", 5)?.value).type.toBe<boolean | undefined>();
        expect(context.store).type.not.toBeCallableWith("nothing");
        expect(context.store("seen").put).type.not.toBeCallableWith("a", "text");
        context.forward({ key, value: 5 });
        expect(context.forward).type.not.toBeCallableWith({ key, value: "text" });
        expect(context.forward).type.not.toBeCallableWith({ key, value: 5 }, "child");
        expect(context).type.not.toHaveProperty("schedule");
      },
    });
    expect<Stream<number | null>>().type.toBeAssignableFrom(out);
  });
});

test("what is forwarded has the type of its stream", () => {
  defineTopology("x", (t) => {
    const out = t.source("in").decode(serde.json<number>()).process("step", {
      output: carries<Alert>(),
      children: { late: carries<number>() },
      init(context) {
        context.schedule(5, "wall-clock", (time, later) => {
          expect(time).type.toBe<number>();
          later.forward({ key: null, value: { text: "" } });
          expect(later).type.not.toHaveProperty("meta");
        });
        expect(context).type.not.toHaveProperty("forward");
        expect(context.schedule).type.not.toBeCallableWith(5, "some-time" as const, () => {});
      },
      process({ key }, { forward }) {
        forward({ key, value: { text: "" } });
        forward({ key, value: 5 }, "late");
        expect(forward).type.not.toBeCallableWith({ key, value: 5 });
        expect(forward).type.not.toBeCallableWith({ key, value: { text: "" } }, "late" as const);
      },
    });
    out.map(({ text }) => text);
    expect(out.child("late")).type.toBe<Stream<number>>();
    expect(out.child).type.not.toBeCallableWith("nothing");
  });
});

test("a step that keeps keys forwards values, and its punctuators nothing", () => {
  defineTopology("x", (t) => {
    t.source("in").decode(serde.json<number>()).processValues("step", {
      init: (context) => void context.schedule(5, "stream-time", (_time, later) => expect(later).type.not.toHaveProperty("forward")),
      process(_record, { forward }) {
        forward({ value: 5 });
        expect(forward).type.not.toBeCallableWith({ key: "a", value: 5 });
      },
    });
  });
});

test("a call gets the value's type and gives its result's, and the serde is that of its input", () => {
  defineTopology("x", (t) => {
    const numbers = t.source("in").decode(serde.json<number>());
    const alerts = numbers.mapAsync("ask", (value, record, { signal, idempotencyKey, attempt }) => {
      expect(value).type.toBe<number | null>();
      expect(record.value).type.toBe<number | null>();
      expect(signal).type.toBe<AbortSignal>();
      expect(idempotencyKey).type.toBe<string>();
      expect(attempt).type.toBe<number>();
      return Promise.resolve({ text: "" });
    }, { value: serde.json<number>(), concurrency: 3, ordered: false, timeout: 5, retry: { attempts: 2 } });
    expect(alerts).type.toBe<Stream<{ text: string }>>();
    expect(numbers.mapAsync).type.not.toBeCallableWith("ask", () => Promise.resolve(1), { value: serde.string() });
    expect(numbers.mapAsync).type.not.toBeCallableWith("ask", () => 1, { value: serde.json<number>() });
  });
});

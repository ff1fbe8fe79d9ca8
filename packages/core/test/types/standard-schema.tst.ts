import { type } from "arktype";
import { expect, test } from "tstyche";
import * as v from "valibot";
import { z } from "zod";
import { c, defineTopology, record, type Serde, serde, type Stream, topic } from "@iot-topology/core";

const Zod = z.object({ id: z.string(), at: z.number(), seen: z.coerce.date(), tags: z.array(z.string()).default([]) });
const Valibot = v.object({ id: v.string(), at: v.number(), note: v.optional(v.string(), "") });
const Ark = type({ id: "string", at: "number", "note?": "string" });
const Row = record("Row", { id: c.string(), at: c.float64() });

test("a cast by a Standard Schema gives a stream of what the schema gives", () => {
  defineTopology("x", (t) => {
    expect(t.source("zod").cast(Zod, { timestamp: "at" })).type.toBe<Stream<{ id: string; at: number; seen: Date; tags: string[] }>>();
    expect(t.source("valibot").cast(Valibot, { partitionedBy: "id", onError: "skip" })).type.toBe<Stream<{ id: string; at: number; note: string }>>();
    expect(t.source("arktype").cast(Ark)).type.toBe<Stream<{ id: string; at: number; note?: string }>>();
    expect(t.source("transformed").cast(z.string().transform((text) => text.length))).type.toBe<Stream<number>>();
    t.source("rows").cast(Valibot).sink(topic("rows", Row));
    t.source("again").cast(Ark).repartition("by-id", { by: ["id"], schema: Row }).groupBy("id").count("n");
  });
});

test("a serde of a Standard Schema is of what the schema gives, which it must take back", () => {
  expect(serde.json(Valibot)).type.toBe<Serde<{ id: string; at: number; note: string }>>();
  expect(serde.json(Ark)).type.toBe<Serde<{ id: string; at: number; note?: string }>>();
  expect(serde.json(z.object({ at: z.coerce.date() }))).type.toBe<Serde<{ at: Date }>>();
  expect(serde.json).type.not.toBeCallableWith(z.object({ at: z.string().transform((text) => text.length) }));
});

test("misuse does not compile", () => {
  defineTopology("x", (t) => {
    const raw = t.source("in");
    expect(raw.cast).type.toBeCallableWith(Zod, { timestamp: "seen" as const });
    expect(raw.cast).type.not.toBeCallableWith(Zod, { timestamp: "id" as const });
    expect(raw.cast).type.not.toBeCallableWith(Valibot, { partitionedBy: "at" as const });
    expect(raw.cast).type.not.toBeCallableWith({ parse: () => 1 });
    expect(raw.cast(z.object({ id: z.number() })).sink).type.not.toBeCallableWith(topic("rows", Row));
    expect(raw.cast(Zod).groupBy).type.not.toBeCallableWith("nothing");
  });
});

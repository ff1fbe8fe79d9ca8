import { describe, expect, test } from "tstyche";
import {
  c,
  compileDecoder,
  compileKeyEncoder,
  compileRowEncoder,
  record,
  type ByteWriter,
  type CastFailure,
  type Infer,
  type InferInput,
  type JsonObject,
} from "@iot-topology/core";

const Reading = record("Reading", {
  device_id: c.string({ from: "deviceId", nonEmpty: true }),
  metric: c.lowCardinality(c.string()),
  seq: c.uint64(),
  event_time: c.dateTime64(3, "UTC", { from: "ts" }),
  fine_time: c.dateTime64(6),
  value: c.nullable(c.float64()),
  price: c.decimal(10, 2),
  state: c.enum8({ on: 1, off: 0 }),
  tags: c.array(c.string()),
  counts: c.map(c.string(), c.int64()),
  extra: c.rest(),
});

interface Out {
  readonly device_id: string;
  readonly metric: string;
  readonly seq: bigint;
  readonly event_time: number;
  readonly fine_time: bigint;
  readonly value: number | null;
  readonly price: string;
  readonly state: "on" | "off";
  readonly tags: readonly string[];
  readonly counts: Readonly<Record<string, bigint>>;
  readonly extra: JsonObject;
}
interface In {
  readonly device_id: string;
  readonly metric: string;
  readonly seq: bigint | number;
  readonly event_time: number | Date;
  readonly fine_time: bigint | Date;
  readonly value: number | null;
  readonly price: string | number | bigint;
  readonly state: "on" | "off";
  readonly tags: readonly string[];
  readonly counts: Readonly<Record<string, bigint | number>>;
  readonly extra: JsonObject;
}

describe("A schema", () => {
  test("gives the type of a cast", () => {
    expect<Infer<typeof Reading>>().type.toBe<Out>();
    expect(compileDecoder(Reading)).type.toBe<(bytes: Buffer | null, start?: number, end?: number) => Out | CastFailure>();
  });
  test("gives the type that encoders take, and a cast's result is one", () => {
    expect<InferInput<typeof Reading>>().type.toBe<In>();
    expect(compileRowEncoder(Reading)).type.toBe<(writer: ByteWriter, value: In) => void>();
    expect<InferInput<typeof Reading>>().type.toBeAssignableFrom<Infer<typeof Reading>>();
  });
  test("knows its fields", () => {
    expect(compileKeyEncoder).type.toBeCallableWith(Reading, ["device_id", "seq"]);
    expect(compileKeyEncoder).type.not.toBeCallableWith(Reading, ["deviceId"]);
  });
  test("is of a column too", () => {
    const tags = c.array(c.nullable(c.int8()));
    expect<Infer<typeof tags>>().type.toBe<readonly (number | null)[]>();
  });
});

describe("A column", () => {
  test("refuses options of another's", () => {
    expect(c.float64).type.not.toBeCallableWith({ nonEmpty: true });
    expect(c.string).type.not.toBeCallableWith({ minimum: 1 });
    expect(c.string).type.not.toBeCallableWith({ default: 1 });
    expect(c.int32).type.not.toBeCallableWith({ minimum: 1n });
  });
  test("refuses keys of a map that are no text", () => {
    expect(c.map).type.not.toBeCallableWith(c.bool(), c.string());
    expect(c.map).type.not.toBeCallableWith(c.array(c.string()), c.string());
  });
  test("refuses an enum's default that is no name of it", () => {
    expect(c.enum8({ on: 1 })).type.toBe(c.enum8({ on: 1 }, { default: "on" }));
    // @ts-expect-error! Type '"off"' is not assignable
    c.enum8({ on: 1 }, { default: "off" });
  });
  test("is no column without its function", () => {
    // @ts-expect-error! is not assignable
    record("Wrong", { a: "String" });
  });
});

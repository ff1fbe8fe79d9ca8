import { expect, test } from "tstyche";
import { c, defineTopology, record, type Serde, serde, type SerdeMigration } from "@iot-topology/core";

const Old = record("Total", { n: c.int32() });
const New = record("Total", { n: c.int64(), cents: c.int64() });

test("a migration goes from what the earlier serde gives to what the store takes", () => {
  const from = serde.from(serde.binary(Old), ({ n }) => {
    expect(n).type.toBe<number>();
    return { n: BigInt(n), cents: 0n };
  });
  expect(from).type.toBe<SerdeMigration<{ n: bigint; cents: bigint }>>();
  expect(serde.migrating(serde.binary(New), from)).type.toBe<Serde<{ readonly n: bigint; readonly cents: bigint }>>();
  expect(serde.migrating).type.not.toBeCallableWith(serde.binary(New), serde.from(serde.binary(Old), ({ n }) => ({ n })));
});

test("a reduce takes migrations into its own schema only", () => {
  defineTopology("x", (t) => {
    const grouped = t.source("in").cast(New).groupBy("n");
    const map = ({ n }: { readonly n: number }) => ({ n: BigInt(n), cents: 0n });
    grouped.reduce("last", New, (_, now) => now, { migrations: [serde.from(serde.binary(Old), map)] });
    // @ts-expect-error Type 'number' is not assignable to type 'bigint'
    grouped.reduce("other", New, (_, now) => now, { migrations: [serde.from(serde.binary(Old), ({ n }) => ({ n, cents: 0n }))] });
  });
});

test("warnings are accepted by their names only", () => {
  defineTopology("x", { accepts: { seen: ["STATE_UNBOUNDED"] } }, () => {});
  // @ts-expect-error Type '"STATE_BOUNDLESS"' is not assignable
  defineTopology("x", { accepts: { seen: ["STATE_BOUNDLESS"] } }, () => {});
});

import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import { defineTopology, serde, type Table, type TopologyBuilder, validate } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";

const number = serde.json<number>();
const rules = (build: (b: TopologyBuilder) => void) => {
  const plan = validate(defineTopology("x", build));
  return isLeft(plan) ? plan.left.map(({ rule, step }) => [rule, step]) : [];
};
const sum = (table: Table<number>) =>
  table.groupBy((value) => ({ key: "all", value })).reduce("sum", { value: number }, { add: (a, b) => a + b, subtract: (a, b) => a - b }).toStream().sink(collect("out"));

t.test("a join of a table with itself needs a store where a step behind it subtracts", (t) => {
  const both = (options?: { store: string; value: typeof number }) => (b: TopologyBuilder) => {
    const table = b.table("in", { store: "rows", value: number });
    sum(table.mapValues((n) => n + 1).join(table.filter((n) => n > 1), (l, r) => l * r, options ?? { name: "twice" }));
  };
  t.same(rules(both()), [["STORE_REQUIRED", "twice"]]);
  t.same(rules(both({ store: "kept", value: number })), []);
  t.same(rules((b) => {
    const table = b.table("in", { store: "rows", value: number });
    table.join(table, (l, r) => l * r).toStream().sink(collect("plain"));
    sum(table.joinByForeignKey(table, (l, r) => l * r, { name: "by", foreignKey: String, store: "kept", value: number }));
  }), []);
  t.same(rules((b) => {
    const table = b.table("in", { store: "rows", value: number });
    sum(table.joinByForeignKey(table, (l, r) => l * r, { name: "by", foreignKey: String }));
  }), [["STORE_REQUIRED", "by"]]);
  t.end();
});

t.test("lengths of time must be whole and above 0", (t) => {
  t.same(rules((b) => void b.table("in", { store: "rows", value: number, history: 0 })), [["TABLE_INVALID", "rows"]]);
  t.same(rules((b) => void b.table("in", { store: "rows", value: number, ttl: 1.5 })), [["TABLE_INVALID", "rows"]]);
  t.same(rules((b) => void b.source("in").decode(number).groupByKey().count("n", { ttl: -1 })), [["TABLE_INVALID", "n"]]);
  t.end();
});

import { expect, test } from "tstyche";
import { defineTopology, type Stream, serde, type Table } from "@iot-topology/core";

interface User {
  readonly name: string;
  readonly city: string | null;
}

test("joins of tables infer their rows, and the side that may be absent is null in left and outer joins", () => {
  defineTopology("x", (t) => {
    const users = t.table("users", { store: "users", value: serde.json<User>() });
    const scores = t.table("scores", { store: "scores", value: serde.integer() });
    expect(users.join(scores, ({ name }, score, key) => ({ name, score, key }))).type.toBe<Table<{ name: string; score: number; key: string }>>();
    users.leftJoin(scores, (user, score) => {
      expect(user).type.toBe<User>();
      expect(score).type.toBe<number | null>();
      return null;
    });
    users.outerJoin(scores, (user, score) => {
      expect(user).type.toBe<User | null>();
      expect(score).type.toBe<number | null>();
      return 1;
    });
    expect(users.join(scores, (_, score) => (score > 1 ? score : null)).toStream()).type.toBe<Stream<number | null>>();
    expect(users.join).type.not.toBeCallableWith(scores, (user: User, score: string) => user.name + score);
    expect(users.join).type.not.toBeCallableWith(scores, (_: User, score: number) => score, { store: "without a serde" });
    expect(users.join).type.not.toBeCallableWith(scores, (_: User, score: number) => score, { store: "other", value: serde.string() });
    expect(users.leftJoin).type.not.toBeCallableWith(scores, (_: User, score: number) => score);
    expect(users.join).type.not.toBeCallableWith(users.toStream(), (user: User) => user);
  });
});

test("a join by foreign key takes the left row's key of the right row", () => {
  defineTopology("x", (t) => {
    const users = t.table("users", { store: "users", value: serde.json<User>() });
    const cities = t.table("cities", { store: "cities", value: serde.json<{ readonly country: string }>() });
    const options = { name: "by-city", foreignKey: ({ city }: User) => city };
    expect(users.joinByForeignKey(cities, ({ name }, { country }) => `${name} ${country}`, options)).type.toBe<Table<string>>();
    users.leftJoinByForeignKey(cities, (_, city) => {
      expect(city).type.toBe<{ readonly country: string } | null>();
      return 1;
    }, options);
    const global = t.globalTable("cities", { store: "cities", value: serde.json<{ readonly country: string }>() });
    expect(users.joinByForeignKey(global, ({ name }, { country }) => `${name} ${country}`, options)).type.toBe<Table<string>>();
    const left = serde.json<User>();
    const right = serde.json<{ readonly country: string }>();
    expect(users.joinByForeignKey(cities, ({ name }, { country }) => `${name} ${country}`, { ...options, repartition: { left, right, partitions: 3 } })).type.toBe<Table<string>>();
    expect(users.joinByForeignKey).type.not.toBeCallableWith(cities, (user: User) => user, { ...options, repartition: { left } });
    expect(users.joinByForeignKey).type.not.toBeCallableWith(cities, (user: User) => user, { ...options, repartition: { left, right: serde.string() } });
    expect(users.joinByForeignKey).type.not.toBeCallableWith(cities, (user: User) => user, { name: "x" });
    expect(users.joinByForeignKey).type.not.toBeCallableWith(cities, (user: User) => user, { name: "x", foreignKey: () => 5 });
    expect(users.joinByForeignKey).type.not.toBeCallableWith(cities, (user: User) => user, { foreignKey: () => "a" });
  });
});

test("groups of a table's rows need both directions of an aggregate", () => {
  defineTopology("x", (t) => {
    const group = t.table("users", { store: "users", value: serde.json<User>() }).groupBy(({ name, city }, key) => ({ key: city, value: [name, key] as const }));
    expect(group.count("n")).type.toBe<Table<number>>();
    expect(
      group.aggregate("names", { value: serde.json<readonly string[]>(), init: () => [], add: (names, [name]) => [...names, name], subtract: (names, [name]) => names.filter((other) => other !== name) }),
    ).type.toBe<Table<readonly string[]>>();
    expect(group.reduce).type.not.toBeCallableWith("last", { value: serde.json<readonly [string, string]>() }, { add: (_: unknown, value: readonly [string, string]) => value });
    expect(group.aggregate).type.not.toBeCallableWith("n", { value: serde.integer(), init: () => 0, add: (n: number) => n + 1 });
    expect(t.table("users", { store: "users", value: serde.json<User>() }).groupBy).type.not.toBeCallableWith((user: User) => user.city);
  });
});

test("groups go through a topic with a serde of their values", () => {
  defineTopology("x", (t) => {
    const users = t.table("users", { store: "users", value: serde.json<User>() });
    const group = ({ name, city }: User) => ({ key: city, value: name });
    users.groupBy(group, { repartition: "by-city", value: serde.string(), partitions: 3 }).count("n");
    expect(users.groupBy).type.not.toBeCallableWith(group, { repartition: "by-city" });
    expect(users.groupBy).type.not.toBeCallableWith(group, { partitions: 3 });
    expect(users.groupBy).type.not.toBeCallableWith(group, { repartition: "by-city", value: serde.integer() });
  });
});

test("a table is versioned, or its rows end, not both", () => {
  defineTopology("x", (t) => {
    t.table("users", { store: "users", value: serde.json<User>(), history: 5 });
    t.table("users", { store: "users", value: serde.json<User>(), ttl: 5 });
    expect(t.table).type.not.toBeCallableWith("users", { store: "users", value: serde.json<User>(), history: 5, ttl: 5 });
    t.source("in").decode(serde.integer()).groupByKey().count("n", { ttl: 5 });
  });
});

test("a global table offers nothing but to be joined", () => {
  defineTopology("x", (t) => {
    const scores = t.globalTable("scores", { store: "scores", value: serde.integer() });
    const users = t.source("users").decode(serde.json<User>());
    expect(users.join(scores, ({ name }, score, key) => ({ name, score, key }), { key: ({ city }) => city })).type.toBe<Stream<{ name: string; score: number; key: string }>>();
    users.leftJoin(scores, (user, score, key) => {
      expect(user).type.toBe<User>();
      expect(score).type.toBe<number | null>();
      expect(key).type.toBe<string | null>();
      return 1;
    }, { key: (_, record) => String(record.key) });
    expect(users.join).type.not.toBeCallableWith(scores, (user: User) => user);
    expect(users.outerJoin).type.not.toBeCallableWith(scores, (user: User) => user, { key: () => "a" });
    expect(scores).type.not.toHaveProperty("toStream");
    expect(scores).type.not.toHaveProperty("filter");
    expect(t.table("t", { store: "t", value: serde.integer() }).join).type.not.toBeCallableWith(scores, (a: number) => a);
  });
});

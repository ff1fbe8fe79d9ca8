import { expect, test } from "tstyche";
import { defineTopology, joinWindow, serde, type Stream } from "@iot-topology/core";

interface Click {
  readonly page: string;
}
interface User {
  readonly country: string;
}

test("a join with a table: the value is never null, the row only in a left join", () => {
  defineTopology("x", (t) => {
    const clicks = t.source("clicks").decode(serde.json<Click>());
    const users = t.table("users", { store: "users", value: serde.json<User>() });
    const inner = clicks.join(users, (click, user, key) => {
      expect(click).type.toBe<Click>();
      expect(user).type.toBe<User>();
      expect(key).type.toBe<string>();
      return { page: click.page, country: user.country };
    });
    expect(inner).type.toBe<Stream<{ page: string; country: string }>>();
    const left = clicks.leftJoin(users, (click, user, key) => {
      expect(user).type.toBe<User | null>();
      expect(key).type.toBe<string | null>();
      return `${click.page} ${user?.country ?? ""}`;
    }, { name: "with-country", grace: 5_000, value: serde.json<Click>() });
    expect(left).type.toBe<Stream<string>>();
    expect(clicks.join).type.not.toBeCallableWith(users, (click: { nothing: number }) => click.nothing);
    expect(clicks.leftJoin).type.not.toBeCallableWith(users, (_click: Click, user: User) => user.country);
    expect(clicks.join).type.not.toBeCallableWith(users, (click: Click) => click, { grace: 5_000 });
    expect(clicks.join).type.not.toBeCallableWith(users, (click: Click) => click, { name: "j", grace: 5_000, value: serde.json<User>() });
  });
});

test("a join of streams: neither side in an inner join is null, the other's in a left join, each in an outer join", () => {
  interface Payment {
    readonly amount: number;
  }
  defineTopology("x", (t) => {
    const clicks = t.source("clicks").decode(serde.json<Click>());
    const payments = t.source("payments").decode(serde.json<Payment>());
    const options = { name: "j", within: joinWindow({ before: 0, after: 5_000, grace: 0 }), left: serde.json<Click>(), right: serde.json<Payment>() } as const;
    const inner = clicks.join(payments, (click, payment, key) => {
      expect(click).type.toBe<Click>();
      expect(payment).type.toBe<Payment>();
      expect(key).type.toBe<string>();
      return payment.amount;
    }, options);
    expect(inner).type.toBe<Stream<number>>();
    const left = clicks.leftJoin(payments, (click, payment, key) => {
      expect(click).type.toBe<Click>();
      expect(payment).type.toBe<Payment | null>();
      expect(key).type.toBe<string | null>();
      return click.page;
    }, options);
    expect(left).type.toBe<Stream<string>>();
    clicks.outerJoin(payments, (click, payment, key) => {
      expect(click).type.toBe<Click | null>();
      expect(payment).type.toBe<Payment | null>();
      expect(key).type.toBe<string | null>();
    }, options);
    const joiner = (click: Click, payment: Payment): string => `${click.page}${payment.amount}`;
    expect(clicks.join).type.not.toBeCallableWith(payments, joiner);
    expect(clicks.join).type.not.toBeCallableWith(payments, joiner, { ...options, left: serde.json<Payment>() });
    expect(clicks.leftJoin).type.not.toBeCallableWith(payments, joiner, options);
    expect(clicks.outerJoin).type.not.toBeCallableWith(payments, (click: Click, payment: Payment | null) => `${click.page}${payment?.amount}`, options);
  });
});

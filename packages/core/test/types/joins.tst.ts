import { expect, test } from "tstyche";
import { defineTopology, serde, type Stream } from "@iot-topology/core";

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

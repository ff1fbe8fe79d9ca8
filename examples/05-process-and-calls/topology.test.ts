import t from "tap";
import { minutes, seconds } from "@iot-topology/core";
import { testDriver } from "@iot-topology/core/testing";
import { alarms } from "./topology.ts";

/** A service that fails at its first call, and gives one ticket a key. */
function service() {
  const tickets = new Map<string, string>();
  let calls = 0;
  return {
    tickets,
    notify: (_alarm: object, key: string) => {
      if (++calls === 1) return Promise.reject(new Error("busy"));
      tickets.set(key, tickets.get(key) ?? `T${tickets.size + 1}`);
      return Promise.resolve({ ticket: tickets.get(key) as string });
    },
  };
}

void t.test("a hot device gets one ticket, over a failed call and a crash before its result was committed", async (t) => {
  const { tickets, notify } = service();
  const driver = testDriver(alarms(notify));
  const hot = { key: "oven", value: { celsius: 90 }, timestamp: 1_000 };
  driver.pipe("readings", { key: "shelf", value: { celsius: 20 }, timestamp: 900 }, hot, { value: { celsius: 1 }, timestamp: 1_001 });
  await driver.commit();
  await driver.settle();
  driver.crash();
  t.same(driver.read("tickets"), [], "what no commit holds has not happened");
  await driver.settle();
  await driver.commit();
  t.same(driver.values("tickets"), [{ device: "oven", text: "90 degrees", ticket: "T1" }]);
  t.equal(tickets.size, 1, "the call was made again with the same key");
  t.same(driver.values("unnamed"), [{ celsius: 1 }]);
});

void t.test("a device that is silent for five minutes is noticed by the clock, once", async (t) => {
  const driver = testDriver(alarms(service().notify));
  driver.pipe("readings", { key: "shelf", value: { celsius: 20 }, timestamp: 0 });
  for (let half = 0; half < 20; half++) {
    driver.advanceWallClock(seconds(30));
    if (half === 5) driver.pipe("readings", { key: "oven", value: { celsius: 70 }, timestamp: minutes(3) });
    await driver.settle();
    await driver.commit();
    driver.crash();
  }
  t.same(driver.values("tickets").map((value) => (value as { device: string }).device), ["shelf", "oven"]);
});

void t.test("an alarm that nobody takes is a dead letter", async (t) => {
  const driver = testDriver(alarms(() => Promise.reject(new Error("no one there"))));
  driver.pipe("readings", { key: "oven", value: { celsius: 99 }, timestamp: 0 });
  await driver.settle();
  t.same(driver.values("dead-letters"), [{ step: "notify", message: "no one there" }]);
});

import t from "tap";
import { minutes } from "@iot-topology/core";
import { testDriver } from "@iot-topology/core/testing";
import topology from "./topology.ts";

const at = Date.UTC(2026, 2, 1);

void t.test("an order meets its payment once, an order that nobody pays leaves without one, and a customer who moves takes the sum along", async (t) => {
  const driver = testDriver(topology);
  driver.pipe("customers", { key: "ada", value: { country: "nl" }, timestamp: at });
  driver.pipe("orders", { key: "o1", value: { customer: "ada", amount: 10 }, timestamp: at }, { key: "o2", value: { customer: "ada", amount: 5 }, timestamp: at + 1 });
  driver.pipe("payments", { key: "o1", value: { amount: 10 }, timestamp: at + minutes(2) });
  t.same(driver.read("settled").map(({ key, value }) => [key, value]), [["o1", { customer: "ada", amount: 10, paid: 10 }]]);
  driver.pipe("payments", { key: "o3", value: { amount: 1 }, timestamp: at + minutes(12) });
  t.same(driver.read("settled").map(({ key, value }) => [key, value]), [["o2", { customer: "ada", amount: 5, paid: 0 }]]);
  driver.pipe("customers", { key: "ada", value: { country: "at" }, timestamp: at + minutes(13) });
  await driver.commit();
  const sums = new Map(driver.rows("paid-a-country").map(({ key, value }) => [key, value]));
  t.same(sums, new Map([["nl", 0], ["at", 10]]));
});

void t.test("a visit is one session, and leaves when half an hour has passed without an order", async (t) => {
  const driver = testDriver(topology);
  const order = (customer: string, minute: number) => ({ key: `${customer}${minute}`, value: { customer, amount: minute }, timestamp: at + minutes(minute) });
  driver.pipe("orders", order("ada", 0), order("ada", 20), order("ada", 45), order("bob", 50), order("ada", 90));
  await driver.commit();
  t.same(driver.values("visits"), [{ key: "ada", window_start: at, window_end: at + minutes(45), value: 65 }, { key: "bob", window_start: at + minutes(50), window_end: at + minutes(50), value: 50 }]);
});

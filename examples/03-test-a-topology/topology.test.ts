import t from "tap";
import { collect, testDriver } from "@iot-topology/core/testing";
import { orders } from "./topology.ts";

void t.test("an order that comes twice counts once", async (t) => {
  const driver = testDriver(orders(collect("counts")));
  const order = { id: "o-1", customer: "ada", amount: "12.50", at: "2026-03-01T10:00:00Z" };
  driver.pipe("orders", { value: order, timestamp: 1 }, { value: order, timestamp: 2 }, { value: { ...order, id: "o-2" }, timestamp: 3 });
  await driver.commit();
  t.match(driver.values("counts"), [{ customer: "ada", n: 2 }]);
  t.equal(driver.counters().deduplicated, 1);
});

void t.test("an order whose amount is no decimal of two places is skipped and counted", async (t) => {
  const driver = testDriver(orders(collect("counts")));
  driver.pipe("orders", { value: { id: "o-1", customer: "ada", amount: "12.505", at: "2026-03-01T10:00:00Z" }, timestamp: 1 });
  await driver.commit();
  t.same(driver.values("counts"), []);
  t.equal(driver.counters().skipped, 1);
});

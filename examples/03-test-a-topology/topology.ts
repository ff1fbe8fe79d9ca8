import { c, days, defineTopology, record, type SinkSpec, type Topology, topic } from "@iot-topology/core";

const Order = record("Order", {
  id: c.string({ nonEmpty: true }),
  customer: c.string({ nonEmpty: true }),
  amount: c.decimal(12, 2),
  at: c.dateTime64(3, "UTC"),
});

/** What the topology gives for each customer. */
export const Orders = record("Orders", { customer: c.string(), n: c.uint64(), updates: c.uint64() });
/** A row of {@link Orders}. */
export interface OrdersRow {
  readonly customer: string;
  readonly n: number;
  readonly updates: number;
}

/** Orders a customer, each order once even when its message comes again within a week. The sink is a parameter, so that a test can give its own. */
export function orders(sink: SinkSpec<OrdersRow>): Topology {
  return defineTopology("orders", (t) => {
    t.source("orders")
      .cast(Order, { timestamp: "at", onError: "skip" })
      .dedup("seen-orders", { by: ["id"], within: days(7) })
      .groupBy("customer")
      .count("orders-a-customer")
      .sink(sink);
  });
}

const topology: Topology = orders(topic("orders-a-customer", Orders, { key: (row) => row.customer }));
export default topology;

import { defineTopology, joinWindow, minutes, serde, session, type Stream, topic, type Topology } from "@iot-topology/core";

interface Order {
  readonly customer: string;
  readonly amount: number;
}
interface Payment {
  readonly amount: number;
}
interface Customer {
  readonly country: string;
}

const some = <V>(value: V | null): V[] => (value === null ? [] : [value]);
/** Orders (by order id) with their payments, or without one after ten minutes; what was paid in each country, as customers move; visits as sessions. */
const topology: Topology = defineTopology("shop", (t) => {
  const orders: Stream<Order> = t.source("orders").decode(serde.json<Order>()).flatMap(some);
  const payments = t.source("payments").decode(serde.json<Payment>()).flatMap(some);
  const customers = t.table("customers", { store: "customers", value: serde.json<Customer>() });

  const settled = orders.leftJoin(payments, (order, payment) => ({ ...order, paid: payment?.amount ?? 0 }), {
    name: "settled",
    within: joinWindow({ before: 0, after: minutes(10), grace: minutes(1) }),
    left: serde.json<Order>(),
    right: serde.json<Payment>(),
  });
  settled.sink(topic("settled", serde.json<Order & { paid: number }>()));

  const spent = settled.groupBy(({ customer }) => customer).reduce("spent", { value: serde.json<Order & { paid: number }>() }, (sum, order) => ({ ...order, paid: sum.paid + order.paid }));
  spent
    .join(customers, ({ paid }, { country }) => ({ paid, country }))
    .groupBy(({ paid, country }) => ({ key: country, value: paid }))
    .aggregate("paid-a-country", { value: serde.float64(), init: () => 0, add: (sum, paid) => sum + paid, subtract: (sum, paid) => sum - paid })
    .toStream()
    .sink(topic("paid-a-country", serde.float64()));

  // A customer's visit ends after half an hour without an order; its one result leaves then.
  orders
    .groupBy(({ customer }) => customer)
    .windowed(session(minutes(30), { grace: 0 }), { emit: "close" })
    .aggregate("visits", { value: serde.float64(), init: () => 0, add: (sum, { amount }) => sum + amount, merge: (one, other) => one + other })
    .toStream()
    .sink(topic("visits", serde.json()));
});
export default topology;

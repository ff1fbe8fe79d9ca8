/**
 * Orders joined with payments, looked at by a step that waits, counted a customer; and a table of accounts, summed a region. Two topics of a join come in no order between each other,
 * so the join is one whose pairs do not depend on it.
 */
import { defineTopology, hours, joinWindow, minutes, serde, topic, type Topology } from "@iot-topology/core";
import { collect, exactly, type ExpectedOutcome, latest, type SimulatedRecord, type SimulationRandom } from "@iot-topology/core/testing";
import type { SimulatedTopology } from "./simulated-topology.ts";

interface Order {
  readonly order: number;
}
interface Payment {
  readonly payment: number;
}
interface Account {
  readonly region: string;
  readonly balance: number;
}
interface Paid {
  readonly customer: string;
  readonly order: number;
  readonly payment: number;
}
interface Sum {
  readonly customer: string;
  readonly n: number;
  readonly total: number;
}
interface Region {
  readonly sum: number;
  readonly changes: number;
}

const WITHIN_MS = hours(1);
const FIRST_MS = 1_600_000_000_000;
const CUSTOMERS = 4;
const REGIONS = 2;

const some = <V>(value: V | null): V[] => (value === null ? [] : [value]);

const topology: Topology = defineTopology("shop", (t) => {
  const orders = t.source("orders").decode(serde.json<Order>()).flatMap(some);
  const payments = t.source("payments").decode(serde.json<Payment>()).flatMap(some);
  const paid = orders.join(payments, (order, payment, customer): Paid => ({ customer, ...order, ...payment }), {
    name: "paid", within: joinWindow({ before: WITHIN_MS, after: WITHIN_MS, grace: hours(10_000) }), left: serde.json<Order>(), right: serde.json<Payment>(),
  });
  paid.sink({ ...collect("paid"), rebuildable: "by-position" });
  paid.mapAsync("check", (row) => Promise.resolve({ ...row, checked: true }), { value: serde.json<Paid>(), concurrency: 2 }).sink(topic("paid-orders", serde.json<Paid & { checked: boolean }>()));
  orders
    .groupByKey()
    .aggregate("ordered", { value: serde.json<Sum>(), init: (): Sum => ({ customer: "", n: 0, total: 0 }), add: ({ n, total }, { order }, customer) => ({ customer, n: n + 1, total: total + order }) })
    .toStream()
    .sink(topic("ordered", serde.json<Sum>()));
  t.table("accounts", { store: "accounts", value: serde.json<Account>() })
    .groupBy(({ region, balance }) => ({ key: region, value: balance }))
    .aggregate("regions", { value: serde.json<Region>(), init: (): Region => ({ sum: 0, changes: 0 }), add: ({ sum, changes }, value) => ({ sum: sum + value, changes: changes + 1 }), subtract: ({ sum, changes }, value) => ({ sum: sum - value, changes: changes + 1 }) })
    .mapValues((total, region) => ({ region, ...total }))
    .toStream()
    .sink(topic("regions", serde.json<Region & { region: string }>()));
});

function inputs(random: SimulationRandom): SimulatedRecord[] {
  const below = (bound: number): number => Math.floor(random() * bound);
  const records: SimulatedRecord[] = [];
  let now = FIRST_MS;
  for (let left = 10 + below(35), number = 1; left > 0; left--, number++) {
    now += below(minutes(25));
    const key = `c${below(CUSTOMERS)}`;
    const timestamp = Math.max(FIRST_MS, now - below(minutes(50)));
    const dice = below(10);
    if (dice < 4) records.push({ topic: "orders", key, value: { order: number }, timestamp });
    else if (dice < 7) records.push({ topic: "payments", key, value: { payment: number }, timestamp });
    else records.push({ topic: "accounts", key: `a${below(5)}`, value: dice === 9 && below(2) === 0 ? null : { region: `r${below(REGIONS)}`, balance: number }, timestamp });
  }
  return records;
}

function regionsOf(records: readonly SimulatedRecord[]): (Region & { readonly region: string })[] {
  const accounts = new Map<string, Account>();
  const regions = new Map<string, { sum: number; changes: number }>();
  const change = (region: string, value: number): void => {
    const total = regions.get(region) ?? { sum: 0, changes: 0 };
    regions.set(region, { sum: total.sum + value, changes: total.changes + 1 });
  };
  for (const { key, value } of records) {
    const before = accounts.get(String(key));
    if (before !== undefined) change(before.region, -before.balance);
    if (value === null) accounts.delete(String(key));
    else {
      accounts.set(String(key), value as Account);
      change((value as Account).region, (value as Account).balance);
    }
  }
  return [...regions].map(([region, total]) => ({ region, ...total }));
}

function model(records: readonly SimulatedRecord[]): ExpectedOutcome {
  const of = (name: string): SimulatedRecord[] => records.filter((record) => record.topic === name);
  const paid = of("orders").flatMap((order) =>
    of("payments")
      .filter((payment) => payment.key === order.key && Math.abs(payment.timestamp - order.timestamp) <= WITHIN_MS)
      .map((payment) => ({ customer: order.key, ...(order.value as Order), ...(payment.value as Payment), checked: true })),
  );
  const ordered = new Map<string, Sum>();
  for (const { key, value } of of("orders")) {
    const customer = String(key);
    const { n, total } = ordered.get(customer) ?? { n: 0, total: 0 };
    ordered.set(customer, { customer, n: n + 1, total: total + (value as Order).order });
  }
  return {
    outputs: {
      paid: exactly(paid.map(({ checked: _, ...row }) => row)),
      "paid-orders": exactly(paid),
      ordered: latest([...ordered.values()], { by: ({ customer }) => customer, version: ({ n }) => n }),
      regions: latest(regionsOf(of("accounts")), { by: ({ region }) => region, version: ({ changes }) => changes }),
    },
  };
}

/** See the head of the file. */
export const shop: SimulatedTopology = { name: "shop", topology, inputs, model, partitions: { orders: 2, payments: 2, accounts: 1 } };

/**
 * Orders with the names of their countries and customers with their agents, by global tables; customers with their shops, by foreign key through topics; customers beside their limits, by a
 * join of two tables; and what a step of one's own has counted. The countries stand there before the first process, agents and shops change meanwhile.
 */
import { carries, defineTopology, keyValueStore, serde, topic, type Topology } from "@iot-topology/core";
import { collect, compacted, exactly, type ExpectedOutcome, latest, type SimulatedRecord, type SimulationRandom } from "@iot-topology/core/testing";
import type { SimulatedTopology } from "./simulated-topology.ts";

interface Order {
  readonly country: string;
  readonly n: number;
}
interface Country {
  readonly name: string;
}
interface Customer {
  readonly agent: string;
  readonly shop: string;
  readonly n: number;
}
/** An agent, or a shop. */
interface Partner {
  readonly version: number;
}
interface Served {
  readonly customer: string;
  readonly n: number;
  readonly by: string;
  readonly version: number;
}
interface Limited {
  readonly customer: string;
  readonly n: number;
  readonly limit: number;
}
interface Counted {
  readonly customer: string;
  readonly count: number;
}
interface Bought {
  readonly n: number;
  readonly name: string | null;
}

const FIRST_MS = 1_600_000_000_000;
const COUNTRIES = ["at", "fr", "it"];
const AGENTS = ["x", "y", "z"];
const SHOPS = ["s", "t", "u", "v"];
const CUSTOMERS = 6;
const counts = keyValueStore("order-counts", { value: serde.integer() });

const topology: Topology = defineTopology("directory", (t) => {
  const countries = t.globalTable("countries", { store: "countries", value: serde.json<Country>() });
  const agents = t.globalTable("agents", { store: "agents", value: serde.json<Partner>() });
  const shops = t.table("shops", { store: "shops", value: serde.json<Partner>() });
  const customers = t.table("customers", { store: "customers", value: serde.json<Customer>() });
  const limits = t.table("limits", { store: "limits", value: serde.json<number>() });
  const bought = t.source("purchases").decode(serde.json<Order>()).flatMap((order) => (order === null ? [] : [order]));
  bought.leftJoin(countries, ({ n }, country): Bought => ({ n, name: country?.name ?? null }), { key: ({ country }) => country }).sink(topic("bought-in", serde.json<Bought>()), { ...collect("bought"), rebuildable: "by-position" });
  customers.leftJoinByForeignKey(agents, ({ n, agent }, row, customer): Served => ({ customer, n, by: agent, version: row?.version ?? 0 }), { name: "by-agent", foreignKey: ({ agent }) => agent }).toStream().sink(topic("served", serde.json<Served>()));
  customers
    .leftJoinByForeignKey(shops, ({ n, shop }, row, customer): Served => ({ customer, n, by: shop, version: row?.version ?? 0 }), { name: "by-shop", foreignKey: ({ shop }) => shop, repartition: { left: serde.json<Customer>(), right: serde.json<Partner>() } })
    .toStream()
    .sink(topic("supplied", serde.json<Served>()));
  customers.outerJoin(limits, (customer, limit, key): Limited => ({ customer: key, n: customer?.n ?? 0, limit: limit ?? 0 })).toStream().sink(topic("limited", serde.json<Limited>()));
  bought
    .process("count", {
      stores: [counts],
      output: carries<Counted>(),
      process({ key }, { store, forward }) {
        const customer = String(key);
        const count = (store("order-counts").get(customer) ?? 0) + 1;
        store("order-counts").put(customer, count);
        forward({ key, value: { customer, count } });
      },
    })
    .sink(topic("bought-count", serde.json<Counted>()));
});

function inputs(random: SimulationRandom, numbersFrom = 0): SimulatedRecord[] {
  const below = (bound: number): number => Math.floor(random() * bound);
  const standing = COUNTRIES.map((key): SimulatedRecord => ({ topic: "countries", key, value: { name: `name of ${key}` }, timestamp: FIRST_MS, standing: true }));
  const moving = Array.from({ length: 15 + below(35) }, (_, index): SimulatedRecord => {
    const n = numbersFrom + index + 1;
    const at = { key: `c${below(CUSTOMERS)}`, timestamp: FIRST_MS + n * 1_000 };
    const dice = below(12);
    if (dice < 3) return { topic: "purchases", ...at, value: { country: [...COUNTRIES, "unknown"][below(4)], n } };
    if (dice < 7) return { topic: "customers", ...at, value: { agent: AGENTS[below(3)], shop: SHOPS[below(4)], n } };
    if (dice < 8) return { topic: "limits", ...at, value: n };
    if (dice < 10) return { topic: "shops", ...at, key: SHOPS[below(4)] as string, value: { version: n } };
    return { topic: "agents", ...at, key: AGENTS[below(3)] as string, value: { version: n } };
  });
  return [...standing, ...moving];
}

function model(records: readonly SimulatedRecord[]): ExpectedOutcome {
  const of = (name: string) => records.filter((record) => record.topic === name);
  const last = (name: string) => new Map(of(name).map(({ key, value }) => [String(key), value] as const));
  const [customers, limits, countries] = [last("customers") as Map<string, Customer>, last("limits") as Map<string, number>, last("countries") as Map<string, Country>];
  const tally = new Map<string, number>();
  for (const { key } of of("purchases")) tally.set(String(key), (tally.get(String(key)) ?? 0) + 1);
  const by = ({ customer }: { readonly customer: string }): string => customer;
  const served = (partners: ReadonlyMap<string, unknown>, keyOf: (customer: Customer) => string) =>
    compacted([...customers].map(([customer, row]): Served => ({ customer, n: row.n, by: keyOf(row), version: (partners.get(keyOf(row)) as Partner | undefined)?.version ?? 0 })), { by });
  const named = exactly(of("purchases").map(({ value }) => ({ n: (value as Order).n, name: countries.get((value as Order).country)?.name ?? null })));
  return {
    outputs: {
      "bought-in": named,
      bought: named,
      served: served(last("agents"), ({ agent }) => agent),
      supplied: served(last("shops"), ({ shop }) => shop),
      limited: latest([...new Set([...customers.keys(), ...limits.keys()])].map((customer): Limited => ({ customer, n: customers.get(customer)?.n ?? 0, limit: limits.get(customer) ?? 0 })), { by, version: ({ n, limit }) => n + limit }),
      "bought-count": latest([...tally].map(([customer, count]) => ({ customer, count })), { by, version: ({ count }) => count }),
    },
  };
}

/** See the head of the file. */
export const directory: SimulatedTopology = { name: "directory", topology, inputs, model, partitions: { purchases: 3, customers: 2, limits: 2, shops: 3, countries: 2, agents: 1 } };

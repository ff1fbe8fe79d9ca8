/** A topology with every kind of store that is asked by key, and its handles. */
import { defineTopology, type GlobalTable, keyValueStore, orderedStore, serde, sessionStore, type Table, type Topology, versionedStore, windowStore } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";

export const integer = serde.json<number>();
export const stores = {
  plain: keyValueStore("plain", { value: integer }),
  mortal: keyValueStore("mortal", { value: integer, ttl: 100 }),
  ordered: orderedStore("ordered", { value: integer }),
  windows: windowStore("windows", { value: integer, retention: 100 }),
  sessions: sessionStore("sessions", { value: integer, retention: 100 }),
  versions: versionedStore("versions", { value: integer, history: 100 }),
};
let counts!: Table<number>;
let doubled!: Table<number>;
let prices!: Table<number>;
let unkept!: Table<number>;
let places!: GlobalTable<string>;
const topology: Topology = defineTopology("asked", (b) => {
  const numbers = b.source("in").decode(integer);
  counts = numbers.groupByKey().count("n");
  unkept = counts.filter((n) => n > 1);
  doubled = counts.mapValues((n) => n * 2, { store: "doubled", value: integer });
  doubled.toStream().sink(collect("doubled"));
  prices = b.table("prices", { store: "price", value: integer, history: 1_000 });
  places = b.globalTable("places", { store: "place", value: serde.string() });
  numbers.join(places, (n, place) => `${n}${place}`, { key: () => "a" }).sink(collect("placed"));
  numbers.processValues("keep", {
    stores: Object.values(stores),
    process({ key, value, timestamp }, { store }) {
      const name = String(key);
      store("plain").put(name, value);
      store("mortal").put(name, value);
      store("ordered").put(name, value);
      store("windows").put(name, timestamp, value);
      store("sessions").put(name, timestamp - 5, timestamp, value);
      store("versions").put(name, value, timestamp);
    },
  });
});

export { counts, doubled, places, prices, unkept };
export default topology;

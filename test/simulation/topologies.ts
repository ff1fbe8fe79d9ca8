import { directory } from "./directory.ts";
import { plant } from "./plant.ts";
import { shop } from "./shop.ts";
import type { SimulatedTopology } from "./simulated-topology.ts";
import { sites } from "./sites.ts";
import { visits } from "./visits.ts";

/** What `npm run simulate` runs. */
export const topologies: readonly SimulatedTopology[] = [plant, sites, shop, visits, directory];

import { brokerFaults } from "./broker.ts";
import type { Fault } from "./fault.ts";
import { killFaults } from "./kill.ts";
import { rebalanceFaults } from "./rebalance.ts";
import { zombieFaults } from "./zombie.ts";

/** All faults, in the order of the table. */
export const faults: readonly Fault[] = [...killFaults, ...zombieFaults, ...rebalanceFaults, ...brokerFaults];

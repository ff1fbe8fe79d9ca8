import { brokerFaults } from "./broker.ts";
import type { Fault } from "./fault.ts";
import { inputFaults } from "./input.ts";
import { killFaults } from "./kill.ts";
import { lostReplyFaults } from "./lost-reply.ts";
import { rebalanceFaults } from "./rebalance.ts";
import { versionFaults } from "./version.ts";
import { zombieFaults } from "./zombie.ts";

/** All faults, in the order of the table. */
export const faults: readonly Fault[] = [...killFaults, ...lostReplyFaults, ...zombieFaults, ...rebalanceFaults, ...brokerFaults, ...inputFaults, ...versionFaults];

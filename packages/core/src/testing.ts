/** For tests: the driver, sinks and logs in memory, and the contract suites that every implementation of a port runs. */
export { type CollectConnector, collectConnector, type CollectedRow, collectedRows, type CollectFaults, collect } from "./testing/collect.ts";
export type { AbandonTransaction, MakeClient } from "./testing/cluster-case.ts";
export { type ClusterContractOptions, clusterLogContract } from "./testing/cluster-log-contract.ts";
export { customStoreContract, type CustomKeyValueStore, type CustomStoreCase } from "./testing/custom-store-contract.ts";
export { type DriverEvent, type PipedRecord, type ScheduleEntry, type TestDriver, testDriver } from "./testing/driver.ts";
export type { DriverOutput } from "./testing/driver-output.ts";
export type { DeclaredValue, DriverStore, DriverStoreEntry } from "./testing/driver-store.ts";
export { manualClock, type ManualClock } from "./testing/manual-clock.ts";
export { memoryCluster, type MemoryCluster, type MemoryClusterEntry, type MemoryClusterOptions } from "./testing/memory-cluster.ts";
export type { ClusterOperation, FaultMoment } from "./testing/memory-cluster/network.ts";
export { memoryLog, type MemoryLog } from "./testing/memory-log.ts";
export * from "./testing/source-log-contract.ts";
export { type OpenBackend, stateBackendContract } from "./testing/state-backend-contract.ts";
export { compacted, compareOutput, exactly, type ExpectedAnswer, type ExpectedOutcome, type Expectation, latest } from "./testing/simulation/expectation.ts";
export type { Random as SimulationRandom, SimulationMode } from "./testing/simulation/schedule.ts";
export { type KeptParts, simulate, type SimulationFailure, type SimulationOptions, type SimulationReport } from "./testing/simulation/simulate.ts";
export type { SimulatedRecord, TopicPartitions } from "./testing/simulation/simulated-run.ts";

/** What outlives processes in a schedule: the log, on one machine or as a cluster. */
import type { LogRecord, ProducerRecord } from "../../model/index.ts";
import type { ClusterLog, SourceLog } from "../../port/index.ts";
import { type MemoryCluster, memoryCluster } from "../memory-cluster.ts";
import { memoryLog } from "../memory-log.ts";
import type { Schedule, ScheduleItem, SimulationMode } from "./schedule.ts";
import { simulatedLog } from "./simulated-log.ts";
import type { ProcessLine, Timeline } from "./timeline.ts";

/** The log as schedules need it. */
export interface World {
  connect(line: ProcessLine): SourceLog;
  makeTopic(topic: string, partitions: number): Promise<void>;
  append(topic: string, records: readonly ProducerRecord[]): Promise<void>;
  recordsOf(topic: string): readonly LogRecord[];
  killed(line: ProcessLine): void;
  paused(line: ProcessLine): void;
  resumed(line: ProcessLine): void;
  /** A fault of the cluster. False where it means nothing here. */
  strike(item: ScheduleItem, line: ProcessLine): boolean;
  clearFaults(): void;
  close(): void;
  /** A client that belongs to no process; undefined in local mode. */
  readonly observer: ClusterLog | undefined;
}

/** Makes the world of a mode. */
export function makeWorld(mode: SimulationMode, schedule: Schedule, timeline: Timeline): World {
  return mode === "local" ? localWorld(timeline) : clusterWorld(schedule, timeline);
}

function localWorld(timeline: Timeline): World {
  const log = memoryLog();
  return {
    connect: (line) => simulatedLog(log, line, timeline),
    makeTopic: (topic, partitions) => log.ensureTopic(topic, { partitions }),
    append: async (topic, records) => void (await log.append(topic, records)),
    recordsOf: (topic) => log.recordsOf(topic),
    killed() {},
    paused() {},
    resumed() {},
    strike: () => false,
    clearFaults() {},
    close() {},
    observer: undefined,
  };
}

function clusterWorld({ seed }: Schedule, timeline: Timeline): World {
  const cluster: MemoryCluster = memoryCluster({ clock: timeline.clockOf({ name: "cluster", isAlive: true, held: undefined }), seed });
  const observer = cluster.connect({ clientId: "observer" });
  const clients = new Map<ProcessLine, ClusterLog>();
  const clientOf = (line: ProcessLine): ClusterLog => clients.get(line) as ClusterLog;
  return {
    connect(line) {
      const client = cluster.connect({ clientId: line.name });
      clients.set(line, client);
      return client;
    },
    makeTopic: (topic, partitions) => observer.ensureTopic(topic, { partitions }),
    append: async (topic, records) => void (await observer.append(topic, records)),
    recordsOf: (topic) => cluster.recordsOf(topic),
    killed: (line) => cluster.crash(clientOf(line)),
    paused: (line) => cluster.pause(clientOf(line)),
    resumed: (line) => cluster.resume(clientOf(line)),
    strike(item, line) {
      if (item.kind === "lost" && item.lost !== undefined) {
        cluster.failNext(clientOf(line), item.lost.operation, item.lost.moment, item.lost.skip);
        return true;
      }
      if (item.kind === "expire") return cluster.expire(clientOf(line)) > 0;
      if (item.kind !== "abort-hanging") return false;
      void cluster.abortHanging();
      return true;
    },
    clearFaults: () => cluster.clearFaults(),
    close: () => cluster.close(),
    observer,
  };
}

/** The sides of the comparison: how each is started. All print FIRST when the first record is processed, and end with their standard input. */
import { fileURLToPath } from "node:url";
import { type Child, startChild } from "./child.ts";
import type { PeerBuild } from "./peer-build.ts";

/** One run's names: no two runs share a group, an output topic or a state folder. */
export interface Job {
  readonly brokers: string;
  readonly id: string;
  readonly raw: string;
  readonly clean: string;
  readonly minute: string;
  readonly stateDir: string;
}

export interface Contender {
  readonly name: string;
  /** How many processes share the work. */
  readonly processes: number;
  readonly isPeer: boolean;
  start(job: Job, index: number): Child;
  /** The consumer group under which a job commits. */
  group(job: Job): string;
}

export type OurClient = "kafkajs" | "platformatic";
export type DedupForm = "keys" | "ranges";

/** Kafka Streams, one process with one thread. */
export function kafkaStreams({ java, classPath }: PeerBuild): Contender {
  return {
    name: "Kafka Streams 4.3.1",
    processes: 1,
    isPeer: true,
    start: ({ brokers, id, raw, clean, minute, stateDir }) =>
      startChild(java, ["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classPath, "peer.SensorStreams", brokers, id, raw, clean, minute, "1", stateDir]),
    group: ({ id }) => id,
  };
}

/** Our engine on a client. */
export function ours(client: OurClient, form: DedupForm, processes: number): Contender {
  const flags = (process.env["PEERS_NODE_FLAGS"] ?? "").split(" ").filter((each) => each !== "");
  return {
    name: `iot-topology, ${client}${form === "ranges" ? ", dedup by ranges" : ""}${processes > 1 ? `, ${processes} processes` : ""}`,
    processes,
    isPeer: false,
    start: ({ brokers, id, raw, clean, minute, stateDir }, index) =>
      startChild(process.execPath, [...flags, "--conditions=@iot-topology/source", fileURLToPath(new URL("./ours.ts", import.meta.url)), brokers, client, form, id, raw, clean, minute, `${stateDir}-${index}`]),
    group: ({ id }) => id,
  };
}

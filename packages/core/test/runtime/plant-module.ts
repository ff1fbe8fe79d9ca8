/** A module for threads whose topology depends on what it is called with. */
import { defineTopology, type ThreadTopology, type Topology } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";
import { Event } from "./plant-events.ts";
import plant from "./plant-topology.ts";

/** A topology that throws at one of its records. */
export function failing(at: number): Topology {
  return defineTopology("plant-failing", (b) => {
    b.source("events")
      .cast(Event, { timestamp: "at", partitionedBy: "id", onError: "skip" })
      .map((value) => {
        if (value.seq === BigInt(at)) throw new Error("this one");
        return value;
      })
      .sink(collect("history"));
  });
}

export default function load(data: unknown): Topology | ThreadTopology {
  const { kind, at = 0 } = data as { readonly kind: "plant" | "failing" | "broken"; readonly at?: number };
  if (kind === "broken") throw new Error("the module does not work");
  return kind === "plant" ? { topology: plant, prepare: (log) => Promise.resolve(log) } : failing(at);
}

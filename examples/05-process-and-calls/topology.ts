import { carries, defineTopology, minutes, orderedStore, seconds, serde, topic, type Topology } from "@iot-topology/core";

interface Reading {
  readonly celsius: number;
}
interface Alarm {
  readonly device: string;
  readonly text: string;
}
/** Who is told of alarms: an HTTP API in earnest. It drops repeats of a key. */
export type Notify = (alarm: Alarm, idempotencyKey: string, signal: AbortSignal) => Promise<{ readonly ticket: string }>;

/** When each device was last heard of, in order of the devices' names. */
export const lastHeard = orderedStore("last-heard", { value: serde.integer(), ttl: minutes(60) });

/** Devices that are too hot or silent raise alarms, and each alarm gets a ticket, once. */
export function alarms(notify: Notify): Topology {
  return defineTopology("alarms", (t) => {
    const dead = t.deadLetter("dead-letters");
    dead.map(({ step, message }) => ({ step, message })).sink(topic("dead-letters", serde.json<{ step: string; message: string }>()));
    const watch = t.source("readings").decode(serde.json<Reading>(), { name: "decode", onError: dead }).process("watch", {
      stores: [lastHeard],
      output: carries<Alarm>(),
      children: { unnamed: carries<Reading | null>() },
      init({ schedule }) {
        // By the machine's clock, so that silence is noticed where nothing comes at all; a restart skips no look and makes none twice.
        schedule(seconds(30), "wall-clock", (now, { store, forward }) => {
          for (const [device, heard] of store("last-heard").range()) {
            if (now - heard < minutes(5)) continue;
            forward({ key: device, value: { device, text: "silent" } });
            store("last-heard").delete(device);
          }
        });
      },
      process({ key, value, timestamp }, { store, forward }) {
        if (key === null) return forward({ key, value }, "unnamed");
        const device = typeof key === "string" ? key : Buffer.from(key).toString();
        store("last-heard").put(device, timestamp);
        if (value !== null && value.celsius > 80) forward({ key: device, value: { device, text: `${value.celsius} degrees` } });
      },
    });
    watch.child("unnamed").sink(topic("unnamed", serde.json<Reading | null>()));
    watch
      .mapAsync("notify", async (alarm, _record, { idempotencyKey, signal }) => ({ ...alarm, ...(await notify(alarm, idempotencyKey, signal)) }), {
        value: serde.json<Alarm>(),
        concurrency: 4,
        timeout: seconds(2),
        retry: { attempts: 3, backoff: 200 },
        onError: dead,
      })
      .sink(topic("tickets", serde.json<Alarm & { ticket: string }>()));
  });
}

export default alarms(async (alarm, idempotencyKey, signal) => {
  const url = process.env["NOTIFY_URL"] ?? "http://localhost:8080/alarms";
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(alarm), headers: { "content-type": "application/json", "idempotency-key": idempotencyKey }, signal });
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  return (await answer.json()) as { ticket: string };
});

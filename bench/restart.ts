/**
 * A restart after kill -9, in processes of their own. `node bench/restart.ts fill LOG_DIR STATE_DIR` processes all that the log holds, says so, and goes on with new records until it is killed;
 * `node bench/restart.ts first LOG_DIR STATE_DIR` starts on what that left and tells how long after its process began a new record was committed and delivered.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { openInstance, type ProducerRecord } from "@iot-topology/core";
import { openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import { nullClean, nullConnector } from "./null-sink.ts";
import { sensorTopology } from "./topology.ts";

const [verb = "", logDir = "", stateDir = ""] = process.argv.slice(2);

/** A reading that no other is like. */
function reading(seq: number): ProducerRecord {
  const timestamp = Date.parse("2026-01-01T00:11:00.000Z") + seq;
  const value = JSON.stringify({ deviceId: "dev-1", ts: new Date(timestamp).toISOString(), metric: "pressure", value: "1.5", seq: 1e9 + seq, unit: "p", site: "plant-01" });
  return { key: "dev-1", value, timestamp };
}

const log = await openEmbeddedLog({ dir: logDir, fsync: "never" });
const sink = nullConnector();
const instance = await openInstance(sensorTopology("keys", nullClean), { log, connectors: [sink], stateDir });
instance.run();
if (verb === "fill") {
  await instance.drain();
  process.stdout.write("filled\n");
  for (let seq = 0; ; seq++) {
    await log.append("sensor-raw", [reading(seq)]);
    await sleep(2);
  }
}
const before = sink.totals.rows;
await log.append("sensor-raw", [reading(1e6)]);
while (sink.totals.rows === before) await sleep(1);
process.stdout.write(`${JSON.stringify({ millisecondsToFirst: Math.round(performance.now()), keys: instance.status().counters.written["sensor-clean"] })}\n`);
await instance.stop();
await log.close();

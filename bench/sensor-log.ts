/** Fills an embedded log with the benchmark's records, in a process of its own, so that what that costs is in no measurement: `node bench/sensor-log.ts DIR RECORDS`. */
import { openLevel, type ProducerRecord } from "@iot-topology/core";
import { openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import { sensorData } from "./sensor-data.ts";

const SEED = 42;
const PARTITIONS = 4;
const APPEND_RECORDS = 10_000;

const [dir = "", records = "1000000"] = process.argv.slice(2);
const log = await openEmbeddedLog({ dir, fsync: "never" });
await log.ensureTopic("sensor-raw", { partitions: PARTITIONS });
let batch: ProducerRecord[] = [];
for (const record of sensorData(Number(records), SEED)) {
  batch.push(record);
  if (batch.length < APPEND_RECORDS) continue;
  await log.append("sensor-raw", batch);
  batch = [];
}
if (batch.length > 0) await log.append("sensor-raw", batch);
await log.close();
// LevelDB goes on merging the tables of what was appended last. That belongs to the one who appended, not to what is measured later.
const level = await openLevel(dir, { createIfMissing: false, maxFileBytes: 1 << 20 });
await level.compact(Buffer.alloc(0), Buffer.alloc(32, 0xff));
await level.close();

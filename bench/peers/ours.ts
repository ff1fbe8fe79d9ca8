/**
 * Our side as a program: `node ours.ts BROKERS CLIENT FORM ID RAW CLEAN MINUTE STATE_DIR`. Exactly once, a commit each 100 ms, state in LevelDB and in the
 * changelog. Prints FIRST when the first records have been read, and stops cleanly when standard input ends. With PEERS_TRACE=1 it tells on stderr what
 * happens when, in milliseconds since the process began.
 */
import { once } from "node:events";
import { type Logger, openInstance, silentLogger } from "@iot-topology/core";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { sensorTopology } from "../topology.ts";

const [brokers = "", client = "", form = "", id = "", raw = "", clean = "", minute = "", stateDir = ""] = process.argv.slice(2);

const trace = (fields: object, message: string): void => void process.stderr.write(`${Math.round(performance.now())} ${message} ${JSON.stringify(fields)}\n`);
const logger: Logger = process.env["PEERS_TRACE"] === undefined ? silentLogger : { debug: trace, info: trace, warn: trace, error: trace };

logger.info({}, "loaded");
const log = await openKafkaLog({ brokers: brokers.split(","), client: client === "kafkajs" ? "kafkajs" : "platformatic", clientId: "bench", logger });
logger.info({}, "log opened");
const fetch = log.fetch.bind(log);
let isFirst = true;
log.fetch = async (...args) => {
  const result = await fetch(...args);
  if (isFirst && result.records.length > 0) {
    isFirst = false;
    logger.info({}, "first records");
    process.stdout.write(`FIRST ${Date.now()}\n`);
  }
  return result;
};
const instance = await openInstance(sensorTopology(form === "ranges" ? "ranges" : "keys", undefined, { topology: id, raw, clean, minute }), { log, connectors: [], stateDir, commitIntervalMs: 100, logger, createTopics: true, replicationFactor: 1 });
void instance.failed.then((error) => {
  process.stderr.write(`${error.code}: ${error.message}\n`);
  process.exit(1);
});
logger.info({}, "instance opened");
instance.run();
process.stdin.resume();
await once(process.stdin, "end");
await instance.stop();
await log.close();

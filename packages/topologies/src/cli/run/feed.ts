import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@iot-topology/core";
import type { IngestResult } from "@iot-topology/connectors/file";
import { FleetGenerator, type GeneratedRecord, type GeneratorPosition } from "../../iot/generate.ts";
import type { Config } from "../config/keys.ts";
import type { FileInput } from "./input.ts";
import type { FileProgress } from "./live-status.ts";
import type { AnyLog } from "./log.ts";
import { inTurn } from "./turn.ts";

/** What feeds a log. */
export interface Feed {
  readonly log: AnyLog;
  readonly config: Config;
  readonly view: { readonly logger: Logger; progress(progress: FileProgress | null): void };
  readonly signal: AbortSignal;
}

const TICK_MS = 100;
/** After a pause (a suspended machine, a slow disk) the fleet does not make up for more than this. */
const BEHIND_MS_MAX = 1_000;
/** Under this name the log keeps where the fleet stands, in the same batch as its records: a kill loses and repeats none. */
const FLEET = "generator:iot";

/** Simulates the configured fleet until told to stop, going on where it stood in this log. */
export function feedFleet(feed: Feed): Promise<void> {
  return inTurn(feed.log, () => simulate(feed), { signal: feed.signal, logger: feed.view.logger, source: FLEET });
}

async function simulate({ log, config, signal }: Feed): Promise<void> {
  const saved = await log.sourcePosition(FLEET);
  const generator = new FleetGenerator(fleetOptions(config), saved === undefined ? undefined : (JSON.parse(saved.toString("utf8")) as GeneratorPosition));
  let position = saved;
  let owed = 1;
  let last = performance.now();
  while (!signal.aborted) {
    const records: GeneratedRecord[] = [];
    const now = Date.now();
    for (; owed >= 1; owed--) {
      const made = generator.next(now);
      records.push(...made);
      owed -= made.length - 1;
    }
    if (records.length > 0) {
      const next = Buffer.from(JSON.stringify(generator.position));
      await log.appendWithPosition(FLEET, next, byTopic(records), { position });
      position = next;
    }
    await sleep(TICK_MS, undefined, { signal }).catch(() => {});
    const elapsed = Math.min(BEHIND_MS_MAX, performance.now() - last);
    last = performance.now();
    owed += (elapsed * config["generator.rate"]) / 1_000;
  }
}

function fleetOptions(config: Config): { seed: number; devices: number; duplicates: number; late: number; malformed: number } {
  return {
    seed: config["generator.seed"],
    devices: config["generator.devices"],
    duplicates: config["generator.duplicates"],
    late: config["generator.late"],
    malformed: config["generator.malformed"],
  };
}

function byTopic(records: readonly GeneratedRecord[]): { topic: string; records: GeneratedRecord[] }[] {
  const topics = new Map<string, GeneratedRecord[]>();
  for (const record of records) {
    const list = topics.get(record.topic);
    if (list === undefined) topics.set(record.topic, [record]);
    else list.push(record);
  }
  return [...topics].map(([topic, list]) => ({ topic, records: list }));
}

/** Reads a file into the log, wholly or until told to stop; what was read before is not read again unless `again`. */
export async function feedFile({ log, view, signal }: Feed, input: FileInput, again: boolean): Promise<IngestResult> {
  const { ingestFile } = await import("@iot-topology/connectors/file");
  const read = () => ingestFile({
    path: input.path,
    format: input.format,
    log,
    again,
    signal,
    ...(input.topic === undefined ? {} : { topic: input.topic }),
    ...(input.key === undefined ? {} : { key: input.key }),
    ...(input.time === undefined ? {} : { timestamp: input.time }),
    onProgress: ({ bytesRead, bytesTotal }) => view.progress({ bytesRead, bytesTotal }),
  });
  const result = await inTurn(log, read, { signal, logger: view.logger, source: input.path });
  view.progress(null);
  view.logger.info({ file: input.path, ...result }, "file read");
  return result;
}

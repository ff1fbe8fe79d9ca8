import { type ProducerRecord, TopologyError } from "@iot-topology/core";
import type { EmbeddedLog } from "@iot-topology/connectors/embedded-log";
import { existsSync, statSync } from "node:fs";
import { extname, resolve } from "node:path";
import { didYouMean } from "../config/nearest.ts";

/** A file to read, in one of the formats that the file source knows. */
export interface FileInput {
  readonly path: string;
  readonly format: "replay" | "ndjson" | "csv";
  /** Where its records go; the replay format names the topic of each. */
  readonly topic: string | undefined;
  /** The fields that become the key and the load time; without the latter it is the moment of reading. */
  readonly key: string | undefined;
  readonly time: string | undefined;
}

/** Flags that name an input. */
export interface InputFlags {
  readonly replay?: string;
  readonly input?: string;
  readonly topic?: string;
  readonly key?: string;
  readonly time?: string;
}

const FORMATS: Readonly<Record<string, "ndjson" | "csv">> = { ".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv" };

/**
 * The named input, checked before anything is started.
 *
 * @throws TopologyError USAGE, FILE_NOT_FOUND, FILE_INVALID.
 */
export function inputOf(flags: InputFlags, topics: readonly string[], folder: string): FileInput | undefined {
  const { replay, input, topic, key, time } = flags;
  if (replay !== undefined && input !== undefined) throw usage("--replay and --input both name an input", "keep one of them");
  if (input === undefined && (topic ?? key ?? time) !== undefined) throw usage("--topic, --key and --time belong to --input", "add --input FILE, or leave them out");
  const named = replay ?? input;
  if (named === undefined) return undefined;
  const path = resolve(folder, named);
  if (!existsSync(path)) throw new TopologyError("FILE_NOT_FOUND", `there is no file ${named}`, { place: path, cure: "check the path" });
  if (statSync(path).isDirectory()) throw new TopologyError("FILE_INVALID", `${named} is a folder`, { place: path, cure: "name a file" });
  if (replay !== undefined) return { path, format: "replay", topic: undefined, key: undefined, time: undefined };
  const format = FORMATS[extname(path)];
  if (format === undefined) throw usage(`the format of ${named} cannot be told from its name`, "name it .ndjson, .jsonl or .csv, or give a file in the replay format with --replay");
  const [only] = topics;
  if (topic === undefined && topics.length > 1) throw usage(`--input needs --topic, since the topology reads ${topics.join(" and ")}`, "add --topic NAME");
  if (topic !== undefined && !topics.includes(topic)) throw usage(`the topology does not read ${JSON.stringify(topic)}${didYouMean(topic, topics)}`, `name one of ${topics.join(", ")}`);
  return { path, format, topic: topic ?? only, key, time };
}

function usage(message: string, cure: string): TopologyError {
  return new TopologyError("USAGE", message, { cure });
}

/** Appends records that came by /produce. */
export async function appendTo(log: EmbeddedLog, topic: string, records: readonly ProducerRecord[]): Promise<void> {
  await log.append(topic, records);
}

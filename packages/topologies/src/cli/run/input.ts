import { type ProducerRecord, TopologyError } from "@iot-topology/core";
import { existsSync, statSync } from "node:fs";
import { extname, resolve } from "node:path";
import { didYouMean } from "../config/nearest.ts";
import type { AnyLog } from "./log.ts";

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
  const file = fileInput(named, { topic, key, time }, folder, replay !== undefined);
  if (file.format === "replay") return file;
  const [only] = topics;
  if (topic === undefined && topics.length > 1) throw usage(`--input needs --topic, since the topology reads ${topics.join(" and ")}`, "add --topic NAME");
  if (topic !== undefined && !topics.includes(topic)) throw usage(`the topology does not read ${JSON.stringify(topic)}${didYouMean(topic, topics)}`, `name one of ${topics.join(", ")}`);
  return { ...file, topic: topic ?? only };
}

/** What of a file becomes what of a record, as it was typed. */
interface FieldFlags {
  readonly topic?: string | undefined;
  readonly key?: string | undefined;
  readonly time?: string | undefined;
}

/** A file with the format that its name and the flags say: with a topic the fields of .ndjson or .csv, without one the replay format. */
export function fileInput(named: string, { topic, key, time }: FieldFlags, folder: string, isReplay = topic === undefined): FileInput {
  const path = resolve(folder, named);
  if (!existsSync(path)) throw new TopologyError("FILE_NOT_FOUND", `there is no file ${named}`, { place: path, cure: "check the path" });
  if (statSync(path).isDirectory()) throw new TopologyError("FILE_INVALID", `${named} is a folder`, { place: path, cure: "name a file" });
  if (isReplay) {
    if ((key ?? time) !== undefined) throw usage("--key and --time belong to a file with --topic", "add --topic NAME, or leave them out: each line of the replay format has its own");
    return { path, format: "replay", topic: undefined, key: undefined, time: undefined };
  }
  const format = FORMATS[extname(path)];
  if (format === undefined) throw usage(`the format of ${named} cannot be told from its name`, "name it .ndjson, .jsonl or .csv, or give a file in the replay format with --replay");
  return { path, format, topic, key, time };
}

/** Whether JSON from outside is a file to read. */
export function isFileInput(value: unknown): value is FileInput & { readonly again?: boolean } {
  const { path, format, topic, key, time, again } = (value ?? {}) as { readonly [name: string]: unknown };
  const isOptionalText = (text: unknown) => text === undefined || typeof text === "string";
  const isFormat = format === "replay" || ((format === "ndjson" || format === "csv") && typeof topic === "string");
  return typeof path === "string" && isFormat && [topic, key, time].every(isOptionalText) && (again === undefined || typeof again === "boolean");
}

function usage(message: string, cure: string): TopologyError {
  return new TopologyError("USAGE", message, { cure });
}

/** Appends records that came by /produce. */
export async function appendTo(log: AnyLog, topic: string, records: readonly ProducerRecord[]): Promise<void> {
  await log.append(topic, records);
}

import { createReadStream, existsSync } from "node:fs";
import { resolve } from "node:path";
import { silentLogger, TopologyError } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { dataFolder } from "../data-folder.ts";
import { openAppender } from "../run/appender.ts";
import { type Line, lines } from "../run/line-reader.ts";
import type { ProducedRecord } from "../run/produced-record.ts";
import { partitionsOf } from "../run/topics.ts";

/** Flags of `produce`. */
export interface ProduceFlags {
  readonly input?: string;
  readonly format: "lines" | "json";
  readonly key?: string;
  readonly kafka?: string;
  readonly createTopics?: boolean;
  readonly partitions?: string;
}

const BATCH_RECORDS_MAX = 1_000;
const BATCH_BYTES_MAX = 1 << 20;

/** Appends lines to a topic, in batches; what was appended before an error stands, and the error's line says where to go on. */
export async function produce(context: Context, topic: string, flags: ProduceFlags): Promise<number> {
  if (flags.key !== undefined && flags.format === "json") throw new TopologyError("USAGE", "--key belongs to --format lines; with json each line names its key", { cure: "leave --key out" });
  const { config } = context.load({ "kafka.brokers": flags.kafka, "kafka.createTopics": flags.createTopics, partitions: flags.partitions });
  const { chunks, place } = inputOf(context, flags.input);
  const appender = await openAppender(config, dataFolder(config.data), silentLogger, async (log) => {
    if (!config["kafka.createTopics"] || (await log.partitionCount(topic)) !== undefined) return;
    const replicationFactor = config["kafka.replicationFactor"];
    await log.createTopics([{ topic, partitions: partitionsOf(config), ...(replicationFactor === undefined ? {} : { replicationFactor }) }]);
  });
  let appended = 0;
  try {
    let batch: ProducedRecord[] = [];
    let bytes = 0;
    const flush = async () => {
      if (batch.length > 0) await appender.records(topic, batch);
      appended += batch.length;
      batch = [];
      bytes = 0;
    };
    try {
      for await (const line of lines(chunks, place)) {
        batch.push(flags.format === "json" ? describedRecord(line, place) : plainRecord(line, flags.key));
        bytes += line.bytes.length;
        if (batch.length >= BATCH_RECORDS_MAX || bytes >= BATCH_BYTES_MAX) await flush();
      }
    } catch (error) {
      // The lines before a wrong one are good.
      if (error instanceof TopologyError && error.code === "FILE_INVALID") await flush();
      throw error;
    }
    await flush();
  } finally {
    await appender.close();
  }
  context.stdout.write(context.json ? `${JSON.stringify({ topic, appended })}\n` : `${appended} records appended to ${topic}\n`);
  return 0;
}

function inputOf({ stdin, folder }: Context, input: string | undefined): { readonly chunks: AsyncIterable<Buffer>; readonly place: string } {
  if (input === undefined) return { chunks: stdin, place: "standard input" };
  const path = resolve(folder, input);
  if (!existsSync(path)) throw new TopologyError("FILE_NOT_FOUND", `there is no file ${input}`, { place: path, cure: "check the path" });
  return { chunks: createReadStream(path), place: path };
}

/** The line is the value, whatever it is. A key is taken where the line is a JSON object that has the field. */
function plainRecord({ bytes }: Line, keyField: string | undefined): ProducedRecord {
  const value = bytes.toString("base64");
  if (keyField === undefined) return { key: null, value };
  const field = member(parsed(bytes), keyField);
  const key = typeof field === "string" ? field : typeof field === "number" || typeof field === "boolean" ? String(field) : undefined;
  return { key: key === undefined ? null : base64(key), value };
}

/** A line that says all of a record: `{"key": text or null, "value": text, JSON or null, "timestamp": ms or ISO, "headers": {name: text}}`. */
function describedRecord({ bytes, number }: Line, place: string): ProducedRecord {
  const wrong = (problem: string) =>
    new TopologyError("FILE_INVALID", `line ${number}: ${problem}`, { place: `${place}:${number}`, cure: 'write each line as {"key": "text", "value": ..., "timestamp": epoch ms, "headers": {"name": "text"}}; the lines before this one were appended' });
  const json = parsed(bytes);
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw wrong("is no JSON object");
  const unknown = Object.keys(json).find((name) => !["key", "value", "timestamp", "headers"].includes(name));
  if (unknown !== undefined) throw wrong(`has the member ${JSON.stringify(unknown)}, which is none of key, value, timestamp and headers`);
  const { key = null, value = null, timestamp, headers } = json as { readonly [name: string]: unknown };
  if (key !== null && typeof key !== "string") throw wrong("the key must be a text or null");
  const at = timestamp === undefined ? undefined : typeof timestamp === "string" ? Date.parse(timestamp) : timestamp;
  if (at !== undefined && !(typeof at === "number" && Number.isSafeInteger(at) && at >= 0)) throw wrong("the timestamp must be epoch milliseconds or a time such as 2026-01-01T00:00:00Z");
  if (headers !== undefined && (typeof headers !== "object" || headers === null || !Object.values(headers).every((text) => text === null || typeof text === "string"))) throw wrong("headers must be an object of texts");
  return {
    key: key === null ? null : base64(key),
    value: value === null ? null : base64(typeof value === "string" ? value : JSON.stringify(value)),
    ...(at === undefined ? {} : { timestamp: at }),
    ...(headers === undefined ? {} : { headers: Object.entries(headers as Record<string, string | null>).map(([name, text]) => ({ key: name, value: text === null ? null : base64(text) })) }),
  };
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

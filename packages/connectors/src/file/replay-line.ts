/**
 * The replay format: a line a record, in the envelope that `kcat -C -J` prints.
 *
 *   {"topic":"t","key":"k"|null,"ts":1767225600000,"payload":"text"|null,"headers":["name","value",...]}
 *
 * A payload of null is a tombstone. `partition`, `offset`, `tstype`, `broker` tell where the record stood in another log and are not used.
 * A line whose bytes are not valid UTF-8 keeps them: key and payload come out with the bytes that stand in the file. A lone surrogate
 * that is written as an escape has no UTF-8 and becomes U+FFFD, as in Kafka's own string serializer.
 */
import { isUtf8 } from "node:buffer";
import type { Header, ProducerRecord } from "@iot-topology/core";

/** A record of the replay format and its topic, or what is wrong with the line. */
export type ReplayLine = { readonly topic: string; readonly record: ProducerRecord } | { readonly problem: string };

type Text = Buffer | string;

/** Reads one line. `nowMs` stands in where the envelope has no timestamp. */
export function readReplayLine(line: Buffer, nowMs: number): ReplayLine {
  const valid = isUtf8(line);
  let envelope: unknown;
  try {
    envelope = JSON.parse(valid ? line.toString("utf8") : bytesAsText(line));
  } catch (error) {
    return { problem: `not JSON: ${(error as Error).message}` };
  }
  if (typeof envelope !== "object" || envelope === null || Array.isArray(envelope)) return { problem: "not an object" };
  const text = (value: string): Text => (valid ? value : Buffer.from(value, "latin1"));
  const { topic, key, ts, payload, headers } = envelope as Record<string, unknown>;
  if (typeof topic !== "string" || topic === "") return { problem: "topic is not a text" };
  if (key !== undefined && key !== null && typeof key !== "string") return { problem: "key is neither a text nor null" };
  if (payload !== null && typeof payload !== "string") return { problem: payload === undefined ? "payload is missing" : "payload is neither a text nor null" };
  if (ts !== undefined && ts !== null && !Number.isSafeInteger(ts)) return { problem: "ts is not a number of milliseconds" };
  const read = readHeaders(headers, text);
  if (typeof read === "string") return { problem: read };
  // kcat writes -1 where the record has no timestamp.
  const timestamp = typeof ts === "number" && ts >= 0 ? ts : nowMs;
  return {
    topic: valid ? topic : Buffer.from(topic, "latin1").toString("utf8"),
    record: {
      key: typeof key === "string" ? text(key) : null,
      value: payload === null ? null : text(payload),
      timestamp,
      ...(read.length === 0 ? {} : { headers: read }),
    },
  };
}

/** kcat's headers: names and values by turns. */
function readHeaders(headers: unknown, text: (value: string) => Text): Header[] | string {
  if (headers === undefined || headers === null) return [];
  if (!Array.isArray(headers) || headers.length % 2 !== 0) return "headers are not a list of names and values";
  const read: Header[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name: unknown = headers[index];
    const value: unknown = headers[index + 1];
    if (typeof name !== "string" || (value !== null && typeof value !== "string")) return "headers are not a list of names and values";
    read.push({ key: Buffer.from(text(name) as string).toString("utf8"), value: value === null ? null : Buffer.from(text(value) as string) });
  }
  return read;
}

const ESCAPES = /\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^]/g;

/** JSON text with a character a byte, its escapes above ASCII as the bytes of their UTF-8, so that a parsed text's characters are bytes. */
function bytesAsText(line: Buffer): string {
  return line.toString("latin1").replace(ESCAPES, (escape) => {
    if (escape[1] !== "u" || Number.parseInt(escape.slice(2, 6), 16) < 0x80) return escape;
    return Buffer.from(JSON.parse(`"${escape}"`) as string).toString("latin1");
  });
}

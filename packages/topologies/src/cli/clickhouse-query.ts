import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { TopologyError } from "@iot-topology/core";
import type { Secret } from "./config/secret.ts";

/** Where a ClickHouse is and who asks. */
export interface ClickHouseTarget {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  readonly database?: string | undefined;
}

/** A statement and how its answer is wanted. */
export interface Query {
  readonly sql: string;
  readonly format?: string;
  /** Values for `{name:Type}` in the statement; data never becomes part of the text. */
  readonly parameters?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

const ERROR_TEXT_MAX = 4_096;
const CONNECT_CURE = "check that the server runs and that the URL is right; the embedded one needs no --clickhouse";

/**
 * Sends a statement and resolves with the answer as a stream, once its first bytes are there.
 *
 * @throws TopologyError CLICKHOUSE_UNREACHABLE (retriable), CLICKHOUSE_REFUSED with ClickHouse's own code in the message.
 */
export function openQuery(target: ClickHouseTarget, query: Query): Promise<IncomingMessage> {
  const url = new URL(target.url);
  const parameters = new URLSearchParams(query.settings);
  if (target.database !== undefined) parameters.set("database", target.database);
  if (query.format !== undefined) parameters.set("default_format", query.format);
  for (const [name, value] of Object.entries(query.parameters ?? {})) parameters.set(`param_${name}`, escapeParameter(value));
  const headers: Record<string, string> = { "content-type": "text/plain; charset=utf-8" };
  if (target.username !== undefined) headers["x-clickhouse-user"] = target.username;
  if (target.password !== undefined) headers["x-clickhouse-key"] = target.password.reveal();
  return new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const path = `${url.pathname.replace(/\/$/, "")}/?${parameters}`;
    const options = { method: "POST", host: url.hostname, port: url.port, path, headers, agent: false, ...(query.signal === undefined ? {} : { signal: query.signal }) };
    const request = send(options, (response) => {
      const code = response.headers["x-clickhouse-exception-code"];
      if (response.statusCode === 200 && code === undefined) return resolve(response);
      readAnswer(response, ERROR_TEXT_MAX).then(({ text }) => reject(refused(text, response.statusCode, target)), reject);
    });
    request.on("error", (cause: NodeJS.ErrnoException) => {
      if (query.signal?.aborted === true) return reject(cause);
      reject(new TopologyError("CLICKHOUSE_UNREACHABLE", `ClickHouse does not answer: ${cause.message || cause.code}`, { place: url.origin, cure: CONNECT_CURE, retriable: true, cause }));
    });
    request.end(query.sql);
  });
}

/** Sends a statement and resolves with the answer's text. For small answers: what passes `bytesMax` is cut off. */
export async function queryText(target: ClickHouseTarget, query: Query, bytesMax = 64 << 20): Promise<string> {
  const response = await openQuery(target, query);
  const { text, broken } = await readAnswer(response, bytesMax);
  const exception = exceptionIn(text, response);
  if (exception !== undefined) throw refused(exception.text, 200, target);
  if (broken !== undefined) throw brokenOff(target, broken);
  return text;
}

/** The answer's rows as objects; 64-bit integers come as texts, so they stay exact. */
export async function queryRows<Row>(target: ClickHouseTarget, query: Omit<Query, "format">): Promise<Row[]> {
  const text = await queryText(target, { ...query, format: "JSONEachRow", settings: { output_format_json_quote_64bit_integers: "1", ...query.settings } });
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Row]));
}

/**
 * The exception at the end of an answer that ClickHouse had already begun, or undefined. It stands between marks with a tag that only the
 * header names, so that no data can look like it; older servers have no tag and break the connection instead.
 */
export function exceptionIn(tail: string, response: IncomingMessage): { readonly start: number; readonly text: string } | undefined {
  const tag = response.headers["x-clickhouse-exception-tag"];
  if (typeof tag !== "string") return undefined;
  const start = tail.indexOf(`__exception__\r\n${tag}\r\n`);
  if (start < 0) return undefined;
  const text = tail.slice(start + "__exception__\r\n".length + tag.length + 2).split(/\n\d+ /)[0] ?? "";
  return { start: tail.slice(0, start).endsWith("\r\n") ? start - 2 : start, text };
}

/** An answer that ended before its end. */
export function brokenOff(target: ClickHouseTarget, cause: unknown): TopologyError {
  if (cause instanceof TopologyError) return cause;
  const message = `the answer broke off: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new TopologyError("CLICKHOUSE_REFUSED", message, { place: target.url, cure: "the statement failed in the middle: the server's log says why; or the server ended", retriable: true, cause });
}

/** A refusal, with ClickHouse's own code in the message. */
export function refused(text: string, status: number | undefined, target: ClickHouseTarget): TopologyError {
  const message = text.trim().replace(/ \(version [^)]*\)\s*$/, "") || `HTTP status ${status ?? "unknown"}`;
  const denied = status === 401 || status === 403 || /Code: (516|194)\b/.test(message);
  return new TopologyError("CLICKHOUSE_REFUSED", message, {
    place: target.url,
    cure: denied ? "set clickhouse.username and IOT_TOPOLOGY_CLICKHOUSE_PASSWORD (or ..._PASSWORD_FILE)" : "correct the statement",
  });
}

/** HTTP parameters are read as TSV fields. */
function escapeParameter(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\n", "\\n");
}

/** The text as far as it came, and why it went no further. */
async function readAnswer(stream: IncomingMessage, bytesMax: number): Promise<{ readonly text: string; readonly broken: unknown }> {
  const chunks: Buffer[] = [];
  let size = 0;
  let broken: unknown;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > bytesMax) break;
    }
  } catch (error) {
    broken = error;
  }
  return { text: Buffer.concat(chunks).toString("utf8", 0, bytesMax), broken };
}

import { ClickHouseError } from "@clickhouse/client";
import { type ErrorCode, TopologyError } from "@iot-topology/core";
import { FENCED } from "./permit.ts";

/**
 * ClickHouse's codes that mean the statement is wrong and will stay wrong, or that someone must act first: tried again they would fail for ever.
 * All others are tried again, because most pass: memory (241), too many parts (252), read-only replica (242), timeouts, a server that is stopping (236).
 */
const FINAL_CODES: ReadonlySet<string> = new Set([
  "6", "16", "20", "26", "27", "33", "36", "38", "41", "42", "43", "44", "46", "47", "48", "50", "53", "60", "62", "63", "70", "72", "73", "81", "115", "117",
  "128", "131", "153", "164", "180", "192", "193", "194", "215", "321", "349", "395", "407", "452", "497", "516", "636",
]);
/** Wrong user or password, or not allowed. */
const DENIED_CODES: ReadonlySet<string> = new Set(["164", "192", "193", "194", "497", "516"]);

/** The secret to keep out of messages, and the server's address for them. */
export interface ErrorContext {
  readonly url: string;
  readonly password: string | null;
}

/** A failed call as the error to throw. `place` is the table or statement. */
export function serverError(cause: unknown, place: string, context: ErrorContext, refused: ErrorCode): TopologyError {
  if (cause instanceof TopologyError) return cause;
  const message = redacted(cause instanceof Error ? cause.message : String(cause), context);
  if (!(cause instanceof ClickHouseError)) {
    return new TopologyError("CLICKHOUSE_UNREACHABLE", `ClickHouse at ${context.url} does not answer: ${message || "the connection was cut"}`, {
      place,
      cure: "check that the server runs and that the URL is right; work goes on by itself when it answers",
      retriable: true,
    });
  }
  if (message.includes(FENCED)) {
    return new TopologyError("SINK_FENCED", "another process writes in the place of this one", { place, cure: "it is tried again by itself, and checked before; nothing is lost", retriable: true });
  }
  const text = `ClickHouse code ${cause.code}${cause.type === undefined ? "" : ` (${cause.type})`}: ${message.slice(0, 1_000)}`;
  if (DENIED_CODES.has(cause.code)) {
    return new TopologyError(refused, text, { place, cure: "give a user and password that may create and write these tables" });
  }
  const isFinal = FINAL_CODES.has(cause.code);
  return new TopologyError(refused, text, {
    place,
    cure: isFinal ? "correct the table or view that the message names, and start again: nothing is lost, delivery goes on where it stopped" : "it is tried again by itself",
    retriable: !isFinal,
  });
}

/** The address without user and password. */
export function safeUrl(url: string): string {
  const parsed = new URL(url);
  return `${parsed.origin}${parsed.pathname === "/" ? "" : parsed.pathname}`;
}

function redacted(message: string, context: ErrorContext): string {
  const secrets = [context.password ?? "", encodeURIComponent(context.password ?? "")].filter((secret) => secret !== "");
  return secrets.reduce((text, secret) => text.replaceAll(secret, "***"), message);
}

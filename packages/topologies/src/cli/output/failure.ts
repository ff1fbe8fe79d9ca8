import { type ErrorCode, InvariantError, TopologyError } from "@iot-topology/core";
import { paint, type Style } from "./style.ts";

/** Wrong use is 2, everything else that fails is 1. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set(["USAGE", "CONFIG_INVALID"]);

/** What the operating system says, as codes of ours. */
const SYSTEM_CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOSPC: ["DISK_FULL", "free some space, or name another folder; work goes on where it stopped"],
  EDQUOT: ["DISK_FULL", "free some space, or name another folder; work goes on where it stopped"],
  EROFS: ["DISK_READ_ONLY", "name a folder that can be written"],
  EACCES: ["DISK_READ_ONLY", "give this user the right to read and write it, or name another folder"],
  EPERM: ["DISK_READ_ONLY", "give this user the right to read and write it, or name another folder"],
  EADDRINUSE: ["PORT_IN_USE", "choose another --port, or 0 for any free one"],
  ENOENT: ["FILE_NOT_FOUND", "check the path"],
  ENOTDIR: ["FILE_INVALID", "name a folder; a part of the path is a file"],
  EISDIR: ["FILE_INVALID", "name a file; this is a folder"],
};

/** Any thrown value as an error with a code. */
export function toTopologyError(thrown: unknown): TopologyError {
  if (thrown instanceof TopologyError) return thrown;
  // Errors of another copy of the library, as a user's project may hold.
  if (isForeignTopologyError(thrown)) return new TopologyError(thrown.code, plainMessage(thrown), { ...details(thrown), cause: thrown });
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const system = SYSTEM_CODES[(error as NodeJS.ErrnoException).code ?? ""];
  const path = (error as NodeJS.ErrnoException).path;
  if (system !== undefined) return new TopologyError(system[0], error.message, { ...(path === undefined ? {} : { place: path }), cure: system[1], cause: error });
  const kind = error instanceof InvariantError ? "" : `${error.name}: `;
  return new TopologyError("INTERNAL", `${kind}${error.message}`, { cure: "this should not happen: run again with --verbose and report it", cause: error });
}

/** The exit code for an error. */
export function exitCodeOf(error: TopologyError): 1 | 2 {
  return USAGE_CODES.has(error.code) ? 2 : 1;
}

/** How an error is shown: for people, or as one JSON object. The stack only where asked for. */
export function formatFailure(error: TopologyError, options: { readonly json: boolean; readonly verbose: boolean; readonly style: Style }): string {
  const stack = options.verbose ? stackOf(error) : undefined;
  if (options.json) {
    return JSON.stringify({ error: { code: error.code, message: plainMessage(error), place: error.place, cure: error.cure, stack } });
  }
  return `${paint(options.style, "red", `error ${error.code}:`)} ${error.message}${stack === undefined ? "" : `\n${stack}`}`;
}

/** The message without the place and cure that the error's own text ends with. */
export function plainMessage(error: TopologyError): string {
  const cure = error.cure === undefined ? "" : `\n  cure: ${error.cure}`;
  const place = error.place === undefined ? "" : ` (${error.place})`;
  const suffix = place + cure;
  return error.message.endsWith(suffix) ? error.message.slice(0, error.message.length - suffix.length) : error.message;
}

function stackOf(error: Error): string {
  const lines: string[] = [];
  for (let current: unknown = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth++) lines.push(current.stack ?? current.message);
  return lines.join("\ncaused by ");
}

function isForeignTopologyError(thrown: unknown): thrown is TopologyError {
  return thrown instanceof Error && thrown.name === "TopologyError" && typeof (thrown as { code?: unknown }).code === "string";
}

function details({ place, cure, retriable }: TopologyError): { place?: string; cure?: string; retriable: boolean } {
  return { ...(place === undefined ? {} : { place }), ...(cure === undefined ? {} : { cure }), retriable };
}

import { isIP } from "node:net";
import { Secret } from "./secret.ts";

/** How the text or JSON value of a key becomes its value: the value, or what is wrong with it. */
export type Parse<T> = (raw: unknown) => { readonly value: T } | { readonly problem: string };

const wrong = (raw: unknown, wanted: string): { problem: string } => ({ problem: `is ${JSON.stringify(raw) ?? String(raw)}, but must be ${wanted}` });

export const text: Parse<string> = (raw) => (typeof raw === "string" && raw !== "" ? { value: raw } : wrong(raw, "a text"));

export function number(minimum: number, maximum: number, kind: "whole" | "any"): Parse<number> {
  const wanted = `a ${kind === "whole" ? "whole " : ""}number from ${minimum} to ${maximum}`;
  return (raw) => {
    const value = typeof raw === "string" && raw.trim() !== "" ? Number(raw) : raw;
    if (typeof value !== "number" || !(value >= minimum && value <= maximum)) return wrong(raw, wanted);
    return kind === "any" || Number.isInteger(value) ? { value } : wrong(raw, wanted);
  };
}

export const bool: Parse<boolean> = (raw) => {
  if (typeof raw === "boolean") return { value: raw };
  if (raw === "true" || raw === "1") return { value: true };
  return raw === "false" || raw === "0" ? { value: false } : wrong(raw, "true or false");
};

/** One of some names, however they are capitalised: Kafka's own tools write SCRAM-SHA-512. */
export const oneOf =
  <const T extends string>(...names: readonly T[]): Parse<T> =>
  (raw) => {
    const found = names.find((name) => name === raw || (typeof raw === "string" && name === raw.toLowerCase()));
    return found === undefined ? wrong(raw, `one of ${names.join(", ")}`) : { value: found };
  };

export const optional =
  <T>(parse: Parse<T>): Parse<T | undefined> =>
  (raw) =>
    raw === undefined || raw === null ? { value: undefined } : parse(raw);

export const url: Parse<string> = (raw) => {
  const parsed = typeof raw === "string" && URL.canParse(raw) ? new URL(raw) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) return wrong(raw, "a URL that begins with http:// or https://");
  return parsed.username + parsed.password === "" ? { value: parsed.origin + parsed.pathname.replace(/\/$/, "") } : { problem: "holds a user or password; they have keys of their own, as clickhouse.username and clickhouse.password" };
};

export const secret: Parse<Secret> = (raw) => (raw instanceof Secret ? { value: raw } : typeof raw === "string" ? { value: new Secret(raw) } : { problem: "must be a text" });

const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;

/** Addresses `host:port`, in a text with commas between them or in an array. */
export const addresses: Parse<readonly string[]> = (raw) => {
  const list = typeof raw === "string" ? raw.split(",").map((part) => part.trim()) : raw;
  const wanted = "addresses HOST:PORT, with commas between them";
  if (!Array.isArray(list) || list.length === 0) return wrong(raw, wanted);
  for (const address of list as unknown[]) {
    const match = typeof address === "string" ? ADDRESS.exec(address) : null;
    if (match === null || Number(match[2]) < 1 || Number(match[2]) > 65_535) return wrong(address, wanted);
  }
  return { value: list as string[] };
};

/** Whether a host is this machine, so that nothing goes over a network. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, "");
  return name === "localhost" || name === "::1" || (isIP(name) === 4 && name.startsWith("127."));
}

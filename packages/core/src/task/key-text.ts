import type { RecordKey } from "../model/index.ts";

/** A record's key as the text by which keyed steps know it; bytes are read as UTF-8. */
export function keyText(key: RecordKey): string | null {
  if (key === null || typeof key === "string") return key;
  const bytes = key as Buffer;
  return bytes.utf8Slice(0, bytes.length);
}

/** The same, or undefined where the bytes are not valid UTF-8: two such keys could become the same text. */
export function exactKeyText(key: RecordKey): string | null | undefined {
  const text = keyText(key);
  if (text === null || typeof key === "string" || !text.includes("\ufffd")) return text;
  return Buffer.from(text, "utf8").equals(key as Buffer) ? text : undefined;
}

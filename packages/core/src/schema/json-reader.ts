/**
 * A reader for JSON text whose members have names written with escapes. V8 since 12.8 misreads such a name when an object parsed earlier had,
 * at the same place, the name that the escape's own characters spell: after `{"a":0,"\\":0}`, the `"\n"` of `{"a":0,"\n":0}` comes out as
 * `\` (nodejs/node#63785). Names with escapes are rare, so `JSON.parse` reads all other texts.
 *
 * The text must have passed `JSON.parse`, so that only well-formed text comes here, and its depth must be bounded.
 */
import { Members } from "./members.ts";

const QUOTE = 34;
const BACKSLASH = 92;

/** The index behind the string that begins at `at`. */
function stringEnd(text: string, at: number): number {
  let index = at + 1;
  for (let code = text.charCodeAt(index); code !== QUOTE; code = text.charCodeAt(index)) index += code === BACKSLASH ? 2 : 1;
  return index + 1;
}

function isSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 13 || code === 9;
}

function skipSpace(text: string, at: number): number {
  let index = at;
  while (isSpace(text.charCodeAt(index))) index++;
  return index;
}

/** Whether a member's name in well-formed JSON text is written with an escape. */
export function hasEscapedName(text: string): boolean {
  let escape = text.indexOf("\\");
  if (escape < 0) return false;
  for (let at = text.indexOf('"'); at >= 0; ) {
    const end = stringEnd(text, at);
    if (escape < at) escape = text.indexOf("\\", at);
    if (escape < 0) return false;
    if (escape < end && text.charCodeAt(skipSpace(text, end)) === 58) return true;
    at = text.indexOf('"', end);
  }
  return false;
}

/** The value of well-formed JSON text. `numberOf` turns a number's source text into what stands for it. */
export function readJson(text: string, numberOf: (source: string) => unknown): unknown {
  let at = 0;

  function readString(): string {
    const start = at;
    at = stringEnd(text, at);
    return JSON.parse(text.slice(start, at)) as string;
  }
  /** Steps over the separator or the end of a list; true when there is another element. */
  function hasNext(close: number): boolean {
    at = skipSpace(text, at);
    const code = text.charCodeAt(at++);
    return code !== close;
  }
  function isEmpty(close: number): boolean {
    at = skipSpace(text, at + 1);
    if (text.charCodeAt(at) !== close) return false;
    at++;
    return true;
  }
  function readObject(): unknown {
    const out = new Members();
    if (isEmpty(125)) return out;
    do {
      at = skipSpace(text, at);
      const name = readString();
      at = skipSpace(text, at) + 1;
      out[name] = readValue();
    } while (hasNext(125));
    return out;
  }
  function readArray(): unknown {
    const out: unknown[] = [];
    if (isEmpty(93)) return out;
    do out.push(readValue());
    while (hasNext(93));
    return out;
  }
  function readScalar(): unknown {
    const start = at;
    while (at < text.length && !isSpace(text.charCodeAt(at)) && !",]}".includes(text.charAt(at))) at++;
    const source = text.slice(start, at);
    return source === "true" ? true : source === "false" ? false : source === "null" ? null : numberOf(source);
  }
  function readValue(): unknown {
    at = skipSpace(text, at);
    const code = text.charCodeAt(at);
    if (code === QUOTE) return readString();
    if (code === 123) return readObject();
    return code === 91 ? readArray() : readScalar();
  }
  return readValue();
}

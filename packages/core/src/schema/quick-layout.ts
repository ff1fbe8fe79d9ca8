/**
 * The layout of a flat JSON object as its bytes have it: producers write the members of a record in the same order with the same spaces, over and over, so that
 * all but the values is the same text in each payload.
 *
 *   payload := lead value (lead value)* tail        {"deviceId":  "d1"  ,"seq":  7  }
 */

/** A member of a layout. */
export interface LayoutMember {
  /** The bytes from the value before it (or from the payload's start) to its value. */
  readonly lead: Buffer;
  readonly name: string;
}

/** What is the same in each payload. */
export interface Layout {
  readonly members: readonly LayoutMember[];
  /** What stands behind the last value. */
  readonly tail: Buffer;
}

const QUOTE = 34;
const MEMBERS_MAX = 128;

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9;
}

function skipSpace(bytes: Buffer, at: number): number {
  let index = at;
  while (isSpace(bytes[index])) index++;
  return index;
}

/** The index behind plain text in quotes at `at`: ASCII without escapes; -1 for all else. */
function plainTextEnd(bytes: Buffer, at: number): number {
  if (bytes[at] !== QUOTE) return -1;
  for (let index = at + 1; ; index++) {
    const byte = bytes[index];
    if (byte === QUOTE) return index + 1;
    if (byte === undefined || byte < 32 || byte > 127 || byte === 92) return -1;
  }
}

/** The index behind a text, a number or a word at `at`; -1 for all else. */
function scalarEnd(bytes: Buffer, at: number): number {
  if (bytes[at] === QUOTE) return plainTextEnd(bytes, at);
  let index = at;
  while (/[-+.\w]/.test(String.fromCharCode(bytes[index] ?? 0))) index++;
  return index > at ? index : -1;
}

/** The layout of a payload that `JSON.parse` has taken, or undefined where it is not a flat object of plain names and values, each name once. */
export function layoutOf(bytes: Buffer): Layout | undefined {
  const members: LayoutMember[] = [];
  const names = new Set<string>();
  let valueEnd = 0;
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== 123) return undefined;
  for (;;) {
    const nameAt = skipSpace(bytes, at + 1);
    const nameEnd = plainTextEnd(bytes, nameAt);
    if (nameEnd < 0 || members.length === MEMBERS_MAX) return undefined;
    const name = bytes.latin1Slice(nameAt + 1, nameEnd - 1);
    if (names.has(name)) return undefined;
    names.add(name);
    const valueAt = skipSpace(bytes, skipSpace(bytes, nameEnd) + 1);
    members.push({ lead: Buffer.from(bytes.subarray(valueEnd, valueAt)), name });
    valueEnd = scalarEnd(bytes, valueAt);
    if (valueEnd < 0) return undefined;
    at = skipSpace(bytes, valueEnd);
    if (bytes[at] === 125) return { members, tail: Buffer.from(bytes.subarray(valueEnd)) };
    if (bytes[at] !== 44) return undefined;
  }
}

/**
 * Holds Protobuf bytes to their message type before the library reads them: it takes a text that the bytes cut off for a shorter one, lets a field reach beyond its
 * message, and puts U+FFFD where bytes are not UTF-8, all without a word.
 *
 *   message := (tag varint, value)*      tag := id << 3 | form      form := 0 varint | 1 eight bytes | 2 length varint, bytes | 5 four bytes
 *
 * Source: the Protocol Buffers encoding guide. Groups (forms 3 and 4) are refused: no file of the two supported syntaxes' last ten years writes them.
 */
import { isUtf8 } from "node:buffer";
import type { Field, MapField, Type } from "protobufjs";
import protobuf from "protobufjs";

const DEPTH_MAX = 64;
const VARINT = 0;
const EIGHT_BYTES = 1;
const SIZED = 2;
const FOUR_BYTES = 5;

/** The least bytes of a packed element: 1 is a varint. */
const PACKED: Readonly<Record<string, number>> = { double: 8, fixed64: 8, sfixed64: 8, float: 4, fixed32: 4, sfixed32: 4 };

interface Place {
  readonly bytes: Uint8Array;
  at: number;
}

function varint(place: Place, end: number): number {
  let value = 0;
  for (let index = 0; index < 10; index++) {
    if (place.at >= end) break;
    const byte = place.bytes[place.at++] as number;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return value;
  }
  throw new RangeError("a number ends too early, or is longer than 64 bits");
}

function skip(place: Place, count: number, end: number): void {
  if (count > end - place.at) throw new RangeError(`the bytes end ${count - (end - place.at)} too early`);
  place.at += count;
}

/** Looks into the bytes of a field's value. Moves the place to their end. */
type CheckSized = (place: Place, end: number, depth: number) => void;

/** A field: the form that its values have, and what is looked at where they are sized. A list of numbers may come packed, and is sized then. */
interface FieldCheck {
  readonly form: number;
  readonly mayBePacked: boolean;
  readonly check: CheckSized;
}

function formOf(type: string, resolved: unknown): number {
  if (resolved instanceof protobuf.Type || type === "string" || type === "bytes") return SIZED;
  return PACKED[type] === 8 ? EIGHT_BYTES : PACKED[type] === 4 ? FOUR_BYTES : VARINT;
}

function text(place: Place, end: number): void {
  if (!isUtf8(place.bytes.subarray(place.at, end))) throw new RangeError("a text is not valid UTF-8");
  place.at = end;
}

function packed(type: string): CheckSized {
  const size = PACKED[type];
  return (place, end) => {
    if (size === undefined) while (place.at < end) varint(place, end);
    else if ((end - place.at) % size !== 0) throw new RangeError(`a list of ${size}-byte numbers has ${end - place.at} bytes`);
    place.at = end;
  };
}

function valueCheck(type: string, resolved: unknown): CheckSized {
  if (resolved instanceof protobuf.Type) return compileMessage(resolved);
  if (type === "string") return text;
  if (type === "bytes") return (place, end) => void (place.at = end);
  return packed(type);
}

function valueOf(type: string, resolved: unknown, mayBePacked: boolean): FieldCheck {
  return { form: formOf(type, resolved), mayBePacked, check: valueCheck(type, resolved) };
}

function fieldCheck(field: Field): FieldCheck {
  if (!(field instanceof protobuf.MapField)) return valueOf(field.type, field.resolvedType, field.repeated);
  const { keyType } = field as MapField;
  const entry = new Map([
    [1, valueOf(keyType, null, false)],
    [2, valueOf(field.type, field.resolvedType, false)],
  ]);
  return { form: SIZED, mayBePacked: false, check: (place, end, depth) => message(place, end, depth, entry) };
}

function message(place: Place, end: number, depth: number, fields: ReadonlyMap<number, FieldCheck>): void {
  if (depth > DEPTH_MAX) throw new RangeError(`nested deeper than ${DEPTH_MAX}`);
  while (place.at < end) {
    const tag = varint(place, end);
    const form = tag % 8;
    const field = fields.get(Math.floor(tag / 8));
    if (field !== undefined && form !== field.form && !(form === SIZED && field.mayBePacked)) throw new RangeError(`field ${Math.floor(tag / 8)} has the form ${form}, not ${field.form}`);
    if (form === VARINT) varint(place, end);
    else if (form === EIGHT_BYTES) skip(place, 8, end);
    else if (form === FOUR_BYTES) skip(place, 4, end);
    else if (form === SIZED) {
      const size = varint(place, end);
      const start = place.at;
      skip(place, size, end);
      if (field === undefined) continue;
      place.at = start;
      field.check(place, start + size, depth + 1);
    } else throw new RangeError(`a field has the form ${form}`);
  }
}

/** A message may hold itself, so its fields are compiled at the first use. */
function compileMessage(type: Type): CheckSized {
  let fields: ReadonlyMap<number, FieldCheck> | undefined;
  return (place, end, depth) => {
    fields ??= new Map(type.fieldsArray.map((field) => [field.id, fieldCheck(field)]));
    message(place, end, depth, fields);
  };
}

/** Compiles the check of a whole message. It throws a RangeError that says what is wrong. */
export function compileProtoCheck(type: Type): (bytes: Uint8Array) => void {
  const check = compileMessage(type);
  return (bytes) => check({ bytes, at: 0 }, bytes.length, 1);
}

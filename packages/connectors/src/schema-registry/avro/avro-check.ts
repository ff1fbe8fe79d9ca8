/**
 * Holds Avro bytes to their type before a library reads them: sizes within the bytes, counts and depth within bounds, text in UTF-8. A reader that trusts a count of
 * 2^50 elements without bytes would not come back.
 */
import { isUtf8 } from "node:buffer";
import type { ByteCursor } from "../byte-cursor.ts";
import type { AvroPrimitive, AvroRecord, AvroType } from "./avro-type.ts";

/** Moves a cursor over one value. Throws a RangeError where the bytes are not of the type. */
export type AvroCheck = (cursor: ByteCursor) => void;

const ELEMENTS_MAX = 1_000_000;
const DEPTH_MAX = 64;

interface Compile {
  readonly records: Map<AvroRecord, AvroCheck>;
  depth: number;
}

function elements(cursor: ByteCursor, check: AvroCheck): void {
  let total = 0;
  for (;;) {
    const count = cursor.long();
    if (count === 0) return;
    total += Math.abs(Number(count));
    if (total > ELEMENTS_MAX) throw new RangeError(`more than ${ELEMENTS_MAX} elements`);
    if (count < 0) cursor.size();
    for (let left = Math.abs(Number(count)); left > 0; left--) check(cursor);
  }
}

function text(cursor: ByteCursor): void {
  if (!isUtf8(cursor.bytes(cursor.size()))) throw new RangeError("a text is not valid UTF-8");
}

function primitive({ kind }: AvroPrimitive): AvroCheck {
  switch (kind) {
    case "null":
      return () => {};
    case "boolean":
      return (cursor) => {
        if (cursor.u8() > 1) throw new RangeError("a boolean is neither 0 nor 1");
      };
    case "int":
      return (cursor) => {
        const value = cursor.long();
        if (value < -2_147_483_648 || value > 2_147_483_647) throw new RangeError(`an int is ${value}`);
      };
    case "long":
      return (cursor) => void cursor.long();
    case "float":
      return (cursor) => cursor.skip(4);
    case "double":
      return (cursor) => cursor.skip(8);
    case "bytes":
      return (cursor) => cursor.skip(cursor.size());
    case "string":
      return text;
  }
}

function record(compile: Compile, type: AvroRecord): AvroCheck {
  const known = compile.records.get(type);
  if (known !== undefined) return known;
  const fields: AvroCheck[] = [];
  const check: AvroCheck = (cursor) => {
    if (++compile.depth > DEPTH_MAX) throw new RangeError(`nested deeper than ${DEPTH_MAX}`);
    for (const field of fields) field(cursor);
    compile.depth--;
  };
  // Known before its fields, so that a field may be of the record's own type.
  compile.records.set(type, check);
  for (const field of type.fields) fields.push(checkOf(compile, field.type));
  return check;
}

function checkOf(compile: Compile, type: AvroType): AvroCheck {
  switch (type.kind) {
    case "record":
      return record(compile, type);
    case "union": {
      const branches = type.branches.map((branch) => checkOf(compile, branch));
      return (cursor) => {
        const index = cursor.size();
        const check = branches[index];
        if (check === undefined) throw new RangeError(`a union of ${branches.length} has no branch ${index}`);
        check(cursor);
      };
    }
    case "array": {
      const check = checkOf(compile, type.items);
      return (cursor) => elements(cursor, check);
    }
    case "map": {
      const check = checkOf(compile, type.values);
      return (cursor) => {
        elements(cursor, (entry) => {
          text(entry);
          check(entry);
        });
      };
    }
    case "enum":
      return (cursor) => {
        const index = cursor.size();
        if (index >= type.symbols.length) throw new RangeError(`the enum ${type.name} has no symbol ${index}`);
      };
    case "fixed":
      return (cursor) => cursor.skip(type.size);
    default:
      return primitive(type);
  }
}

/** Compiles the check of one whole value: nothing may follow it. */
export function compileAvroCheck(type: AvroType): AvroCheck {
  const compile: Compile = { records: new Map(), depth: 0 };
  const check = checkOf(compile, type);
  return (cursor) => {
    compile.depth = 0;
    check(cursor);
    if (cursor.remaining > 0) throw new RangeError(`${cursor.remaining} bytes follow the value`);
  };
}

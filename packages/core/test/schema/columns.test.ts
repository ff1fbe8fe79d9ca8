/** The specification of every type of column: what it accepts and gives, what it refuses and says, and how ClickHouse's RowBinary has it. */
import t from "tap";
import { ByteReader, ByteWriter, TopologyError } from "../../src/model/index.ts";
import {
  c,
  CastFailure,
  compileBinaryCodec,
  compileCaster,
  compileDecoder,
  compileJsonEncoder,
  compileKeyEncoder,
  compileRowEncoder,
  ddlColumns,
  record,
  type AnyColumn,
  type JsonObject,
} from "../../src/schema/index.ts";

interface Spec {
  readonly column: AnyColumn;
  readonly ddl: string;
  /** JSON text, and the value that it gives. */
  readonly accepts: readonly (readonly [json: string, value: unknown])[];
  /** JSON text, and `path message`. */
  readonly refuses: readonly (readonly [json: string, message: string])[];
}

const specs: Readonly<Record<string, Spec>> = {
  "small integers come from numbers and numeric text, within their width": {
    column: c.int8(),
    ddl: "Int8",
    accepts: [["-128", -128], ["127", 127], ['"-7"', -7], ['"+7"', 7], ["1e2", 100], ['"1.0"', 1], ["-0", 0], ['"007"', 7]],
    refuses: [
      ["128", "v expected an integer from -128 to 127, got 128"],
      ["-129", "v expected an integer from -128 to 127, got -129"],
      ["1.5", "v expected an integer from -128 to 127, got 1.5"],
      ['"1.5"', 'v expected an integer from -128 to 127, got "1.5"'],
      ["true", "v expected an integer from -128 to 127, got true"],
      ['""', 'v expected an integer from -128 to 127, got ""'],
      ['" 1"', 'v expected an integer from -128 to 127, got " 1"'],
      ['"0x10"', 'v expected an integer from -128 to 127, got "0x10"'],
      ['"NaN"', 'v expected an integer from -128 to 127, got "NaN"'],
      ["1e400", "v expected an integer from -128 to 127, got 1e400"],
      ["[1]", "v expected an integer from -128 to 127, got an array"],
      ["{}", "v expected an integer from -128 to 127, got an object"],
      ["null", "v is null, and the column is Int8, not Nullable"],
    ],
  },
  "unsigned integers refuse what is negative": {
    column: c.uint16(),
    ddl: "UInt16",
    accepts: [["0", 0], ["65535", 65535]],
    refuses: [["-1", "v expected an integer from 0 to 65535, got -1"], ["65536", "v expected an integer from 0 to 65535, got 65536"]],
  },
  "a minimum and a maximum narrow an integer": {
    column: c.int32({ minimum: 1, maximum: 10 }),
    ddl: "Int32",
    accepts: [["1", 1], ["10", 10]],
    refuses: [["0", "v expected an integer from 1 to 10, got 0"], ["11", "v expected an integer from 1 to 10, got 11"]],
  },
  "64-bit integers are exact whatever their size": {
    column: c.uint64(),
    ddl: "UInt64",
    accepts: [
      ["0", 0n],
      ["9007199254740991", 9007199254740991n],
      ["9007199254740992", 9007199254740992n],
      ["9007199254740993", 9007199254740993n],
      ["18446744073709551615", 18446744073709551615n],
      ['"18446744073709551615"', 18446744073709551615n],
      ["1e19", 10000000000000000000n],
      ["12345678901234567.0", 12345678901234567n],
    ],
    refuses: [
      ["18446744073709551616", "v expected an integer from 0 to 18446744073709551615, got 18446744073709551616"],
      ["-1", "v expected an integer from 0 to 18446744073709551615, got -1"],
      ["9007199254740993.5", "v expected an integer from 0 to 18446744073709551615, got 9007199254740993.5"],
      ["1e400", "v expected an integer from 0 to 18446744073709551615, got 1e400"],
      ['"1e999999999"', 'v expected an integer from 0 to 18446744073709551615, got "1e999999999"'],
      ["false", "v expected an integer from 0 to 18446744073709551615, got false"],
    ],
  },
  "signed 64-bit integers reach both ends": {
    column: c.int64(),
    ddl: "Int64",
    accepts: [["-9223372036854775808", -(2n ** 63n)], ["9223372036854775807", 2n ** 63n - 1n], ["-9007199254740993", -9007199254740993n]],
    refuses: [["9223372036854775808", "v expected an integer from -9223372036854775808 to 9223372036854775807, got 9223372036854775808"]],
  },
  "integers go up to 256 bits": {
    column: c.int256(),
    ddl: "Int256",
    accepts: [[String(-(2n ** 255n)), -(2n ** 255n)], [`"${2n ** 255n - 1n}"`, 2n ** 255n - 1n]],
    refuses: [[`"${2n ** 255n}"`, `v expected an integer from ${-(2n ** 255n)} to ${2n ** 255n - 1n}, got "578960446186580977117854925043439539266349923328202820197287"...`]],
  },
  "floats are finite numbers or numeric text": {
    column: c.float64(),
    ddl: "Float64",
    accepts: [["1.5", 1.5], ['"23.50"', 23.5], ['"-1e3"', -1000], ["-0", -0], ["0.12345678901234567", Number("0.12345678901234567")], ["12345678901234567890", Number("12345678901234567890")], ['"1"', 1]],
    refuses: [
      ["true", "v expected a number, got true"],
      ['"NaN"', 'v expected a number, got "NaN"'],
      ['"Infinity"', 'v expected a number, got "Infinity"'],
      ['"-inf"', 'v expected a number, got "-inf"'],
      ['""', 'v expected a number, got ""'],
      ['"1,5"', 'v expected a number, got "1,5"'],
      ['"1."', 'v expected a number, got "1."'],
      ['".5"', 'v expected a number, got ".5"'],
      ['"1_0"', 'v expected a number, got "1_0"'],
      ['"0x1F"', 'v expected a number, got "0x1F"'],
      ['"12 "', 'v expected a number, got "12 "'],
      ["1e999", "v expected a number that a float64 can hold, got 1e999"],
      ['"1e999"', 'v expected a number that a float64 can hold, got "1e999"'],
      ["null", "v is null, and the column is Float64, not Nullable"],
    ],
  },
  "a float32 is rounded to what it can hold": {
    column: c.float32({ minimum: -1 }),
    ddl: "Float32",
    accepts: [["0.1", Math.fround(0.1)], ['"-1"', -1]],
    refuses: [["1e39", "v expected a number that a float32 can hold, got 1e+39"], ["-1.5", "v expected a number from -1, got -1.5"]],
  },
  "decimals are exact or refused": {
    column: c.decimal(20, 2),
    ddl: "Decimal(20, 2)",
    accepts: [
      ["12.3", "12.30"],
      ['"12.300"', "12.30"],
      ["-0.00", "0.00"],
      ['"-0.01"', "-0.01"],
      ["123456789012345678.91", "123456789012345678.91"],
      ["1e3", "1000.00"],
      ["9007199254740993", "9007199254740993.00"],
      ['"999999999999999999.99"', "999999999999999999.99"],
    ],
    refuses: [
      ["1.234", "v expected a Decimal(20, 2), got 1.234, which has more than 2 digits after the point"],
      ["1.00000000000000000001", "v expected a Decimal(20, 2), got 1.00000000000000000001, which has more than 2 digits after the point"],
      ["1000000000000000000", "v expected a Decimal(20, 2), got 1000000000000000000, which has more than 18 digits before the point"],
      ['"12.3.4"', 'v expected a Decimal(20, 2), got "12.3.4", which is not a number'],
      ['"1e999999999"', 'v expected a Decimal(20, 2), got "1e999999999", which has more than 18 digits before the point'],
      ["true", "v expected a decimal number, got true"],
    ],
  },
  "text is text": {
    column: c.string({ nonEmpty: true }),
    ddl: "String",
    accepts: [['"é\\u0000\\ud83d\\ude00"', "é\u0000😀"], ['"\\ufffd"', "\ufffd"], ['"�"', "�"]],
    refuses: [
      ['""', "v is empty"],
      ["1", "v expected text, got 1"],
      ["true", "v expected text, got true"],
      ['"\\ud83d"', "v holds a lone surrogate, which is not text"],
      ["12345678901234567890", "v expected text, got 12345678901234567890"],
    ],
  },
  "low cardinality is what it wraps": {
    column: c.lowCardinality(c.nullable(c.string())),
    ddl: "LowCardinality(Nullable(String))",
    accepts: [['"a"', "a"], ["null", null], ['""', ""]],
    refuses: [["1", "v expected text, got 1"]],
  },
  "nullable low cardinality is turned the way ClickHouse has it": {
    column: c.nullable(c.lowCardinality(c.fixedString(2))),
    ddl: "LowCardinality(Nullable(FixedString(2)))",
    accepts: [['"ab"', "ab"], ["null", null]],
    refuses: [['"abc"', "v expected text of 2 bytes, got 3 bytes"]],
  },
  "fixed strings count bytes, not characters": {
    column: c.fixedString(3),
    ddl: "FixedString(3)",
    accepts: [['"abc"', "abc"], ['"aé"', "aé"], ['"€"', "€"]],
    refuses: [['"abcd"', "v expected text of 3 bytes, got 4 bytes"], ['"éé"', "v expected text of 3 bytes, got 4 bytes"], ['""', "v expected text of 3 bytes, got 0 bytes"], ["123", "v expected text of 3 bytes, got 123"]],
  },
  "enums come by name or by integer": {
    column: c.enum8({ ok: 1, "it's": -2 }),
    ddl: "Enum8('it\\'s' = -2, 'ok' = 1)",
    accepts: [['"ok"', "ok"], ["-2", "it's"]],
    refuses: [['"OK"', 'v expected one of "ok", "it\'s", got "OK"'], ["3", 'v expected one of "ok", "it\'s", got 3'], ['"toString"', 'v expected one of "ok", "it\'s", got "toString"'], ["true", 'v expected one of "ok", "it\'s", got true']],
  },
  "booleans come as themselves, as words, or as 0 and 1": {
    column: c.bool(),
    ddl: "Bool",
    accepts: [["true", true], ['"false"', false], ["1", true], ["0", false]],
    refuses: [['"yes"', 'v expected true or false, got "yes"'], ["2", "v expected true or false, got 2"], ['"1"', 'v expected true or false, got "1"']],
  },
  "UUIDs are canonical and come out in lower case": {
    column: c.uuid(),
    ddl: "UUID",
    accepts: [['"123E4567-E89B-12D3-A456-426614174000"', "123e4567-e89b-12d3-a456-426614174000"]],
    refuses: [
      ['"123e4567e89b12d3a456426614174000"', 'v expected a UUID, got "123e4567e89b12d3a456426614174000"'],
      ['"{123e4567-e89b-12d3-a456-426614174000}"', 'v expected a UUID, got "{123e4567-e89b-12d3-a456-426614174000}"'],
      ['"g23e4567-e89b-12d3-a456-426614174000"', 'v expected a UUID, got "g23e4567-e89b-12d3-a456-426614174000"'],
    ],
  },
  "days exist and are in range": {
    column: c.date(),
    ddl: "Date",
    accepts: [['"1970-01-01"', "1970-01-01"], ['"2149-06-06"', "2149-06-06"], ['"2016-02-29"', "2016-02-29"], ['"2000-02-29"', "2000-02-29"]],
    refuses: [
      ['"2014-02-30"', 'v "2014-02-30" is a day that does not exist'],
      ['"2100-02-29"', 'v "2100-02-29" is a day that does not exist'],
      ['"2014-00-10"', 'v "2014-00-10" is a day that does not exist'],
      ['"1969-12-31"', 'v expected a day from 1970-01-01 to 2149-06-06, got "1969-12-31"'],
      ['"2149-06-07"', 'v expected a day from 1970-01-01 to 2149-06-06, got "2149-06-07"'],
      ['"2014-2-3"', 'v "2014-2-3" is not a day as YYYY-MM-DD'],
      ['"2014-02-14T00:00:00Z"', 'v "2014-02-14T00:00:00Z" is not a day as YYYY-MM-DD'],
      ["16000", "v expected a day as YYYY-MM-DD, got 16000"],
    ],
  },
  "a Date32 goes from 1900 to 2299": {
    column: c.date32(),
    ddl: "Date32",
    accepts: [['"1900-01-01"', "1900-01-01"], ['"2299-12-31"', "2299-12-31"]],
    refuses: [['"1899-12-31"', 'v expected a day from 1900-01-01 to 2299-12-31, got "1899-12-31"'], ['"2300-01-01"', 'v expected a day from 1900-01-01 to 2299-12-31, got "2300-01-01"']],
  },
  "a DateTime is whole seconds, finer digits cut off": {
    column: c.dateTime(),
    ddl: "DateTime('UTC')",
    accepts: [['"2014-02-14T14:27:00.999Z"', 1392388020000], ["1392388020999", 1392388020000], ['"2106-02-07T06:28:15Z"', 4294967295000]],
    refuses: [['"1969-12-31T23:59:59Z"', 'v "1969-12-31T23:59:59Z" is out of the range of a DateTime (1970 to 2106-02-07)'], ["4294967296000", "v 4294967296000 is out of the range of a DateTime (1970 to 2106-02-07)"]],
  },
  "a moment is ISO-8601 with an offset, or epoch milliseconds": {
    column: c.dateTime64(3),
    ddl: "DateTime64(3, 'UTC')",
    accepts: [
      ['"2014-02-14T14:27:00Z"', 1392388020000],
      ['"2014-02-14 14:27:00.1Z"', 1392388020100],
      ['"2014-02-14T15:27:00.123456789+01:00"', 1392388020123],
      ['"2014-02-14T08:57:00.9999-05:30"', 1392388020999],
      ['"2016-02-29T00:00:00-00:00"', 1456704000000],
      ['"1900-01-01T00:00:00Z"', -2208988800000],
      ['"1899-12-31T23:30:00-01:00"', -2208987000000],
      ['"2299-12-31T23:59:59.999Z"', 10413791999999],
      ['"1969-12-31T23:59:59.0009Z"', -1000],
      ["1392388020123", 1392388020123],
      ['"1392388020123"', 1392388020123],
      ["-1", -1],
      ["0", 0],
    ],
    refuses: [
      ['"2014-02-30T00:00:00Z"', 'v expected a moment, got "2014-02-30T00:00:00Z", which names a day that does not exist, 2014-02-30'],
      ['"2015-02-29T00:00:00Z"', 'v expected a moment, got "2015-02-29T00:00:00Z", which names a day that does not exist, 2015-02-29'],
      ['"2014-13-01T00:00:00Z"', 'v expected a moment, got "2014-13-01T00:00:00Z", which names a day that does not exist, 2014-13-01'],
      ['"2014-02-14T24:00:00Z"', 'v expected a moment, got "2014-02-14T24:00:00Z", which names a time that does not exist, 24:00:00'],
      ['"2014-02-14T23:59:60Z"', 'v expected a moment, got "2014-02-14T23:59:60Z", which names a time that does not exist, 23:59:60'],
      ['"2014-02-14T14:27:00"', 'v expected a moment, got "2014-02-14T14:27:00", which has no offset (Z or ±hh:mm)'],
      ['"2014-02-14T14:27:00.123"', 'v expected a moment, got "2014-02-14T14:27:00.123", which has no offset (Z or ±hh:mm)'],
      ['"2014-02-14T14:27:00+0100"', 'v expected a moment, got "2014-02-14T14:27:00+0100", which has a malformed offset (it is Z or ±hh:mm)'],
      ['"2014-02-14T14:27:00+24:00"', 'v expected a moment, got "2014-02-14T14:27:00+24:00", which has a malformed offset (it is Z or ±hh:mm)'],
      ['"2014-02-14T14:27:00Zx"', 'v expected a moment, got "2014-02-14T14:27:00Zx", which has a malformed offset (it is Z or ±hh:mm)'],
      ['"2014-02-14T14:27:00.1234567890Z"', 'v expected a moment, got "2014-02-14T14:27:00.1234567890Z", which has more than 9 digits after the second'],
      ['"2014-02-14"', 'v expected a moment, got "2014-02-14", which is a day without a time'],
      ['"2014-02-14T14:27Z"', 'v expected a moment, got "2014-02-14T14:27Z", which is not ISO-8601 text like 2014-02-14T14:27:00.123Z'],
      ['"yesterday"', 'v expected a moment, got "yesterday", which is not ISO-8601 text like 2014-02-14T14:27:00.123Z'],
      ['""', 'v expected a moment, got "", which is not ISO-8601 text like 2014-02-14T14:27:00.123Z'],
      ['"1899-12-31T23:59:59Z"', 'v "1899-12-31T23:59:59Z" is out of the range of a DateTime64(3) (1900 to 2299)'],
      ['"2300-01-01T00:00:00Z"', 'v "2300-01-01T00:00:00Z" is out of the range of a DateTime64(3) (1900 to 2299)'],
      ["1e300", "v expected a moment, got 1e+300, which is not epoch milliseconds"],
      ["1392388020123.5", "v expected a moment, got 1392388020123.5, which is epoch milliseconds with a fraction that the precision cannot hold"],
      ["true", "v expected a moment, got true, which is neither ISO-8601 text nor epoch milliseconds"],
    ],
  },
  "a moment of precision 0 has whole seconds": {
    column: c.dateTime64(0),
    ddl: "DateTime64(0, 'UTC')",
    accepts: [["-1", -1000], ['"1969-12-31T23:59:59.999Z"', -1000], ["1999", 1000]],
    refuses: [],
  },
  "a finer moment is a bigint of ticks": {
    column: c.dateTime64(6, "Europe/Berlin"),
    ddl: "DateTime64(6, 'Europe/Berlin')",
    accepts: [['"2014-02-14T14:27:00.1234567Z"', 1392388020123456n], ["1392388020123", 1392388020123000n], ["1392388020123.5", 1392388020123500n], ["1392388020123.456", 1392388020123456n], ['"1969-12-31T23:59:59.999999Z"', -1n]],
    refuses: [["1392388020123.4567", "v expected a moment, got 1392388020123.4567, which is epoch milliseconds with a fraction that the precision cannot hold"]],
  },
  "nanoseconds end where 64 bits do": {
    column: c.dateTime64(9),
    ddl: "DateTime64(9, 'UTC')",
    accepts: [['"2262-04-11T23:47:16.854775807Z"', 2n ** 63n - 1n], ["1392388020123.456789", 1392388020123456789n]],
    refuses: [['"2262-04-11T23:47:16.854775808Z"', 'v "2262-04-11T23:47:16.854775808Z" is out of the range of a DateTime64(9) (1900 to 2262-04-11)']],
  },
  "nullable takes null": {
    column: c.nullable(c.int32()),
    ddl: "Nullable(Int32)",
    accepts: [["null", null], ["5", 5]],
    refuses: [['"x"', 'v expected an integer from -2147483648 to 2147483647, got "x"']],
  },
  "arrays name the element that is wrong": {
    column: c.array(c.nullable(c.int16())),
    ddl: "Array(Nullable(Int16))",
    accepts: [["[]", []], ['[1,null,"-3"]', [1, null, -3]]],
    refuses: [
      ['[1,"x",2,true]', 'v[1] expected an integer from -32768 to 32767, got "x"; v[3] expected an integer from -32768 to 32767, got true'],
      ["{}", "v expected an array, got an object"],
      ['"[]"', 'v expected an array, got "[]"'],
    ],
  },
  "nested arrays give the whole path": {
    column: c.array(c.array(c.string())),
    ddl: "Array(Array(String))",
    accepts: [['[["a"],[]]', [["a"], []]]],
    refuses: [['[[],["a",null]]', "v[1][1] is null, and the column is String, not Nullable"]],
  },
  "maps are objects of one type, whatever their keys": {
    column: c.map(c.string(), c.float64()),
    ddl: "Map(String, Float64)",
    accepts: [['{"a":"1.5","":2,"__proto__":3,"constructor":4}', { a: 1.5, "": 2, ["__proto__"]: 3, constructor: 4 }], ["{}", {}]],
    refuses: [
      ['{"a":"x","b c":true}', 'v.a expected a number, got "x"; v["b c"] expected a number, got true'],
      ['{"a":null}', "v.a is null, and the column is Float64, not Nullable"],
      ["[]", "v expected an object, got an array"],
      ['{"\\ud800":1}', 'v["\\ud800"] holds a lone surrogate, which is not text'],
    ],
  },
  "a map's keys are cast too": {
    column: c.map(c.uint64(), c.array(c.string())),
    ddl: "Map(UInt64, Array(String))",
    accepts: [['{"18446744073709551615":["v"],"07":[]}', { "18446744073709551615": ["v"], "7": [] }]],
    refuses: [['{"-1":[]}', 'v["-1"] expected an integer from 0 to 18446744073709551615, got "-1"'], ['{"1":[],"01":[]}', 'v["01"] is the same key as another, "1"'], ['{"1":["a",1]}', 'v["1"][1] expected text, got 1']],
  },
  "JSON is any object, numbers exact": {
    column: c.json(),
    ddl: "JSON",
    accepts: [['{"a":{"b":[1,null,true]}}', { a: { b: [1, null, true] } }]],
    refuses: [['{"a":{"b":["\\udc00"]}}', "v.a.b[0] holds a lone surrogate, which is not text"], ["[]", "v expected an object, got an array"], ["1", "v expected an object, got 1"], ['{"a":{"\\udc00":1}}', 'v.a["\\udc00"] is named by a lone surrogate, which is not text']],
  },
};

/** Values as comparable text: bigints, -0 and prototypes told apart where it matters. */
function shown(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  if (Array.isArray(value)) return `[${value.map(shown).join(",")}]`;
  if (typeof value === "object" && value !== null) return `{${Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${shown(member)}`).sort().join(",")}}`;
  return JSON.stringify(value);
}

for (const [title, { column, ddl, accepts, refuses }] of Object.entries(specs)) {
  t.test(title, (t) => {
    const schema = record("Spec", { v: column });
    const decode = compileDecoder(schema);
    const toJson = compileJsonEncoder(schema);
    const codec = compileBinaryCodec(schema);
    t.same(ddlColumns(schema), [{ name: "v", type: ddl }]);
    for (const [json, expected] of accepts) {
      const out = decode(Buffer.from(`{"v":${json}}`));
      if (out instanceof CastFailure) {
        t.fail(`${json}: ${out.message}`);
        continue;
      }
      t.equal(shown(out.v), shown(expected), `${json} gives ${shown(expected)}`);
      const writer = new ByteWriter();
      codec.encode(writer, out);
      t.equal(shown(codec.decode(new ByteReader(writer.take()))), shown(out), `${json} comes back from state`);
      t.equal(shown(decode(Buffer.from(toJson(out)))), shown(out), `${json} comes back from its JSON ${toJson(out)}`);
    }
    for (const [json, message] of refuses) {
      const out = decode(Buffer.from(`{"v":${json}}`));
      t.ok(out instanceof CastFailure, `${json} is refused`);
      if (!(out instanceof CastFailure)) continue;
      t.equal(out.message, message);
      t.equal(out.code, "CAST_FAILED");
      t.ok(out.field === "v" || out.field.startsWith("v.") || out.field.startsWith("v["), `the field is a path, ${out.field}`);
    }
    t.end();
  });
}

t.test("RowBinary is what ClickHouse itself writes (bytes taken from engine 26.7)", (t) => {
  const table: readonly (readonly [AnyColumn, unknown, string])[] = [
    [c.int8(), -128, "80"],
    [c.int16(), -32768, "0080"],
    [c.int32(), -2, "feffffff"],
    [c.int64(), -(2n ** 63n), "0000000000000080"],
    [c.int64(), -1, "ffffffffffffffff"],
    [c.int128(), -(2n ** 127n), "00000000000000000000000000000080"],
    [c.int256(), -5n, `fb${"ff".repeat(31)}`],
    [c.uint8(), 255, "ff"],
    [c.uint16(), 65534, "feff"],
    [c.uint32(), 4294967294, "feffffff"],
    [c.uint64(), 18446744073709551615n, "ffffffffffffffff"],
    [c.uint128(), 340282366920938463463374607431768211454n, `fe${"ff".repeat(15)}`],
    [c.uint256(), 2n ** 64n, `${"00".repeat(8)}01${"00".repeat(23)}`],
    [c.float32(), 1.5, "0000c03f"],
    [c.float64(), -0.1, "9a9999999999b9bf"],
    [c.decimal(9, 2), "-1234567.89", "eb32a4f8"],
    [c.decimal(18, 4), "12345678901234.5678", "4ef330a64b9bb601"],
    [c.decimal(38, 10), "-1234567890123456789012345678.0123456789", "ebba9833b16fb63becccfd0f094fb6f6"],
    [c.decimal(76, 20), 12.5, `0000485637193cc343${"00".repeat(23)}`],
    [c.string(), "hé", "0368c3a9"],
    [c.lowCardinality(c.string()), "k", "016b"],
    [c.lowCardinality(c.nullable(c.string())), "k", "00016b"],
    [c.lowCardinality(c.nullable(c.string())), null, "01"],
    [c.fixedString(3), "aé", "61c3a9"],
    [c.enum8({ a: -128, "b'c": 127 }), "b'c", "7f"],
    [c.enum16({ x: -32768, y: 300 }), "x", "0080"],
    [c.bool(), true, "01"],
    [c.uuid(), "123e4567-e89b-12d3-a456-426614174000", "d3129be867453e1200401714664256a4"],
    [c.date(), "2149-06-06", "ffff"],
    [c.date32(), "1900-01-01", "219cffff"],
    [c.dateTime(), 4294967295000, "ffffffff"],
    [c.dateTime64(0), -2208988800000, "8081557cffffffff"],
    [c.dateTime64(3), new Date(-1), "ffffffffffffffff"],
    [c.dateTime64(6), -876544n, "00a0f2ffffffffff"],
    [c.dateTime64(9), 2n ** 63n - 1n, "ffffffffffffff7f"],
    [c.nullable(c.int32()), null, "01"],
    [c.nullable(c.int32()), 7, "0007000000"],
    [c.array(c.nullable(c.int16())), [1, null, -3], "030001000100fdff"],
    [c.map(c.string(), c.float64()), { k: 1.5 }, "01016b000000000000f83f"],
    [c.map(c.uint64(), c.array(c.string())), { 7: ["v"] }, "010700000000000000010176"],
  ];
  for (const [column, value, hex] of table) {
    const writer = new ByteWriter();
    compileRowEncoder(record("Row", { v: column }))(writer, { v: value });
    t.equal(writer.take().toString("hex"), hex, `${column.clickhouse} ${shown(value)}`);
  }
  t.end();
});

t.test("An encoder refuses what a column cannot hold, names the field, and leaves the batch as it was", (t) => {
  const table: readonly (readonly [AnyColumn, unknown])[] = [
    [c.int8(), 128],
    [c.int8(), 1.5],
    [c.int8(), "1"],
    [c.uint32(), -1],
    [c.uint64(), -1],
    [c.uint64(), 2n ** 64n],
    [c.int64(), 2 ** 53],
    [c.int128(), 2n ** 127n],
    [c.float64(), "1"],
    [c.decimal(4, 2), "1.234"],
    [c.decimal(4, 2), 100],
    [c.string(), "\ud800"],
    [c.string(), undefined],
    [c.fixedString(2), "abc"],
    [c.enum8({ a: 1 }), "b"],
    [c.bool(), 1],
    [c.uuid(), "x"],
    [c.date(), "2014-02-30"],
    [c.dateTime(), -1],
    [c.dateTime64(3), 1.5],
    [c.dateTime64(3), new Date(NaN)],
    [c.dateTime64(6), 1392388020123],
    [c.array(c.string()), "a"],
    [c.map(c.string(), c.string()), { a: 1 }],
    [c.json(), [1]],
    [c.json(), { a: "\udc00" }],
  ];
  for (const [column, value] of table) {
    const schema = record("Row", { first: c.string(), v: column });
    const writer = new ByteWriter();
    writer.u8(1);
    const expected = { name: "TopologyError", code: "CAST_FAILED", message: /^v: expected|^v: a|^v: holds/ };
    t.throws(() => compileRowEncoder(schema)(writer, { first: "x", v: value }), expected, `${column.clickhouse} ${shown(value)} in RowBinary`);
    t.equal(writer.position, 1, "nothing of the row is left");
    t.throws(() => compileJsonEncoder(schema)({ first: "x", v: value }), { name: "TopologyError", code: "CAST_FAILED" }, `${column.clickhouse} ${shown(value)} in JSON`);
  }
  t.throws(() => compileJsonEncoder(record("Row", { v: c.float64() }))({ v: Infinity }), { code: "CAST_FAILED" }, "JSON has no infinity");
  t.end();
});

t.test("JSON columns are written as ClickHouse's JSON type takes them, and kept in state without loss", (t) => {
  const schema = record("Row", { rest: c.rest() });
  const decode = compileDecoder(schema);
  const table: readonly (readonly [string, string])[] = [
    ['{"a":1e400}', '{"a":"1e400"}'],
    ['{"a":123456789012345678901234567890}', '{"a":"123456789012345678901234567890"}'],
    ['{"a":18446744073709551615}', '{"a":18446744073709551615}'],
    ['{"a":18446744073709551616}', '{"a":"18446744073709551616"}'],
    ['{"a":-9223372036854775808}', '{"a":-9223372036854775808}'],
    ['{"a":-9223372036854775809}', '{"a":"-9223372036854775809"}'],
    ['{"a":0.1234567890123456789}', '{"a":"0.1234567890123456789"}'],
    ['{"a":1e20}', '{"a":1e+20}'],
    ['{"a":[1e308,{"b":1e20}]}', '{"a":[1e+308,{"b":1e+20}]}'],
    ['{"a":9007199254740993,"b":"12345678901234567890"}', '{"a":9007199254740993,"b":"12345678901234567890"}'],
  ];
  for (const [json, clickhouse] of table) {
    const out = decode(Buffer.from(json)) as { readonly rest: JsonObject };
    const writer = new ByteWriter();
    compileRowEncoder(schema)(writer, out);
    t.equal(new ByteReader(writer.take()).text(), clickhouse, json);
    const codec = compileBinaryCodec(schema);
    codec.encode(writer, out);
    t.equal(compileJsonEncoder(schema)(codec.decode(new ByteReader(writer.take()))), compileJsonEncoder(schema)(out), `${json} comes back from state`);
  }
  const exact = decode(Buffer.from('{"a":1e400,"b":0.1234567890123456789}')) as { readonly rest: JsonObject };
  t.equal(JSON.stringify(exact.rest), '{"a":1e400,"b":0.1234567890123456789}');
  const writer = new ByteWriter();
  compileRowEncoder(record("Row", { j: c.json() }))(writer, { j: { a: 2n ** 65n } as unknown as JsonObject });
  t.equal(new ByteReader(writer.take()).text(), '{"a":"36893488147419103232"}', "a bigint that a user put there");
  t.end();
});

t.test("A record", (t) => {
  const Reading = record("Reading", {
    device_id: c.string({ from: "deviceId", nonEmpty: true }),
    seq: c.uint64(),
    note: c.nullable(c.string()),
    unit: c.string({ default: "none" }),
    tags: c.array(c.string(), { default: [] }),
    weird: c.string({ from: "constructor", default: "absent" }),
    extra: c.rest(),
  });
  const cast = compileCaster(Reading);

  t.test("takes fields under their JSON names, defaults for the absent, null for absent nullables, and keeps the rest", (t) => {
    const out = cast(JSON.parse('{"deviceId":"d","seq":"7","x":1,"__proto__":{"y":2},"device_id":"not me"}'));
    t.equal(shown(out), shown({ device_id: "d", seq: 7n, note: null, unit: "none", tags: [], weird: "absent", extra: { x: 1, ["__proto__"]: { y: 2 }, device_id: "not me" } }));
    if (out instanceof CastFailure) throw new Error(out.message);
    t.notOk("toString" in out.extra, "the rest inherits nothing");
    t.notOk("y" in out.extra, "and `__proto__` is no prototype");
    t.ok(Object.isFrozen(out.tags), "a default is shared, so it is frozen");
    t.end();
  });

  t.test("reports all that is wrong with it at once, by path", (t) => {
    const out = cast({ deviceId: "", seq: -1, note: 5, unit: null, tags: ["a", 1], extra: "\ud800" });
    t.ok(out instanceof CastFailure);
    if (!(out instanceof CastFailure)) throw new Error("the record was accepted");
    t.same(
      out.errors.map(({ path, message }) => `${path}: ${message}`),
      [
        "deviceId: is empty",
        "seq: expected an integer from 0 to 18446744073709551615, got -1",
        "note: expected text, got 5",
        "unit: is null, and the column is String, not Nullable",
        "tags[1]: expected text, got 1",
        "extra: holds a lone surrogate, which is not text",
      ],
    );
    t.equal(out.field, "deviceId");
    const missing = cast({});
    t.equal(missing instanceof CastFailure && missing.message, "deviceId is missing; seq is missing");
    t.notOk(cast({ deviceId: "d", seq: 1 }) instanceof CastFailure, "and the next record is untouched by it");
    t.end();
  });

  t.test("keeps few of very many errors, and counts the others", (t) => {
    const out = cast({ deviceId: "d", seq: 1, tags: new Array(100_000).fill(1) });
    t.ok(out instanceof CastFailure);
    if (!(out instanceof CastFailure)) throw new Error("the record was accepted");
    t.equal(out.errors.length, 17);
    t.equal(out.errors.at(-1)?.message, "and 99984 more");
    t.ok(out.message.length < 2000);
    t.end();
  });

  t.test("cast without its source text refuses numbers that JSON.parse has rounded", (t) => {
    const out = cast(JSON.parse('{"deviceId":"d","seq":9007199254740993}'));
    t.match(out instanceof CastFailure && out.message, /beyond 2\^53 and not exact as a number; give it as text/);
    t.end();
  });

  t.test("is an object", (t) => {
    for (const value of [null, 1, "x", [], true]) {
      const out = cast(value);
      t.match(out instanceof CastFailure && out.message, /^expected a JSON object, got /);
    }
    t.end();
  });

  t.test("has a key that is unique, readable, and plain for one field of text", (t) => {
    const value = { device_id: "a|b\\", seq: 5n, note: null, unit: "N", tags: [], weird: "", extra: {} };
    t.equal(compileKeyEncoder(Reading, ["device_id"])(value), "a|b\\");
    t.equal(compileKeyEncoder(Reading, ["device_id", "seq", "note"])(value), "a\\|b\\\\|5|\\N");
    t.equal(compileKeyEncoder(Reading, ["note"])(value), "\\N");
    t.equal(compileKeyEncoder(Reading, ["note"])({ ...value, note: "\\N" }), "\\\\N");
    t.throws(() => compileKeyEncoder(Reading, ["tags"]), { code: "SCHEMA_INVALID", message: /tags is Array\(String\) and cannot be part of a key/ });
    t.throws(() => compileKeyEncoder(Reading, ["nope" as "unit"]), { code: "SCHEMA_INVALID", message: /nope is no field of the schema/ });
    t.end();
  });

  t.test("refuses a rest that repeats a field when it is written as JSON", (t) => {
    const value = { device_id: "d", seq: 1, note: null, unit: "", tags: [], weird: "", extra: { deviceId: "other" } };
    t.throws(() => compileJsonEncoder(Reading)(value), { code: "CAST_FAILED", message: /extra: the rest repeats the field "deviceId"/ });
    t.end();
  });
  t.end();
});

t.test("A wrong declaration is refused with all that is wrong, by field", (t) => {
  const table: readonly (readonly [Readonly<Record<string, AnyColumn>>, RegExp])[] = [
    [{ a: c.decimal(80, 2) }, /a: a decimal's precision is an integer from 1 to 76, not 80/],
    [{ a: c.decimal(4, 5) }, /a: a decimal's scale is an integer from 0 to its precision 4, not 5/],
    [{ "a-b": c.string() }, /a-b: a column's name is made of letters/],
    [{ "1a": c.string() }, /1a: a column's name/],
    [{ ["__proto__"]: c.string() }, /__proto__: a column's name/],
    [{ a: c.rest(), b: c.rest() }, /a, b: only one column may take the rest/],
    [{ a: c.string({ from: "x" }), b: c.string({ from: "x" }) }, /b: the field "x" already feeds the column a/],
    [{ a: c.string({ from: "b" }), b: c.string() }, /b: the field "b" already feeds the column a/],
    [{ a: c.fixedString(0) }, /a: a fixedString has 1 to 65535 bytes, not 0/],
    [{ a: c.enum8({ x: 200 }) }, /a: the enum's x = 200 is not an integer of 8 bits/],
    [{ a: c.enum8({ x: 1, y: 1 }) }, /a: two names of the enum have the same integer/],
    [{ a: c.enum16({}) }, /a: an enum has at least one name/],
    [{ a: c.dateTime64(10 as 9) }, /a: a DateTime64's precision is an integer from 0 to 9, not 10/],
    [{ a: c.dateTime64(3, "Mars/Olympus") }, /a: "Mars\/Olympus" is not the name of a time zone/],
    [{ a: c.dateTime("x'); DROP TABLE t; --") }, /a: .* is not the name of a time zone/],
    [{ a: c.nullable(c.array(c.string())) }, /a: Array\(String\) cannot be Nullable/],
    [{ a: c.lowCardinality(c.float64()) }, /a: lowCardinality takes a string/],
    [{ a: c.map(c.float64(), c.string()) }, /a: Float64 cannot be the key of a map/],
    [{ a: c.array(c.rest()) }, /a: the array's elements: rest\(\) stands for fields/],
    [{ a: c.array(c.string({ from: "x" })) }, /a: the array's elements: `from` belongs to the outer column/],
    [{ a: c.int8({ default: 300 }) }, /a: the default does not fit the column: expected an integer from -128 to 127, got 300/],
    [{ a: c.int8({ minimum: 5, maximum: 4 }) }, /a: minimum 5 is greater than maximum 4/],
    [{ a: c.decimal(80, 2), b: c.fixedString(-1) }, /a: a decimal.*; b: a fixedString/],
    [{}, /a schema has at least one field/],
  ];
  for (const [fields, message] of table) {
    let thrown: unknown;
    try {
      record("Wrong", fields);
    } catch (error) {
      thrown = error;
    }
    t.ok(thrown instanceof TopologyError && thrown.code === "SCHEMA_INVALID", `${Object.keys(fields).join()} is refused`);
    t.match((thrown as Error | undefined)?.message, message);
  }
  t.equal(record("Inherits", { a: c.nullable(c.string({ from: "x" })) }).columns[0]?.from, "x", "a wrapper takes the name of what it wraps");
  t.end();
});

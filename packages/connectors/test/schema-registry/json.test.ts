/** JSON Schemas hold what our encoder writes, for every type, and refuse what our cast refuses. */
import { Ajv } from "ajv";
import { c, CastFailure, compileDecoder, compileJsonEncoder, record } from "@iot-topology/core";
import fc from "fast-check";
import t from "tap";
import { toJsonSchema } from "../../src/schema-registry/index.ts";
import { All, anyRecord, seed, shown } from "./all-columns.ts";

t.comment(`seed ${seed}`);

/** An independent validator. The formats are those of draft-07, as far as a shape goes. */
function validator(schema: unknown): (value: unknown) => string | undefined {
  const ajv = new Ajv({ strict: true, strictTypes: false });
  ajv.addFormat("date", /^\d{4}-\d\d-\d\d$/);
  ajv.addFormat("date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  const validate = ajv.compile(JSON.parse(JSON.stringify(schema)) as object);
  return (value) => (validate(value) ? undefined : JSON.stringify(validate.errors));
}

t.test("every record comes back from JSON as it was, and its schema holds it", (t) => {
  const encode = compileJsonEncoder(All);
  const decode = compileDecoder(All);
  const wrong = validator(toJsonSchema(All, { id: "https://example.com/all.json" }));
  fc.assert(
    fc.property(anyRecord, (value) => {
      const json = encode(value);
      const problem = wrong(JSON.parse(json));
      if (problem !== undefined) throw new Error(problem);
      const out = decode(Buffer.from(json));
      if (out instanceof CastFailure) throw new Error(out.message);
      if (shown(out) !== shown(value)) throw new Error(`${shown(out)}\n!==\n${shown(value)}`);
    }),
    { seed, numRuns: 300 },
  );
  t.pass("300 records");
  t.end();
});

t.test("the schema is what the columns say", (t) => {
  const Small = record("Small", {
    id: c.uint64({ from: "the-id", description: "what it is" }),
    price: c.decimal(10, 2, { default: "1.25" }),
    n: c.nullable(c.int8({ minimum: 1 })),
    name: c.string({ nonEmpty: true }),
    code: c.fixedString(8),
    at: c.dateTime64(3),
    tags: c.array(c.uuid()),
    by: c.map(c.int32(), c.enum8({ on: 1, off: 2 })),
  });
  const text = JSON.stringify(toJsonSchema(Small));
  t.same(JSON.parse(text), {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Small",
    type: "object",
    properties: {
      "the-id": { type: "integer", minimum: 0, maximum: 2 ** 64, $comment: "UInt64", description: "what it is" },
      price: { type: "number", exclusiveMinimum: -1e8, exclusiveMaximum: 1e8, $comment: "Decimal(10, 2)", default: 1.25 },
      n: { oneOf: [{ type: "null" }, { type: "integer", minimum: 1, maximum: 127, $comment: "Int8" }] },
      name: { type: "string", minLength: 1, $comment: "String" },
      code: { type: "string", minLength: 2, maxLength: 8, $comment: "FixedString(8)" },
      at: { type: "string", format: "date-time", $comment: "DateTime64(3, 'UTC')" },
      tags: { type: "array", items: { type: "string", pattern: "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", $comment: "UUID" } },
      by: { type: "object", additionalProperties: { type: "string", enum: ["on", "off"], $comment: "Enum8('on' = 1, 'off' = 2)" } },
    },
    required: ["the-id", "name", "code", "at", "tags", "by"],
    additionalProperties: false,
  });
  t.match(text, '"maximum":18446744073709551615,', "bounds beyond 2^53 are exact in the text");
  t.match(toJsonSchema(record("Open", { more: c.rest() })), { additionalProperties: true, properties: {} });
  t.end();
});

t.test("a validator refuses what does not fit", (t) => {
  const wrong = validator(toJsonSchema(record("R", { n: c.uint8(), u: c.uuid(), s: c.string({ nonEmpty: true }), o: c.nullable(c.bool()) })));
  const good = { n: 1, u: "0192f0c4-0000-7000-8000-000000000000", s: "x", o: null };
  t.equal(wrong(good), undefined);
  t.equal(wrong({ n: 1, u: good.u, s: "x" }), undefined, "a nullable field may be absent");
  for (const bad of [{ ...good, n: 256 }, { ...good, n: 1.5 }, { ...good, u: "x" }, { ...good, s: "" }, { ...good, o: 1 }, { ...good, extra: 1 }, { u: good.u, s: "x" }]) t.ok(wrong(bad), JSON.stringify(bad));
  t.end();
});

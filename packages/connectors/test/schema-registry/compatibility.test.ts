/** What an incompatibility is put down to: the field, the reason and the cure. */
import { type AnySchema, c, record } from "@iot-topology/core";
import t from "tap";
import { forbidden, mismatches } from "../../src/schema-registry/compatibility.ts";
import { toAvroSchema, toJsonSchema } from "../../src/schema-registry/index.ts";

const V1 = record("R", { id: c.string(), n: c.int32(), e: c.enum8({ a: 1, b: 2 }), d: c.decimal(9, 2), list: c.array(c.int32()) });
type Change = readonly [what: string, schema: AnySchema, field: string, cure: RegExp];
const avro = (schema: AnySchema | undefined) => ({ type: "avro" as const, text: JSON.stringify(toAvroSchema(schema ?? V1)) });
const json = (schema: AnySchema | undefined) => ({ type: "json" as const, text: JSON.stringify(toJsonSchema(schema ?? V1)) });
const base = { id: c.string(), n: c.int32(), e: c.enum8({ a: 1, b: 2 }), d: c.decimal(9, 2), list: c.array(c.int32()) };

const REFUSED: readonly Change[] = [
  ["a field without a default", record("R", { ...base, x: c.int8() }), "x", /give x a default/],
  ["another type", record("R", { ...base, n: c.string() }), "n", /keep the type/],
  ["a narrower type", record("R", { ...base, id: c.int64() }), "id", /keep the type/],
  ["a name less", record("R", { ...base, e: c.enum8({ a: 1 }) }), "e", /keep the names/],
  ["another scale", record("R", { ...base, d: c.decimal(9, 3) }), "d", /keep the type/],
  ["inside a list", record("R", { ...base, list: c.array(c.string()) }), "list[]", /keep the type/],
];
const TAKEN = [
  record("R", { ...base, x: c.int8({ default: 1 }) }), record("R", { ...base, x: c.nullable(c.string()) }), record("R", { ...base, n: c.int64() }),
  record("R", { ...base, n: c.nullable(c.int32()) }), record("R", { id: c.string() }), record("R", { ...base, e: c.enum8({ a: 1, b: 2, c: 3 }) }), record("R", { ...base, list: c.array(c.int64()) }),
] as readonly AnySchema[];

t.test("Avro", (t) => {
  for (const [what, schema, field, cure] of REFUSED) t.match(mismatches(avro(schema), avro(V1)), [{ field, cure }], what);
  for (const schema of TAKEN) t.same(mismatches(avro(schema), avro(V1)), [], JSON.stringify(toAvroSchema(schema ?? V1)));
  t.same(forbidden("BACKWARD", avro(TAKEN[4]), avro(V1)), []);
  t.match(forbidden("FORWARD", avro(TAKEN[4]), avro(V1)), [{ field: "n", reason: /earlier/ }], "earlier readers miss what is gone");
  t.equal(forbidden("FULL_TRANSITIVE", avro(REFUSED[0]?.[1]), avro(V1)).length, 1);
  t.same(forbidden("NONE", avro(REFUSED[1]?.[1]), avro(V1)), []);
  t.end();
});

t.test("Avro types that hold themselves are compared to an end", (t) => {
  const node = (value: string) => ({ type: "avro" as const, text: JSON.stringify({ type: "record", name: "N", fields: [{ name: "v", type: value }, { name: "next", type: ["null", "N"], default: null }] }) });
  t.same(mismatches(node("long"), node("int")), []);
  t.match(mismatches(node("int"), node("string")), [{ field: "v" }]);
  t.end();
});

t.test("JSON, and another format", (t) => {
  t.match(mismatches(json(record("R", { ...base, x: c.int8() })), json(V1)), [{ field: "x", cure: /default/ }]);
  t.match(mismatches(json(record("R", { id: c.string() })), json(V1))[0], { field: "n", cure: /keep n/ });
  t.match(mismatches(json(record("R", { ...base, n: c.string() })), json(V1)), [{ field: "n" }]);
  t.same(mismatches(json(record("R", { ...base, x: c.int8({ default: 1 }) })), json(V1)), []);
  t.match(mismatches(json(V1), avro(V1)), [{ cure: /new topic/ }]);
  t.same(mismatches({ type: "avro", text: "{" }, avro(V1)), [], "what cannot be looked into is left to the registry's words");
  t.end();
});

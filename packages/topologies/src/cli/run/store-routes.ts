/**
 * Interactive queries over HTTP: the committed state of the stores, wherever it is.
 *
 *   GET /stores                         names, kinds and the fields of their keys
 *   GET /stores/:store/keys/:key        the rows of a key; where another instance holds it, 307 to that one
 *   GET /stores/:store/locate/:key      which task holds it, and where that runs
 *
 * A key is its fields' values with commas between them, each encoded for a URL, in the order that /stores gives; or fields as query parameters with `-` as the key.
 */
import { type StoreInfo, type StoreLocation, TopologyError } from "@iot-topology/core";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

type Key = Readonly<Record<string, unknown>>;
type Row = Readonly<Record<string, unknown>>;

/** What can be asked; an instance of the engine can. */
export interface Stores {
  stores(): readonly StoreInfo[];
  locate(store: string, key: Key): readonly StoreLocation[];
  query(store: string, key: Key, range?: { readonly from?: number; readonly to?: number }): readonly Row[];
}

interface StoreRequest {
  readonly Params: { readonly store: string; readonly key: string };
  readonly Querystring: Readonly<Record<string, string | undefined>>;
}

const RANGE_NAMES = ["from", "to"];
/** How often a query may be passed on: two instances that each take the other for the owner must not pass it on for ever. */
const HOPS_MAX = 2;
const HOPS_NAME = "hops";

/** Adds the routes. `stores` throws while the instance starts. */
export function addStoreRoutes(app: FastifyInstance, stores: () => Stores): void {
  app.get("/stores", () => ({ stores: stores().stores() }));
  app.get<StoreRequest>("/stores/:store/locate/:key", (request) => ({ locations: stores().locate(request.params.store, keyOf(stores(), request)) }));
  app.get<StoreRequest>("/stores/:store/keys/:key", (request, reply) => answer(stores(), request, reply));
}

function answer(stores: Stores, request: FastifyRequest<StoreRequest>, reply: FastifyReply): FastifyReply {
  const { store } = request.params;
  const key = keyOf(stores, request);
  try {
    return send(reply, { store, key, rows: stores.query(store, key, rangeOf(request.query)) });
  } catch (error) {
    if (!(error instanceof TopologyError) || error.code !== "STORE_ELSEWHERE") throw error;
    const locations = stores.locate(store, key);
    const hops = Number(request.query[HOPS_NAME] ?? 0);
    const [url] = locations.flatMap(({ isLocal, url: owner }) => (isLocal || owner === null ? [] : [owner]));
    const body = { error: { code: error.code, message: error.message }, locations };
    // Moving and restoring take a moment; who asks again then gets an answer.
    if (url === undefined || locations.length > 1 || hops >= HOPS_MAX) return send(reply.code(503).header("retry-after", "1"), body);
    const target = new URL(url);
    const search = new URLSearchParams({ ...request.query, [HOPS_NAME]: String(hops + 1) } as Record<string, string>);
    return send(reply.code(307).header("location", `${target.origin}${target.pathname.replace(/\/$/, "")}${request.url.split("?")[0]}?${search.toString()}`), body);
  }
}

/** 64-bit numbers are exact only as texts. */
function send(reply: FastifyReply, body: unknown): FastifyReply {
  const text = JSON.stringify(body, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value instanceof Map ? Object.fromEntries(value) : value));
  return reply.type("application/json; charset=utf-8").send(text);
}

function keyOf(stores: Stores, { params, query }: FastifyRequest<StoreRequest>): Key {
  const info = stores.stores().find(({ name }) => name === params.store);
  // The instance says which stores there are.
  if (info === undefined) return {};
  const { keyFields } = info;
  if (params.key === "-") return Object.fromEntries(Object.entries(query).filter(([name]) => keyFields.includes(name)));
  const parts = params.key.split(",");
  if (parts.length !== keyFields.length) {
    throw new TopologyError("USAGE", `the key has ${parts.length} ${parts.length === 1 ? "field" : "fields"} instead of ${keyFields.length}`, {
      place: `store ${params.store}`,
      cure: `give ${keyFields.join(",")}; values with commas in them go as ?${keyFields[0]}=... with - as the key`,
    });
  }
  return Object.fromEntries(keyFields.map((field, index) => [field, parts[index]]));
}

function rangeOf(query: StoreRequest["Querystring"]): { readonly from?: number; readonly to?: number } {
  const range: Record<string, number> = {};
  for (const name of RANGE_NAMES) {
    const text = query[name];
    if (text === undefined) continue;
    const value = /^-?\d+$/.test(text) ? Number(text) : Date.parse(text);
    if (!Number.isSafeInteger(value)) throw new TopologyError("USAGE", `${name}=${text} is no time`, { cure: "write epoch milliseconds, or 2026-01-01T00:00:00Z" });
    range[name] = value;
  }
  return range;
}

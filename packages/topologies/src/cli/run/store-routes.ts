/**
 * Interactive queries over HTTP: the committed state of the stores, wherever it is.
 *
 *   GET /stores                         names, kinds and the fields of their keys
 *   GET /stores/:store/keys/:key        the rows of a key; where another instance holds it, 307 to that one
 *   GET /stores/:store/range            entries by key, of a store that is asked by key: ?from=&below=, or ?prefix=; ?reverse=true, ?limit=100
 *   GET /stores/:store/locate/:key      which task holds it, and where that runs
 *
 * A key is its fields' values with commas between them, each encoded for a URL, in the order that /stores gives; or fields as query parameters with `-` as the key.
 * A store that is asked by key has the record's key as its one field. Its windows and sessions take ?from= and ?to= (all where absent, at most ?limit=100), its versions ?asOf=.
 */
import { type AnyRow, type AnyView, type StoreInfo, type StoreLocation, TopologyError } from "@iot-topology/core";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

type Key = Readonly<Record<string, unknown>>;
type Row = Readonly<Record<string, unknown>>;

/** What can be asked; an instance of the engine can. */
export interface Stores {
  stores(): readonly StoreInfo[];
  locate(store: string, key: Key): readonly StoreLocation[];
  query(store: string, key: Key, range?: { readonly from?: number; readonly to?: number }): readonly Row[];
  store(store: string): AnyView;
}

interface StoreRequest {
  readonly Params: { readonly store: string; readonly key: string };
  readonly Querystring: Readonly<Record<string, string | undefined>>;
}

const RANGE_NAMES = ["from", "to"];
/** How often a query may be passed on: two instances that each take the other for the owner must not pass it on for ever. */
const HOPS_MAX = 2;
const HOPS_NAME = "hops";
const ROWS_DEFAULT = 100;
const ROWS_MAX = 10_000;

/** Adds the routes. `stores` throws while the instance starts. */
export function addStoreRoutes(app: FastifyInstance, stores: () => Stores): void {
  app.get("/stores", () => ({ stores: stores().stores() }));
  app.get<StoreRequest>("/stores/:store/locate/:key", (request) => ({ locations: stores().locate(request.params.store, keyOf(stores(), request)) }));
  app.get<StoreRequest>("/stores/:store/keys/:key", (request, reply) => answer(stores(), request, reply));
  app.get<StoreRequest>("/stores/:store/range", (request, reply) => answerRange(stores(), request, reply));
}

async function answer(stores: Stores, request: FastifyRequest<StoreRequest>, reply: FastifyReply): Promise<FastifyReply> {
  const { store } = request.params;
  const key = keyOf(stores, request);
  try {
    const isByKey = infoOf(stores, store)?.askedBy === "key";
    return await send(reply, { store, key, rows: isByKey ? await rowsOfKey(stores, store, String(key["key"]), request.query) : stores.query(store, key, rangeOf(request.query)) });
  } catch (error) {
    return passOn(error, () => stores.locate(store, key), request, reply);
  }
}

/** The rows of a key: its windows or sessions, or the one that it has. */
async function rowsOfKey(stores: Stores, store: string, key: string, query: StoreRequest["Querystring"]): Promise<Row[]> {
  const view = stores.store(store);
  const { kind } = infoOf(stores, store) as StoreInfo;
  if (kind === "window" || kind === "session") {
    const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY } = rangeOf(query);
    return gather(view.windows(key, from, to), query);
  }
  const asOf = timeOf(query, "asOf");
  const row = await view.row(key, asOf);
  return row === undefined ? [] : [{ ...row }];
}

async function answerRange(stores: Stores, { params: { store }, query }: FastifyRequest<StoreRequest>, reply: FastifyReply): Promise<FastifyReply> {
  const { from, below, prefix, reverse } = query;
  const bounds = prefix === undefined ? { ...(from === undefined ? {} : { from }), ...(below === undefined ? {} : { below }) } : { from: prefix, below: `${prefix}\u{10ffff}` };
  try {
    return await send(reply, { store, rows: await gather(stores.store(store).rows({ ...bounds, reverse: reverse === "true", limit: limitOf(query) }), query) });
  } catch (error) {
    if (!(error instanceof TopologyError) || error.code !== "STORE_ELSEWHERE") throw error;
    return send(reply.code(503).header("retry-after", "1"), { error: { code: error.code, message: error.message } });
  }
}

function limitOf({ limit = String(ROWS_DEFAULT) }: StoreRequest["Querystring"]): number {
  if (/^\d{1,6}$/.test(limit) && Number(limit) > 0 && Number(limit) <= ROWS_MAX) return Number(limit);
  throw new TopologyError("USAGE", `limit=${limit}`, { cure: `ask for 1 to ${ROWS_MAX} rows` });
}

async function gather(rows: AsyncIterable<AnyRow>, query: StoreRequest["Querystring"]): Promise<Row[]> {
  const limit = limitOf(query);
  const found: Row[] = [];
  for await (const row of rows) {
    found.push({ ...row });
    if (found.length >= limit) break;
  }
  return found;
}

/** What another instance holds is asked there. */
function passOn(error: unknown, locate: () => readonly StoreLocation[], request: FastifyRequest<StoreRequest>, reply: FastifyReply): FastifyReply {
  if (!(error instanceof TopologyError) || error.code !== "STORE_ELSEWHERE") throw error;
  const locations = locate();
  const hops = Number(request.query[HOPS_NAME] ?? 0);
  const [url] = locations.flatMap(({ isLocal, url: owner }) => (isLocal || owner === null ? [] : [owner]));
  const body = { error: { code: error.code, message: error.message }, locations };
  // Moving and restoring take a moment; who asks again then gets an answer.
  if (url === undefined || locations.length > 1 || hops >= HOPS_MAX) return send(reply.code(503).header("retry-after", "1"), body);
  const target = new URL(url);
  const search = new URLSearchParams({ ...request.query, [HOPS_NAME]: String(hops + 1) } as Record<string, string>);
  return send(reply.code(307).header("location", `${target.origin}${target.pathname.replace(/\/$/, "")}${request.url.split("?")[0]}?${search.toString()}`), body);
}

/** 64-bit numbers are exact only as texts. */
function send(reply: FastifyReply, body: unknown): FastifyReply {
  const text = JSON.stringify(body, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value instanceof Map ? Object.fromEntries(value) : value));
  return reply.type("application/json; charset=utf-8").send(text);
}

function infoOf(stores: Stores, store: string): StoreInfo | undefined {
  return stores.stores().find(({ name }) => name === store);
}

function keyOf(stores: Stores, { params, query }: FastifyRequest<StoreRequest>): Key {
  const info = infoOf(stores, params.store);
  // The instance says which stores there are.
  if (info === undefined) return {};
  const { keyFields } = info;
  if (params.key === "-") return Object.fromEntries(Object.entries(query).filter(([name]) => keyFields.includes(name)));
  // A record's key may have commas in it.
  const parts = info.askedBy === "key" ? [params.key] : params.key.split(",");
  if (parts.length !== keyFields.length) {
    throw new TopologyError("USAGE", `the key has ${parts.length} ${parts.length === 1 ? "field" : "fields"} instead of ${keyFields.length}`, {
      place: `store ${params.store}`,
      cure: `give ${keyFields.join(",")}; values with commas in them go as ?${keyFields[0]}=... with - as the key`,
    });
  }
  return Object.fromEntries(keyFields.map((field, index) => [field, parts[index]]));
}

function timeOf(query: StoreRequest["Querystring"], name: string): number | undefined {
  const text = query[name];
  if (text === undefined) return undefined;
  const value = /^-?\d+$/.test(text) ? Number(text) : Date.parse(text);
  if (!Number.isSafeInteger(value)) throw new TopologyError("USAGE", `${name}=${text} is no time`, { cure: "write epoch milliseconds, or 2026-01-01T00:00:00Z" });
  return value;
}

function rangeOf(query: StoreRequest["Querystring"]): { readonly from?: number; readonly to?: number } {
  const range: Record<string, number> = {};
  for (const name of RANGE_NAMES) {
    const value = timeOf(query, name);
    if (value !== undefined) range[name] = value;
  }
  return range;
}

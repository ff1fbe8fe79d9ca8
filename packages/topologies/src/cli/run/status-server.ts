import { timingSafeEqual } from "node:crypto";
import { hostname } from "node:os";
import type { ErrorCode, InstanceStatus, ProducerRecord } from "@iot-topology/core";
import { TopologyError } from "@iot-topology/core";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { isLoopback } from "../config/parse.ts";
import { toTopologyError } from "../output/failure.ts";
import { type FileInput, isFileInput } from "./input.ts";
import { metricsRegistry } from "./metrics.ts";
import { addStoreRoutes, type Stores } from "./store-routes.ts";
import { fromProduced, isProducedRecord } from "./produced-record.ts";

const BODY_BYTES_MAX = 16 << 20;
const PRODUCE_RECORDS_MAX = 10_000;
const STATUS_OF_CODE: { readonly [K in ErrorCode]?: number } = { USAGE: 400, STORE_NOT_FOUND: 404, NOT_RUNNING: 503 };
/** What an orchestrator asks without knowing a secret. They tell nothing but whether it lives, and what it waits for. */
const PROBES = new Set(["/livez", "/readyz"]);
const NO_TOKEN = { error: { code: "USAGE", message: "the token of instance.json, or the configured one, is needed as a bearer" } };
const LOOPBACK_NAMES = new Set(["127.0.0.1", "localhost", "[::1]"]);

/** What the server shows and does. */
export interface StatusServerOptions {
  /** 127.0.0.1 when absent. */
  readonly host?: string;
  readonly port: number;
  readonly topology: string;
  /** What POST /produce asks for, as a bearer; on another host than this machine's own, everything but the probes. */
  readonly token: string;
  /** Whether the token was configured, so that others can know it. */
  readonly hasOwnToken?: boolean;
  readonly status: () => InstanceStatus;
  /** More for /status: addresses, the input's progress. */
  readonly details: () => object;
  /** Topics that may be produced to. */
  readonly topics: readonly string[];
  readonly produce: (topic: string, records: readonly ProducerRecord[]) => Promise<void>;
  /** Reads a file of this machine into the log, to its end. Not offered where others than this machine's users can ask. */
  readonly replay?: (input: FileInput, again: boolean) => Promise<object>;
  /** The stores that can be asked. */
  readonly stores?: () => Stores;
  /** What is not ready beside the instance, in words. */
  readonly notReady: () => readonly string[];
}

/** The running server. */
export interface StatusServer {
  /** As this machine reaches it. */
  readonly url: string;
  /** As others reach it, as far as that can be told from here. */
  readonly publicUrl: string;
  readonly token: string;
  close(): Promise<void>;
}

/**
 * Serves /livez, /readyz, /metrics, /status, /stores, POST /produce and POST /replay on 127.0.0.1. Nobody else can reach it: requests that a browser makes for
 * another page (an Origin header) and requests under another host's name (DNS rebinding) are refused. On another address all but the two probes need the token.
 *
 * @throws TopologyError PORT_IN_USE, CONFIG_INVALID for another address without a token.
 */
export async function startStatusServer(options: StatusServerOptions): Promise<StatusServer> {
  const { host = "127.0.0.1" } = options;
  const isWide = !isLoopback(host);
  if (isWide && options.hasOwnToken !== true) {
    throw new TopologyError("CONFIG_INVALID", `the status server would be open to everyone who can reach ${host}`, { place: "host", cure: "set a token (IOT_TOPOLOGY_TOKEN, or IOT_TOPOLOGY_TOKEN_FILE), or listen on 127.0.0.1" });
  }
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, logger: false, forceCloseConnections: true, requestTimeout: 30_000 });
  const metrics = metricsRegistry(options.topology, options.status);
  app.addHook("onRequest", async (request, reply) => {
    if (!isWide && !LOOPBACK_NAMES.has(request.hostname)) return reply.code(403).send({ error: { code: "USAGE", message: "only for 127.0.0.1" } });
    if (request.headers.origin !== undefined) return reply.code(403).send({ error: { code: "USAGE", message: "not for browsers" } });
    const isOpen = !isWide || PROBES.has(request.url.split("?")[0] ?? "");
    return isOpen || mayPass(request, options.token) ? undefined : reply.code(401).send(NO_TOKEN);
  });
  app.setErrorHandler((thrown, _request, reply) => {
    const error = thrown as Error & { statusCode?: number };
    const status = error.statusCode ?? (error instanceof TopologyError ? (STATUS_OF_CODE[error.code] ?? (error.retriable ? 503 : 409)) : 500);
    const { code } = status >= 400 && status < 500 && !(error instanceof TopologyError) ? { code: "USAGE" } : toTopologyError(error);
    return reply.code(status).send({ error: { code, message: error.message } });
  });
  app.get("/livez", () => ({ live: true }));
  app.get("/readyz", (_request, reply) => sendReadiness(options, reply));
  app.get("/status", () => ({ ...options.status(), ...options.details() }));
  app.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()));
  app.post("/produce", (request, reply) => produce(options, request, reply));
  if (options.stores !== undefined) addStoreRoutes(app, options.stores);
  if (!isWide) app.post("/replay", (request, reply) => replay(options, request, reply));
  try {
    await app.listen({ host, port: options.port });
  } catch (cause) {
    await app.close();
    const isTaken = (cause as NodeJS.ErrnoException).code === "EADDRINUSE" || (cause as NodeJS.ErrnoException).code === "EACCES";
    if (!isTaken) throw cause;
    throw new TopologyError("PORT_IN_USE", `port ${options.port} cannot be listened on`, { place: `${host}:${options.port}`, cure: "choose another --port, or 0 for any free one", cause });
  }
  const address = app.server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  const isAny = host === "0.0.0.0" || host === "::" || host === "[::]";
  const named = (name: string) => `http://${name.includes(":") && !name.startsWith("[") ? `[${name}]` : name}:${port}`;
  return { url: named(isAny ? "127.0.0.1" : host), publicUrl: named(isAny ? hostname() : host), token: options.token, close: () => app.close() };
}

function sendReadiness({ status, notReady }: StatusServerOptions, reply: FastifyReply): FastifyReply {
  const { state, tasks, outbox, cluster } = status();
  const reasons = [
    ...(state === "running" ? [] : [`the instance is ${state}`]),
    ...restoring(cluster),
    ...tasks.flatMap((task) => (task.rebuilding ? [`task ${task.id} is being rebuilt from the log`] : [])),
    ...outbox.flatMap((lane) => (lane.lastError === null ? [] : [`sink ${lane.target}: ${lane.lastError}`])),
    ...notReady(),
  ];
  return reply.code(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, notReady: reasons });
}

/** On a cluster an instance is ready once it is in its group and its tasks' stores are whole. */
function restoring(cluster: InstanceStatus["cluster"]): string[] {
  if (cluster === undefined) return [];
  return [...(cluster.generation === 0 ? ["the group has not assigned tasks yet"] : []), ...cluster.restoring.map(({ id, position, end }) => `task ${id} is being restored: ${position} of ${end}`)];
}

async function produce({ token, topics, produce: append }: StatusServerOptions, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const refuse = (status: number, message: string) => reply.code(status).send({ error: { code: "USAGE", message } });
  if (!mayPass(request, token)) return reply.code(401).send(NO_TOKEN);
  const body = request.body as { topic?: unknown; records?: unknown } | null;
  const topic = body?.topic;
  if (typeof topic !== "string" || !topics.includes(topic)) return refuse(400, `topic must be one of ${topics.join(", ")}`);
  const records = body?.records;
  if (!Array.isArray(records) || records.length > PRODUCE_RECORDS_MAX || !records.every(isProducedRecord)) {
    return refuse(400, `records must be at most ${PRODUCE_RECORDS_MAX} of {"key": base64 or null, "value": base64 or null, "timestamp"?: ms, "headers"?: [{"key", "value": base64 or null}]}`);
  }
  await append(topic, fromProduced(records));
  return reply.send({ appended: records.length });
}

async function replay({ token, replay: read }: StatusServerOptions, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  if (!mayPass(request, token)) return reply.code(401).send(NO_TOKEN);
  const input = request.body;
  if (read === undefined || !isFileInput(input)) return reply.code(400).send({ error: { code: "USAGE", message: "a file must be {path, format, topic?, key?, time?, again?}" } });
  return reply.send(await read(input, input.again === true));
}

function mayPass(request: FastifyRequest, token: string): boolean {
  return isSame(request.headers.authorization ?? "", `Bearer ${token}`);
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

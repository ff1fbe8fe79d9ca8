import { timingSafeEqual } from "node:crypto";
import type { InstanceStatus, ProducerRecord } from "@iot-topology/core";
import { TopologyError } from "@iot-topology/core";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";
import { toTopologyError } from "../output/failure.ts";
import { metricsRegistry } from "./metrics.ts";

const BODY_BYTES_MAX = 16 << 20;
const PRODUCE_RECORDS_MAX = 10_000;
const LOOPBACK_NAMES = new Set(["127.0.0.1", "localhost", "[::1]"]);

/** What the server shows and does. */
export interface StatusServerOptions {
  readonly port: number;
  readonly topology: string;
  /** What POST /produce asks for, as a bearer. */
  readonly token: string;
  readonly status: () => InstanceStatus;
  /** More for /status: addresses, the input's progress. */
  readonly details: () => object;
  /** Topics that may be produced to. */
  readonly topics: readonly string[];
  readonly produce: (topic: string, records: readonly ProducerRecord[]) => Promise<void>;
  /** What is not ready beside the instance, in words. */
  readonly notReady: () => readonly string[];
}

/** A record as POST /produce takes it; bytes as base64. */
export interface ProducedRecord {
  readonly key: string | null;
  readonly value: string | null;
}

/** The running server. */
export interface StatusServer {
  readonly url: string;
  readonly token: string;
  close(): Promise<void>;
}

/**
 * Serves /livez, /readyz, /metrics, /status and POST /produce on 127.0.0.1. Nobody else can reach it: requests that a browser makes for
 * another page (an Origin header) and requests under another host's name (DNS rebinding) are refused.
 *
 * @throws TopologyError PORT_IN_USE.
 */
export async function startStatusServer(options: StatusServerOptions): Promise<StatusServer> {
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, logger: false, forceCloseConnections: true, requestTimeout: 30_000 });
  const metrics = metricsRegistry(options.topology, options.status);
  app.addHook("onRequest", async (request, reply) => {
    if (!LOOPBACK_NAMES.has(request.hostname)) return reply.code(403).send({ error: { code: "USAGE", message: "only for 127.0.0.1" } });
    if (request.headers.origin !== undefined) return reply.code(403).send({ error: { code: "USAGE", message: "not for browsers" } });
    return undefined;
  });
  app.setErrorHandler((thrown, _request, reply) => {
    const error = thrown as Error & { statusCode?: number };
    const status = error.statusCode ?? (error instanceof TopologyError ? 409 : 500);
    const { code } = status >= 400 && status < 500 && !(error instanceof TopologyError) ? { code: "USAGE" } : toTopologyError(error);
    return reply.code(status).send({ error: { code, message: error.message } });
  });
  app.get("/livez", () => ({ live: true }));
  app.get("/readyz", (_request, reply) => sendReadiness(options, reply));
  app.get("/status", () => ({ ...options.status(), ...options.details() }));
  app.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()));
  app.post("/produce", (request, reply) => produce(options, request, reply));
  try {
    await app.listen({ host: "127.0.0.1", port: options.port });
  } catch (cause) {
    await app.close();
    const isTaken = (cause as NodeJS.ErrnoException).code === "EADDRINUSE" || (cause as NodeJS.ErrnoException).code === "EACCES";
    if (!isTaken) throw cause;
    throw new TopologyError("PORT_IN_USE", `port ${options.port} cannot be listened on`, { place: `127.0.0.1:${options.port}`, cure: "choose another --port, or 0 for any free one", cause });
  }
  const address = app.server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return { url: `http://127.0.0.1:${port}`, token: options.token, close: () => app.close() };
}

function sendReadiness({ status, notReady }: StatusServerOptions, reply: FastifyReply): FastifyReply {
  const { state, tasks, outbox } = status();
  const reasons = [
    ...(state === "running" ? [] : [`the instance is ${state}`]),
    ...tasks.flatMap((task) => (task.rebuilding ? [`task ${task.id} is being rebuilt from the log`] : [])),
    ...outbox.flatMap((lane) => (lane.lastError === null ? [] : [`sink ${lane.target}: ${lane.lastError}`])),
    ...notReady(),
  ];
  return reply.code(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, notReady: reasons });
}

async function produce({ token, topics, produce: append }: StatusServerOptions, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const refuse = (status: number, message: string) => reply.code(status).send({ error: { code: "USAGE", message } });
  if (!isSame(request.headers.authorization ?? "", `Bearer ${token}`)) return refuse(401, "the token of instance.json is needed");
  const body = request.body as { topic?: unknown; records?: unknown } | null;
  const topic = body?.topic;
  if (typeof topic !== "string" || !topics.includes(topic)) return refuse(400, `topic must be one of ${topics.join(", ")}`);
  const records = body?.records;
  if (!Array.isArray(records) || records.length > PRODUCE_RECORDS_MAX || !records.every(isProducedRecord)) {
    return refuse(400, `records must be at most ${PRODUCE_RECORDS_MAX} of {"key": base64 or null, "value": base64 or null}`);
  }
  await append(topic, fromProduced(records));
  return reply.send({ appended: records.length });
}

/** Records with the time of now: they are loaded now, whatever became of them before. */
export function fromProduced(records: readonly ProducedRecord[]): ProducerRecord[] {
  const bytes = (text: string | null) => (text === null ? null : Buffer.from(text, "base64"));
  return records.map(({ key, value }) => ({ key: bytes(key), value: bytes(value), timestamp: Date.now() }));
}

function isProducedRecord(record: unknown): record is ProducedRecord {
  const { key, value } = (record ?? {}) as { key?: unknown; value?: unknown };
  return (key === null || typeof key === "string") && (value === null || typeof value === "string");
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

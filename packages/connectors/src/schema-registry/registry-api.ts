/**
 * The registry's HTTP interface, through the API client of `@kafkajs/confluent-schema-registry`, with what that client leaves open:
 *
 * - an answer that is cut off leaves its promise open for ever: every request has a deadline of ours;
 * - a connection that fails looks like a status 400: the status of such an answer is replaced (UNREACHABLE_STATUS);
 * - only GETs are tried again: all requests here may be repeated, so all are, where another try may help;
 * - a 404 of whatever other server looks like an unknown schema: only an error code of the registry's interface does.
 */
import apiModule from "@kafkajs/confluent-schema-registry/dist/api/index.js";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { TopologyError } from "@iot-topology/core";
import type { Compatibility, SchemaReference, SchemaRegistryOptions, SchemaText, SchemaType } from "./options.ts";

/** A subject's version. */
export interface RegisteredVersion extends SchemaText {
  readonly id: number;
  readonly version: number;
}

/** A registry's answer about compatibility. */
export interface CompatibilityAnswer {
  readonly isCompatible: boolean;
  readonly messages: readonly string[];
}

/** The requests that are needed. Each throws REGISTRY_UNREACHABLE (retriable) or REGISTRY_REFUSED. */
export interface RegistryApi {
  /** Undefined where the registry does not know the id. */
  schema(id: number): Promise<SchemaText | undefined>;
  /** Undefined where there is no such subject or version. */
  version(subject: string, version: number | "latest"): Promise<RegisteredVersion | undefined>;
  /** The id of a schema that the subject has already. */
  lookup(subject: string, schema: SchemaText): Promise<number | undefined>;
  /** Throws SCHEMA_INCOMPATIBLE where the subject's setting refuses it. */
  register(subject: string, schema: SchemaText): Promise<number>;
  /** Compared with the subject's latest version. Undefined where the subject has none. */
  compatible(subject: string, schema: SchemaText): Promise<CompatibilityAnswer | undefined>;
  /** The subject's own setting, undefined where it has none. */
  compatibility(subject: string): Promise<Compatibility | undefined>;
  setCompatibility(subject: string, level: Compatibility): Promise<void>;
  close(): void;
}

const UNREACHABLE_STATUS = 599;
const BACKOFF_MS_MAX = 5_000;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** What the client's middlewares see. */
interface ClientRequest {
  enhance(extras: { readonly headers?: Readonly<Record<string, string>>; readonly timeout?: number }): ClientRequest;
}
interface ClientResponse {
  error(): Error | null;
  status(): number;
  rawData(): unknown;
  enhance(extras: { readonly status: number; readonly rawData: string }): ClientResponse;
}

function checkedUrl(options: SchemaRegistryOptions): URL {
  const cure = "give the address of the registry's Confluent API, http or https";
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new TopologyError("CONFIG_INVALID", `${options.url.includes("@") ? "what was given" : JSON.stringify(options.url)} is no address of a schema registry`, { cure });
  if (url.username !== "" || url.password !== "") throw new TopologyError("CONFIG_INVALID", "the address of the schema registry holds credentials", { cure: "pass them as `auth`" });
  if (options.auth !== undefined && url.protocol === "http:" && !LOOPBACK.test(url.hostname)) {
    throw new TopologyError("CONFIG_INVALID", `credentials for the schema registry ${url.host} would go over the network in clear text`, { cure: "use an https address" });
  }
  return url;
}

function agentOf(url: URL, options: SchemaRegistryOptions): HttpAgent | HttpsAgent {
  return url.protocol === "https:" ? new HttpsAgent({ keepAlive: true, maxSockets: 8, ...options.tls }) : new HttpAgent({ keepAlive: true, maxSockets: 8 });
}

/** A refusal's body with the registry's error code before its message: the client keeps the message only. */
function codedMessage(body: unknown): string {
  try {
    const { error_code: code, message } = JSON.parse(String(body)) as { readonly error_code?: unknown; readonly message?: unknown };
    return JSON.stringify({ message: `${typeof code === "number" ? `#${code} ` : ""}${String(message)}` });
  } catch {
    return JSON.stringify({ message: "the answer is no JSON" });
  }
}

/** The client: headers of ours on the way out, failed connections told from answers on the way in. */
function clientOf(url: URL, options: SchemaRegistryOptions, agent: HttpAgent | HttpsAgent, timeoutMs: number): ReturnType<typeof apiModule.default> {
  const { auth } = options;
  const authorization = auth === undefined ? undefined : "token" in auth ? `Bearer ${auth.token}` : `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString("base64")}`;
  const headers = { accept: "application/vnd.schemaregistry.v1+json, application/json", ...(authorization === undefined ? {} : { authorization }) };
  const middleware = () => ({
    prepareRequest: async (next: () => Promise<ClientRequest>) => (await next()).enhance({ headers, timeout: timeoutMs }),
    response: async (next: () => Promise<ClientResponse>) => {
      try {
        return await next();
      } catch (cause) {
        const response = cause as ClientResponse;
        const error = response.error();
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- the client rejects with responses, not errors.
        throw error === null ? response.enhance({ status: response.status(), rawData: codedMessage(response.rawData()) }) : response.enhance({ status: UNREACHABLE_STATUS, rawData: JSON.stringify({ message: error.message }) });
      }
    },
  });
  const client = apiModule.default({
    host: url.href.replace(/\/+$/, ""),
    ...(options.clientId === undefined ? {} : { clientId: options.clientId }),
    retry: { retries: 0 },
    agent: agent,
  });
  // Before the client's own, which make an error of a refusal that has neither the registry's code nor a failed connection's reason: those it takes as an option come after.
  (client as unknown as { readonly _manifest: { readonly middleware: unknown[] } })._manifest.middleware.unshift(middleware);
  return client;
}

/** A failed request: its status, and what the registry says. */
interface RequestFailure {
  readonly status: number;
  /** The registry's own code, as 40403; 0 where it gave none. */
  readonly code: number;
  readonly message: string;
}

function failureOf(cause: unknown): RequestFailure {
  if (typeof cause !== "object" || cause === null) return { status: UNREACHABLE_STATUS, code: 0, message: String(cause) };
  const { status, message } = cause as { readonly status?: unknown; readonly message?: unknown };
  // The client puts its own name before the registry's words.
  const text = typeof message === "string" ? message.replace(/^[\w-]+ - /, "").slice(0, 1_000) : "";
  const code = /^#(\d+) /.exec(text);
  return { status: typeof status === "number" ? status : UNREACHABLE_STATUS, code: Number(code?.[1] ?? 0), message: text.slice(code?.[0].length ?? 0) };
}

const mayPass = (status: number): boolean => status === 408 || status === 429 || status >= 500;

function typeOf(name: unknown): SchemaType {
  if (name === undefined || name === null || name === "AVRO") return "avro";
  if (name === "JSON") return "json";
  if (name === "PROTOBUF") return "protobuf";
  throw new TopologyError("REGISTRY_REFUSED", `the registry gave a schema of type ${JSON.stringify(name)}`, { cure: "Avro, JSON and Protobuf are read" });
}

interface SchemaAnswer {
  readonly id?: number;
  readonly version?: number;
  readonly schema: string;
  readonly schemaType?: string;
  readonly references?: readonly SchemaReference[];
}

function textOf(answer: SchemaAnswer): SchemaText {
  return { type: typeOf(answer.schemaType), text: answer.schema, ...(answer.references === undefined || answer.references.length === 0 ? {} : { references: answer.references }) };
}

function bodyOf({ type, text, references }: SchemaText): object {
  return { ...(type === "avro" ? {} : { schemaType: type.toUpperCase() }), schema: text, ...(references === undefined ? {} : { references }) };
}

/** Resolves with the value, or rejects at the deadline whatever becomes of the promise. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no whole answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

interface ClientAnswer {
  data(): unknown;
}

/** Opens no connection before the first request. */
export function registryApi(options: SchemaRegistryOptions): RegistryApi {
  const url = checkedUrl(options);
  const timeoutMs = options.requestTimeoutMs ?? 5_000;
  const agent = agentOf(url, options);
  const client = clientOf(url, options, agent, timeoutMs);

  async function attempt(make: () => Promise<ClientAnswer>): Promise<{ readonly data: unknown } | RequestFailure> {
    try {
      const answer = await within(make(), timeoutMs);
      const data = answer.data();
      return typeof data === "object" && data !== null ? { data } : { status: 404, code: 0, message: "the answer is no JSON" };
    } catch (cause) {
      return failureOf(cause);
    }
  }

  /** Makes a request until it is answered for good. `absent` are the statuses that mean that the thing asked for does not exist. */
  async function request<T>(what: string, make: () => Promise<ClientAnswer>, onFailure: (failure: RequestFailure) => T | undefined): Promise<T> {
    const attemptsMax = options.attemptsMax ?? 4;
    for (let number = 1; ; number++) {
      const result = await attempt(make);
      if ("data" in result) return result.data as T;
      const { status, message } = result;
      if (!mayPass(status)) {
        const answer = onFailure(result);
        if (answer !== undefined) return answer;
        throw new TopologyError("REGISTRY_REFUSED", `the schema registry refused to ${what}: ${status} ${message}`, {
          place: url.host,
          cure: status === 401 || status === 403 ? "check `auth` and its rights" : status === 404 ? "check the address: this is no Confluent API of a schema registry" : "the registry says why",
        });
      }
      if (number >= attemptsMax) {
        throw new TopologyError("REGISTRY_UNREACHABLE", `the schema registry did not ${what} in ${number} tries: ${message === "" ? `status ${status}` : message}`, {
          place: url.host,
          cure: "check that the registry runs and its address",
          retriable: true,
        });
      }
      options.logger?.warn({ registry: url.host, status, error: message, attempt: number }, "the schema registry did not answer, will be asked again");
      await new Promise<void>((resolve) => setTimeout(resolve, Math.min((options.backoffMs ?? 100) * 2 ** (number - 1), BACKOFF_MS_MAX)));
    }
  }

  return requestsOf(client, request, () => agent.destroy());
}

type Request = <T>(what: string, make: () => Promise<ClientAnswer>, onFailure: (failure: RequestFailure) => T | undefined) => Promise<T>;

const ABSENT = Symbol("absent");
const none = (): undefined => undefined;

function requestsOf(client: ReturnType<typeof apiModule.default>, request: Request, close: () => void): RegistryApi {
  /** Undefined for a 404 that is the registry's own: a schema, subject or version that does not exist. */
  async function find<T>(what: string, make: () => Promise<ClientAnswer>): Promise<T | undefined> {
    const answer = await request<T | typeof ABSENT>(what, make, ({ code }) => (code >= 40_400 && code < 40_500 ? ABSENT : undefined));
    return answer === ABSENT ? undefined : answer;
  }
  return {
    async schema(id) {
      const answer = await find<SchemaAnswer>(`give schema ${id}`, () => client.Schema.find({ id }));
      return answer === undefined ? undefined : textOf(answer);
    },
    async version(subject, version) {
      const answer = await find<SchemaAnswer>(`give version ${version} of ${subject}`, () => client.Subject.version({ subject, version }));
      return answer === undefined ? undefined : { ...textOf(answer), id: answer.id ?? 0, version: answer.version ?? 0 };
    },
    async lookup(subject, schema) {
      const answer = await find<{ readonly id: number }>(`look up a schema of ${subject}`, () => client.Subject.registered({ subject, body: bodyOf(schema) }));
      return answer?.id;
    },
    async register(subject, schema) {
      const answer = await request<{ readonly id: number }>(`register a schema of ${subject}`, () => client.Subject.register({ subject, body: bodyOf(schema) }), ({ status, message }) => {
        if (status !== 409) return undefined;
        throw new TopologyError("SCHEMA_INCOMPATIBLE", `the registry refuses the schema of ${subject}: ${message}`, { place: subject, cure: "make the change compatible, lower the subject's compatibility, or write to a new topic" });
      });
      return answer.id;
    },
    async compatible(subject, schema) {
      const answer = await find<{ readonly is_compatible: boolean; readonly messages?: readonly string[] }>(`compare a schema of ${subject}`, () => client.Subject.compatible({ subject, body: bodyOf(schema), verbose: true }));
      return answer === undefined ? undefined : { isCompatible: answer.is_compatible, messages: answer.messages ?? [] };
    },
    async compatibility(subject) {
      const answer = await find<{ readonly compatibilityLevel?: Compatibility; readonly compatibility?: Compatibility }>(`give the compatibility of ${subject}`, () => client.Subject.config({ subject }));
      return answer?.compatibilityLevel ?? answer?.compatibility;
    },
    async setCompatibility(subject, level) {
      await request<object>(`set the compatibility of ${subject}`, () => client.Subject.updateConfig({ subject, body: { compatibility: level } }), none);
    },
    close,
  };
}

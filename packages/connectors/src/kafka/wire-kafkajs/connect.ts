import { connect as connectSocket } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { WireError } from "../wire.ts";
import type { WireAddress, WireOptions, WireSasl } from "../wire.ts";
import { Link, refuseSecretsInTheClear, watchForTls } from "../wire-protocol/link.ts";
import { freshToken, tokenRefusal } from "../wire-protocol/oauth-bearer.ts";
import { FETCH, PRODUCE } from "../wire-protocol/records.ts";
import { tlsOptions } from "../wire-protocol/tls.ts";
import { loadKafkajs } from "./library.ts";
import type { Kafkajs, KafkajsBroker, KafkajsConnection, KafkajsLogger, KafkajsRequest, KafkajsSocketTarget } from "./library.ts";
import { OFFSET_FETCH } from "./own-request.ts";
import type { OwnApi } from "./own-request.ts";

/** One open connection of kafkajs. */
export interface KafkajsLink {
  readonly link: Link;
  readonly requestTimeoutMs: number;
  /** A request of kafkajs', with the newest version that both sides know; the answer as kafkajs decodes it, error codes included. */
  readonly ask: <Answer>(apiName: string, values: object, timeoutMs?: number) => Promise<Answer>;
  /** A request of our own, body and answer as bytes. */
  readonly askOwn: <Answer>(api: OwnApi, body: Buffer, decode: (payload: Buffer) => Answer, timeoutMs?: number) => Promise<Answer>;
  /** Whether the broker knows a request of our own. */
  readonly knows: (api: OwnApi) => boolean;
}

/** kafkajs logs each failure that it also throws; the caller logs. */
const silent: KafkajsLogger = { namespace: () => silent, debug() {}, info() {}, warn() {}, error() {} };

/** The part of a session's life that is left when it is prolonged. */
const REAUTHENTICATE_AHEAD = 0.3;
const NEVER_MS = 2 ** 31 - 1;

/** Opens one connection: socket, TLS, versions, SASL. The pool of kafkajs is two connections, the second for Fetch alone; only its first is used. */
export async function connectKafkajs(address: WireAddress, options: WireOptions): Promise<KafkajsLink> {
  refuseSecretsInTheClear(address, options);
  const kafkajs = loadKafkajs();
  let socket: Socket | undefined;
  const link = new Link(address, () => {
    socket?.destroy(new Error("the connection is closed")); // an error, for without one kafkajs would not hear of it and keep its timers
  });
  const pool = new kafkajs.ConnectionPool({
    host: address.host,
    port: address.port,
    clientId: options.clientId,
    logger: silent,
    socketFactory: (target) => {
      socket = openSocket(target, link);
      return socket;
    },
    ssl: options.tls === undefined ? null : tlsOptions(address, options.tls),
    sasl: options.sasl === undefined ? null : saslOptions(options.sasl),
    connectionTimeout: NEVER_MS, // the link keeps the time of connecting and of each request, and cuts the socket at its end, which kafkajs does not
    requestTimeout: NEVER_MS,
    enforceRequestTimeout: false,
  });
  const connection = pool.pool[0] as KafkajsConnection;
  // Answered requests make kafkajs 2.2.4 look for held-back ones every millisecond, for ever, by timers with a negative delay (a warning under Node 24). None is
  // ever held back here: no limit of requests in flight, and brokers hold answers back themselves (KIP-219).
  connection.requestQueue.scheduleCheckPendingRequests = () => undefined;
  const broker = new kafkajs.Broker({ connectionPool: pool, logger: silent, allowAutoTopicCreation: false });
  try {
    await link.ask("connect", options.connectTimeoutMs, () => broker.connect());
    // It authenticates anew 10 s before the session ends, so one of 10 s or less with every request, which brokers refuse to do more than once a second.
    connection.reauthenticationThreshold = Math.min(connection.reauthenticationThreshold, Number(connection.sessionLifetime) * REAUTHENTICATE_AHEAD);
    for (const api of [PRODUCE, FETCH, OFFSET_FETCH]) requireVersion(broker, address, api);
    link.opened();
  } catch (error) {
    link.close("connecting failed");
    throw error;
  }
  return linkOf(kafkajs, link, connection, broker, options.requestTimeoutMs);
}

function openSocket({ host, port, ssl, onConnect }: KafkajsSocketTarget, link: Link): Socket {
  const socket = ssl === null ? connectSocket({ host, port }, onConnect) : connectTls({ host, port, ...ssl }, onConnect);
  socket.setNoDelay(true).setKeepAlive(true, 60_000);
  // These listeners come before kafkajs' own, so that whoever is told of a lost request finds the connection closed.
  socket.on("error", (error) => link.lost(error));
  socket.on("end", () => link.lost(new Error("the broker closed the connection")));
  socket.on("close", () => link.lost());
  if (ssl === null) watchForTls(socket, link);
  return socket;
}

function requireVersion(broker: KafkajsBroker, address: WireAddress, api: OwnApi): void {
  if (hasVersion(broker, api)) return;
  throw new WireError(`${address.host}:${address.port}: the broker does not know ${api.name} version ${api.version}: Kafka 2.5 or newer is needed`, { isFatal: true });
}

function hasVersion(broker: KafkajsBroker, { key, version }: OwnApi): boolean {
  const range = broker.versions?.[key];
  return range !== undefined && range.minVersion <= version && version <= range.maxVersion;
}

function linkOf(kafkajs: Kafkajs, link: Link, connection: KafkajsConnection, broker: KafkajsBroker, requestTimeoutMs: number): KafkajsLink {
  const send = async (request: KafkajsRequest["request"], decode: (payload: Buffer) => unknown): Promise<unknown> => {
    const response = {
      decode: async (payload: Buffer) => ({ answer: await decode(payload) }), // wrapped: kafkajs would hold requests back for the throttle time it finds in an answer
      parse: async (answer: unknown) => answer,
    };
    const { answer } = await (connection.send({ request, response, logResponseError: false }) as Promise<{ readonly answer: unknown }>);
    return answer;
  };
  return {
    link,
    requestTimeoutMs,
    ask: <Answer>(apiName: string, values: object, timeoutMs = requestTimeoutMs) => link.ask(apiName, timeoutMs, async () => {
      const definition = kafkajs.requests[apiName];
      const apiKey = kafkajs.apiKeys[apiName];
      if (definition === undefined || apiKey === undefined) throw new WireError(`kafkajs has no request ${apiName}`, { isFatal: true });
      const { request, response } = broker.lookupRequest(apiKey, definition)(values);
      return await send(request, (payload) => response.decode(payload)) as Answer;
    }),
    askOwn: <Answer>(api: OwnApi, body: Buffer, decode: (payload: Buffer) => Answer, timeoutMs = requestTimeoutMs) => link.ask(api.name, timeoutMs, async () => {
      const request = { apiKey: api.key, apiVersion: api.version, apiName: api.name, encode: async () => ({ buf: body, buffer: body }) };
      return await send(request, decode) as Answer;
    }),
    knows: (api) => hasVersion(broker, api),
  };
}

function saslOptions(sasl: WireSasl): object {
  if (sasl.mechanism !== "oauthbearer") return { mechanism: sasl.mechanism, username: sasl.username, password: sasl.password };
  return { mechanism: "oauthbearer", authenticationProvider: oauthBearer(sasl.token) };
}

interface SaslExchange {
  readonly saslAuthenticate: (exchange: { readonly request: { encode(): Promise<Buffer> }; readonly response: { decode(answer: Buffer): Promise<Buffer>; parse(answer: Buffer): Promise<void> } }) => Promise<void>;
}

const LENGTH_BYTES = 4;

/** In place of kafkajs' own, which does not look at what the broker says. Both ways bytes are preceded by their length. */
function oauthBearer(token: () => Promise<string>) {
  return ({ saslAuthenticate }: SaslExchange) => ({
    authenticate: async () => {
      const message = Buffer.from(`n,,\u0001auth=Bearer ${await freshToken(token)}\u0001\u0001`);
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeInt32BE(message.length);
      await saslAuthenticate({
        request: { encode: async () => Buffer.concat([length, message]) },
        response: {
          decode: async (answer) => answer.subarray(LENGTH_BYTES),
          parse: async (answer) => {
            const refusal = tokenRefusal(answer);
            if (refusal !== undefined) throw refusal;
          },
        },
      });
    },
  });
}

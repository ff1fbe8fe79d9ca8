import { once } from "node:events";
import type { Connection, ConnectionOptions } from "@platformatic/kafka";
import { WireError } from "../wire.ts";
import type { WireAddress, WireOptions, WireSasl } from "../wire.ts";
import { Link, refuseSecretsInTheClear, watchForTls } from "../wire-protocol/link.ts";
import { freshToken, tokenRefusal } from "../wire-protocol/oauth-bearer.ts";
import { FETCH, PRODUCE } from "../wire-protocol/records.ts";
import { tlsOptions } from "../wire-protocol/tls.ts";
import { loadPlatformatic, requestsOf } from "./library.ts";
import type { Platformatic, PlatformaticRequests } from "./library.ts";

/** A request of the library: it writes the arguments and reads the answer, or throws an error with the answer on it at any error code. */
interface Api<Arguments extends unknown[], Answer> {
  readonly key: number;
  readonly version: number;
  readonly async: (connection: Connection, ...values: Arguments) => Promise<Answer>;
}

/** A request of our own, in a version before the flexible encodings. */
interface OwnApi {
  readonly key: number;
  readonly version: number;
  readonly name: string;
}

/** One open connection of @platformatic/kafka. */
export interface PlatformaticLink {
  readonly link: Link;
  readonly requests: PlatformaticRequests;
  readonly requestTimeoutMs: number;
  /** A request of the library's; the answer as it decodes it, error codes included. */
  readonly ask: <Arguments extends unknown[], Answer>(api: Api<Arguments, Answer>, values: Arguments, timeoutMs?: number) => Promise<Answer>;
  /** A request of our own: the parts of its body one after the other, the answer as bytes. */
  readonly askOwn: <Answer>(api: OwnApi, body: readonly Buffer[], decode: (payload: Buffer) => Answer, timeoutMs?: number) => Promise<Answer>;
  /** Whether the broker knows a request. */
  readonly knows: (api: { readonly key: number; readonly version: number }) => boolean;
}

type VersionRanges = ReadonlyMap<number, { readonly minVersion: number; readonly maxVersion: number }>;

const NEVER_MS = 2 ** 31 - 1;
/** The library's default of 5 would hold requests back unseen; ours keep to one or two, and a bound is a bound. */
const IN_FLIGHT_MAX = 1_000;
const CLIENT = ["iot-topology", "1"] as const;

/** Opens one connection: socket, TLS, SASL, versions. */
export async function connectPlatformatic(address: WireAddress, options: WireOptions): Promise<PlatformaticLink> {
  refuseSecretsInTheClear(address, options);
  const library = await loadPlatformatic();
  const requests = requestsOf(library);
  const connection = new library.Connection(options.clientId, connectionOptions(address, options));
  const link = new Link(address, () => {
    void connection.close().catch(() => undefined); // lets go of its timers
    connection.socket?.destroy(); // and does not wait for a peer that reads no more
  });
  connection.on("error", (error) => link.lost(error)); // and no 'error' event goes unheard, which would end the process
  connection.on("close", () => link.lost());
  try {
    const versions = await link.ask("connect", options.connectTimeoutMs, async () => {
      const connecting = connection.connect(address.host, address.port);
      if (options.tls === undefined) watchForTls(connection.socket, link);
      await connecting;
      connection.socket.setKeepAlive(true, 60_000);
      return rangesOf(await library.apiVersionsV3.api.async(connection, ...CLIENT));
    });
    requireVersions(versions, address, [PRODUCE, FETCH, ...Object.values(requests)]);
    link.opened();
    return linkOf(library, requests, link, connection, versions, options.requestTimeoutMs);
  } catch (error) {
    link.close("connecting failed");
    throw error;
  }
}

function connectionOptions(address: WireAddress, options: WireOptions): ConnectionOptions {
  return {
    connectTimeout: NEVER_MS, // the link keeps all times: the library has one limit for every request, whatever it asks the broker to wait for
    requestTimeout: NEVER_MS,
    maxInflights: IN_FLIGHT_MAX,
    ...(options.tls === undefined ? {} : { tls: tlsOptions(address, options.tls) }),
    ...(options.sasl === undefined ? {} : { sasl: saslOptions(options.sasl) }),
  };
}

const MECHANISMS = { "plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512" } as const;

function saslOptions(sasl: WireSasl): NonNullable<ConnectionOptions["sasl"]> {
  if (sasl.mechanism !== "oauthbearer") return { mechanism: MECHANISMS[sasl.mechanism], username: sasl.username, password: sasl.password };
  return {
    mechanism: "OAUTHBEARER",
    token: () => freshToken(sasl.token),
    authBytesValidator: (answer, callback) => {
      const refusal = tokenRefusal(answer);
      if (refusal === undefined) callback(null, answer);
      else callback(refusal);
    },
  };
}

function rangesOf(answer: { readonly apiKeys: readonly { readonly apiKey: number; readonly minVersion: number; readonly maxVersion: number }[] }): VersionRanges {
  return new Map(answer.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, { minVersion, maxVersion }]));
}

function hasVersion(ranges: VersionRanges, { key, version }: { readonly key: number; readonly version: number }): boolean {
  const range = ranges.get(key);
  return range !== undefined && range.minVersion <= version && version <= range.maxVersion;
}

function requireVersions(ranges: VersionRanges, address: WireAddress, apis: readonly { readonly key: number; readonly version: number }[]): void {
  const unknown = apis.filter((api) => !hasVersion(ranges, api));
  if (unknown.length === 0) return;
  const names = unknown.map(({ key, version }) => `${key} version ${version}`).join(", ");
  throw new WireError(`${address.host}:${address.port}: the broker does not know the requests ${names}: Kafka 3.0 or newer is needed`, { isFatal: true });
}

function linkOf(library: Platformatic, requests: PlatformaticRequests, link: Link, connection: Connection, versions: VersionRanges, requestTimeoutMs: number): PlatformaticLink {
  /** While it authenticates anew the broker takes nothing else on a connection; the library would send it all the same. */
  const authenticated = async (): Promise<void> => {
    if (connection.status === library.ConnectionStatuses.REAUTHENTICATING) await once(connection, "connect");
  };
  return {
    link,
    requests,
    requestTimeoutMs,
    ask: (api, values, timeoutMs = requestTimeoutMs) => link.ask(library.protocolAPIsById[api.key] ?? String(api.key), timeoutMs, async () => {
      await authenticated();
      return await answerOf(library, api.async(connection, ...values));
    }),
    askOwn: (api, body, decode, timeoutMs = requestTimeoutMs) => link.ask(api.name, timeoutMs, async () => {
      await authenticated();
      return await new Promise((resolve, reject) => {
        const createBody = () => {
          const writer = library.Writer.create();
          for (const part of body) writer.append(part);
          return writer;
        };
        connection.send(api.key, api.version, createBody, (_correlation, _key, _version, reader) => decode(reader.buffer.slice(reader.position)), false, false, (error, answer) => {
          if (error !== null || answer === undefined) reject(error ?? new Error("an empty answer"));
          else resolve(answer);
        });
      });
    }),
    knows: (api) => hasVersion(versions, api),
  };
}

/** An answer with error codes comes as an error that carries it. */
async function answerOf<Answer>(library: Platformatic, answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof library.ResponseError && "response" in error && error.response !== undefined) return error.response as Answer;
    throw error;
  }
}

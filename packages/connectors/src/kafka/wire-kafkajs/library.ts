import { createRequire } from "node:module";
import type { Socket } from "node:net";
import { WireError } from "../wire.ts";

/** The version whose inside is known: what is used here is not its public interface. */
const VERSION = "2.2.4";

/** A request of kafkajs: what it writes, and how it reads the answer. `parse` throws at the first error code, so that it is never called here. */
export interface KafkajsRequest {
  readonly request: { readonly apiKey: number; readonly apiVersion: number; readonly apiName: string; encode(): Promise<KafkajsEncoded> };
  readonly response: { decode(payload: Buffer): Promise<unknown>; parse(answer: unknown): Promise<unknown> };
}

/** All that a connection asks of kafkajs' encoder. */
export interface KafkajsEncoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

export interface KafkajsDefinition {
  readonly versions: readonly string[];
}

export interface KafkajsConnection {
  send(request: KafkajsRequest & { readonly logResponseError: boolean }): Promise<unknown>;
  /** In milliseconds, 0 without an end; an integer of 64 bits in an object. */
  readonly sessionLifetime: { toString(): string };
  reauthenticationThreshold: number;
  readonly requestQueue: { scheduleCheckPendingRequests(): void };
}

export interface KafkajsBroker {
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number } | undefined>> | null;
  connect(): Promise<void>;
  lookupRequest(apiKey: number, definition: KafkajsDefinition): (values: object) => KafkajsRequest;
}

export interface KafkajsLogger {
  namespace(): KafkajsLogger;
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface KafkajsSocketTarget {
  readonly host: string;
  readonly port: number;
  readonly ssl: object | null;
  readonly onConnect: () => void;
}

interface KafkajsPool {
  readonly pool: readonly KafkajsConnection[];
}

/** The parts of kafkajs that a wire stands on. */
export interface Kafkajs {
  readonly Broker: new (options: { readonly connectionPool: KafkajsPool; readonly logger: KafkajsLogger; readonly allowAutoTopicCreation: boolean }) => KafkajsBroker;
  readonly ConnectionPool: new (options: {
    readonly host: string;
    readonly port: number;
    readonly clientId: string;
    readonly logger: KafkajsLogger;
    readonly socketFactory: (target: KafkajsSocketTarget) => Socket;
    readonly ssl: object | null;
    readonly sasl: object | null;
    readonly connectionTimeout: number;
    readonly requestTimeout: number;
    readonly enforceRequestTimeout: boolean;
  }) => KafkajsPool;
  readonly requests: Readonly<Record<string, KafkajsDefinition | undefined>>;
  readonly apiKeys: Readonly<Record<string, number | undefined>>;
}

let loaded: Kafkajs | undefined;

/** Loads kafkajs, once, when a connection is first wanted. Throws (fatal) where it is not installed or not the version that is known. */
export function loadKafkajs(): Kafkajs {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  let version: string;
  try {
    version = (require("kafkajs/package.json") as { readonly version: string }).version;
  } catch (cause) {
    throw new WireError("kafkajs is not installed", { cause, isFatal: true });
  }
  if (version !== VERSION) throw new WireError(`kafkajs ${version} is installed, ${VERSION} is needed: its inside is used, which changes without notice`, { isFatal: true });
  loaded = {
    Broker: require("kafkajs/src/broker") as Kafkajs["Broker"],
    ConnectionPool: require("kafkajs/src/network/connectionPool") as Kafkajs["ConnectionPool"],
    ...(require("kafkajs/src/protocol/requests") as Pick<Kafkajs, "requests">),
    apiKeys: require("kafkajs/src/protocol/requests/apiKeys") as Kafkajs["apiKeys"],
  };
  return loaded;
}

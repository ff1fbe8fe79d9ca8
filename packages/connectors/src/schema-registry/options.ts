import type { Logger } from "@iot-topology/core";

/** Who asks. */
export type RegistryAuth = { readonly username: string; readonly password: string } | { readonly token: string };

/** Certificates in PEM, as text or bytes. */
export interface RegistryTls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly passphrase?: string;
}

/** Options of `schemaRegistry`. */
export interface SchemaRegistryOptions {
  /** Where the Confluent API is: `http://127.0.0.1:8081`, or `https://host/apis/ccompat/v7` for Apicurio. */
  readonly url: string;
  /** Basic or bearer. Refused without TLS, except on loopback. */
  readonly auth?: RegistryAuth;
  readonly tls?: RegistryTls;
  readonly clientId?: string;
  /** How long one request may take; 5 s when absent. */
  readonly requestTimeoutMs?: number;
  /** How often a request is tried that meets no answer, or one that may pass; 4 when absent. */
  readonly attemptsMax?: number;
  /** The pause before the second try, doubled for each further one; 100 ms when absent. */
  readonly backoffMs?: number;
  /** The most schemas kept; 10,000 when absent. Schemas never change, so they are kept as long as the process lives. */
  readonly schemasMax?: number;
  /** How long an id that the registry did not know is not asked for again; 30 s when absent. */
  readonly unknownForMs?: number;
  readonly logger?: Logger;
}

/** The formats of a registry. */
export type SchemaType = "avro" | "json" | "protobuf";

/** A schema that another one names. */
export interface SchemaReference {
  readonly name: string;
  readonly subject: string;
  readonly version: number;
}

/** A schema as its registry holds it. */
export interface SchemaText {
  readonly type: SchemaType;
  readonly text: string;
  readonly references?: readonly SchemaReference[];
}

/** How a registry compares a new schema with the subject's earlier ones. */
export type Compatibility = "NONE" | "BACKWARD" | "FORWARD" | "FULL" | "BACKWARD_TRANSITIVE" | "FORWARD_TRANSITIVE" | "FULL_TRANSITIVE";

/** What to call the subject of a topic's values: after the topic (`orders-value`, the default), the record (`shop.Order`), or both (`orders-shop.Order`). */
export type SubjectName = "topic" | "record" | "topic-record" | ((topic: string, recordName: string) => string);

/** The subject of a topic's values. */
export function subjectOf(naming: SubjectName, topic: string, recordName: string): string {
  if (typeof naming === "function") return naming(topic, recordName);
  return naming === "topic" ? `${topic}-value` : naming === "record" ? recordName : `${topic}-${recordName}`;
}

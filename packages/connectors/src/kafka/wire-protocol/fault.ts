import { WireError } from "../wire.ts";

/** Certificates and handshakes that fail the same way every time. `EPROTO`: the other side does not speak TLS at all. */
const FATAL_TLS = new Set([
  "CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID", "CERT_REJECTED", "CERT_REVOKED", "CERT_UNTRUSTED", "DEPTH_ZERO_SELF_SIGNED_CERT", "EPROTO",
  "ERR_TLS_CERT_ALTNAME_INVALID", "HOSTNAME_MISMATCH", "INVALID_CA", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
const CAUSES_MAX = 8;

interface Cause extends Error {
  readonly code?: unknown;
  readonly errors?: unknown;
  /** What the broker said, where @platformatic/kafka has it. */
  readonly serverErrorMessage?: unknown;
}

/** The error, what it was caused by, and so on; of several at once the first. */
function causesOf(error: unknown): readonly Cause[] {
  const causes: Cause[] = [];
  let next = error;
  while (next instanceof Error && causes.length < CAUSES_MAX) {
    const cause: Cause = next;
    causes.push(cause);
    next = cause.cause ?? (Array.isArray(cause.errors) ? cause.errors[0] : undefined);
  }
  return causes;
}

/** @platformatic/kafka calls it a failure of authentication too when the connection is lost in the middle of it. */
function isAuthentication(causes: readonly Cause[]): boolean {
  const at = causes.findIndex(({ code, name }) => code === "PLT_KFK_AUTHENTICATION" || name === "KafkaJSSASLAuthenticationError");
  return at >= 0 && !causes.slice(at + 1).some(({ code }) => code === "PLT_KFK_NETWORK");
}

function isTls({ code }: Cause): boolean {
  return typeof code === "string" && (FATAL_TLS.has(code) || code.startsWith("ERR_SSL_") || code.startsWith("ERR_OSSL_"));
}

/** Any failure of a library as the port's error, with the words of each cause. No message of either library holds a secret. */
export function wireErrorOf(what: string, error: unknown): WireError {
  const causes = causesOf(error);
  const own = causes.find((cause) => cause instanceof WireError);
  if (own !== undefined) return new WireError(`${what}: ${own.message}`, { cause: own.cause ?? own, isFatal: own.isFatal });
  const texts = causes.flatMap(({ message, serverErrorMessage }) => typeof serverErrorMessage === "string" ? [message, serverErrorMessage] : [message]);
  const words = texts.map((text) => text.replace(/\.$/, "")).filter((text, at, all) => text !== "" && all.indexOf(text) === at);
  return new WireError(`${what}: ${words.length === 0 ? String(error) : words.join(": ")}`, { cause: error, isFatal: isAuthentication(causes) || causes.some(isTls) });
}

import { WireError } from "../wire.ts";

/** Certificates and handshakes that fail the same way every time. `EPROTO`: the other side does not speak TLS at all. */
const FATAL_TLS = new Set([
  "CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID", "CERT_REJECTED", "CERT_REVOKED", "CERT_UNTRUSTED", "DEPTH_ZERO_SELF_SIGNED_CERT", "EPROTO",
  "ERR_OSSL_PEM_NO_START_LINE", "ERR_TLS_CERT_ALTNAME_INVALID", "HOSTNAME_MISMATCH", "INVALID_CA", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
const CAUSES_MAX = 8;

function causesOf(error: unknown): readonly Error[] {
  const causes: Error[] = [];
  for (let cause = error; cause instanceof Error && causes.length < CAUSES_MAX; cause = cause.cause) causes.push(cause);
  return causes;
}

function isFatal(error: Error): boolean {
  const code = (error as { readonly code?: unknown }).code;
  if (typeof code === "string" && (FATAL_TLS.has(code) || code.startsWith("ERR_SSL_") || code.startsWith("ERR_OSSL_"))) return true;
  return code === "PLT_KFK_AUTHENTICATION" || error.name === "KafkaJSSASLAuthenticationError";
}

/** Any failure of a library as the port's error. The text of each cause is kept, a secret never: no message of either library holds one. */
export function wireErrorOf(what: string, error: unknown): WireError {
  const causes = causesOf(error);
  const own = causes.find((cause) => cause instanceof WireError);
  if (own !== undefined) return own;
  const texts = causes.map((cause) => cause.message).filter((text, at, all) => text !== "" && all.indexOf(text) === at);
  const reason = texts.length === 0 ? String(error) : texts.join(": ");
  return new WireError(`${what}: ${reason}`, { cause: error, isFatal: causes.some(isFatal) });
}

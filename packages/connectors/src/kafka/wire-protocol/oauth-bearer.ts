import { WireError } from "../wire.ts";

/** The token from the user's provider. One that fails may succeed the next time: its error is not fatal. */
export async function freshToken(provider: () => Promise<string>): Promise<string> {
  try {
    return await provider();
  } catch (error) {
    throw new WireError(`SASL OAUTHBEARER: no token: ${error instanceof Error ? error.message : "the provider failed"}`, { cause: error });
  }
}

/**
 * A broker that refuses a token first answers without an error code but with a JSON text that says why (RFC 7628, 3.2.2). Both libraries take that for a success; the
 * next request is then cut off. Returns the refusal, if this answer is one.
 */
export function tokenRefusal(answer: Buffer): WireError | undefined {
  const text = answer.toString("utf8");
  if (!text.trimStart().startsWith("{")) return undefined;
  let status: unknown;
  try {
    status = (JSON.parse(text) as { readonly status?: unknown }).status;
  } catch {
    status = undefined;
  }
  return new WireError(`SASL OAUTHBEARER: the broker refused the token${typeof status === "string" ? ` (${status.slice(0, 100)})` : ""}`, { isFatal: true });
}

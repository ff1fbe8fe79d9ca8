import t from "tap";
import { WireError } from "../../../src/kafka/wire.ts";
import { wireErrorOf } from "../../../src/kafka/wire-protocol/fault.ts";

function failure(message: string, values: { readonly code?: string; readonly cause?: Error; readonly name?: string; readonly errors?: readonly Error[]; readonly serverErrorMessage?: string } = {}): Error {
  return Object.assign(new Error(message), values);
}

t.test("a refused secret is final, a connection lost on the way to it is not", async (t) => {
  const refused = failure("Received response with error.", { errors: [failure("SASL_AUTHENTICATION_FAILED", { serverErrorMessage: "no such user" })] });
  const authentication = (cause: Error): Error => failure("Connection failed.", { code: "PLT_KFK_NETWORK", cause: failure("SASL authentication failed.", { code: "PLT_KFK_AUTHENTICATION", cause }) });
  t.match(wireErrorOf("b:1", authentication(refused)), {
    isFatal: true, message: "b:1: Connection failed: SASL authentication failed: Received response with error: SASL_AUTHENTICATION_FAILED: no such user",
  });
  t.match(wireErrorOf("b:1", authentication(failure("Connection closed", { code: "PLT_KFK_NETWORK" }))), { isFatal: false });
  t.match(wireErrorOf("b:1", failure("SASL PLAIN authentication failed", { name: "KafkaJSSASLAuthenticationError" })), { isFatal: true });
});

t.test("certificates that fail are final, sockets that fail are not", async (t) => {
  for (const code of ["DEPTH_ZERO_SELF_SIGNED_CERT", "ERR_TLS_CERT_ALTNAME_INVALID", "ERR_OSSL_PEM_NO_START_LINE", "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"]) {
    t.equal(wireErrorOf("b:1", failure("Connection failed", { cause: failure("tls", { code }) })).isFatal, true, code);
  }
  for (const code of ["ECONNRESET", "ECONNREFUSED", "ETIMEDOUT", "ENOTFOUND", "EPIPE"]) t.equal(wireErrorOf("b:1", failure("socket", { code })).isFatal, false, code);
});

t.test("an error of the wire's own keeps what it says, and a loop of causes ends", async (t) => {
  const own = new WireError("no token", { isFatal: false });
  t.match(wireErrorOf("b:1", failure("provider threw", { code: "PLT_KFK_AUTHENTICATION", cause: own })), { isFatal: false, message: "b:1: no token" });
  const loop = failure("again");
  loop.cause = loop;
  t.equal(wireErrorOf("b:1", loop).message, "b:1: again");
  t.equal(wireErrorOf("b:1", "text").message, "b:1: text");
});

/** TLS and SASL, for each library, against a broker that asks for them. */
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import t from "tap";
import { startCuttingProxy } from "../../../../test/kafka/cutting-proxy.ts";
import { WireError } from "../../src/kafka/wire.ts";
import type { WireAddress, WireOptions, WireSasl } from "../../src/kafka/wire.ts";
import { PASSWORD, SESSION_MS, USER, secureBroker, unsignedToken } from "./secure-broker.ts";
import { wireOptions, wires } from "./wire-fixture.ts";

t.setTimeout(180_000);

const [API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE] = [18, 17, 36] as const;
const MECHANISMS: readonly WireSasl["mechanism"][] = ["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"];

function sasl(mechanism: WireSasl["mechanism"], secret: { readonly password?: string; readonly token?: string } = {}): WireSasl {
  if (mechanism === "oauthbearer") return { mechanism, token: async () => secret.token ?? unsignedToken(USER) };
  return { mechanism, username: USER, password: secret.password ?? PASSWORD };
}

void t.test("with a broker that asks for TLS and SASL", async (t) => {
  const broker = await secureBroker(t);
  if (broker === undefined) return;
  const tls = { ca: broker.ca };

  for (const wire of wires) {
    const answer = async (address: WireAddress, options: Partial<WireOptions>): Promise<number> => {
      const connection = await wire.connect(address, { ...wireOptions, ...options });
      t.teardown(() => connection.close());
      return (await connection.metadata([])).brokers.length;
    };
    const refusal = async (address: WireAddress, options: Partial<WireOptions>): Promise<WireError> => {
      const failure = await answer(address, options).then(() => undefined, (error: unknown) => error);
      if (failure instanceof WireError) return failure;
      throw new Error("the connection was not refused with a WireError", { cause: failure });
    };

    for (const mechanism of MECHANISMS) {
      await t.test(`${wire.name}: ${mechanism}, with TLS and without`, async (t) => {
        t.equal(await answer(broker.secure, { tls, sasl: sasl(mechanism) }), 1);
        t.equal(await answer(broker.clear, { sasl: sasl(mechanism) }), 1);
        const wrong = sasl(mechanism, { password: "wrong-s3cret", token: `${unsignedToken(USER, -600)}s3cret` });
        const refused = await refusal(broker.secure, { tls, sasl: wrong });
        t.equal(refused.isFatal, true, `a wrong secret is not tried again: ${refused.message}`);
        t.notMatch(inspect(refused, { depth: 20, showHidden: true }), /s3cret/, "nor shown");
      });
    }

    await t.test(`${wire.name}: certificates are checked`, async (t) => {
      const credentials = sasl("scram-sha-512");
      t.equal(await answer({ ...broker.secure, host: "localhost" }, { tls, sasl: credentials }), 1, "by name");
      t.equal(await answer(broker.secure, { tls: { ca: [broker.foreignCa, broker.ca] }, sasl: credentials }), 1, "one of several authorities");
      for (const [what, options] of [["another authority's", { ca: broker.foreignCa }], ["no authority's that the system knows", {}], ["another host's", { ...tls, servername: "elsewhere.example" }]] as const) {
        const refused = await refusal(broker.secure, { tls: options, sasl: credentials });
        t.equal(refused.isFatal, true, `${what}: ${refused.message}`);
      }
      t.equal(await answer(broker.secure, { tls: { rejectUnauthorized: false }, sasl: credentials }), 1, "unless that is switched off");
      t.equal(await answer(broker.mutual, { tls: { ...tls, ...broker.client } }), 1, "the client shows one where it is asked for");
      const without = await refusal(broker.mutual, { tls, connectTimeoutMs: 3_000 });
      t.type(without.message, "string", "and is refused without");
    });

    await t.test(`${wire.name}: TLS on one side only`, async (t) => {
      const clear = await refusal(broker.secure, { sasl: sasl("scram-sha-256"), connectTimeoutMs: 3_000 });
      t.match(clear, { isFatal: true, message: /the broker wants TLS/ });
      const encrypted = await refusal(broker.clear, { tls, sasl: sasl("scram-sha-256"), connectTimeoutMs: 3_000 });
      t.type(encrypted.message, "string");
      const anonymous = await refusal(broker.clear, { connectTimeoutMs: 3_000 });
      t.type(anonymous.message, "string", "no SASL where it is asked for");
    });

    await t.test(`${wire.name}: a connection lost while it authenticates is not a refusal`, async (t) => {
      const proxy = await startCuttingProxy(broker.clear.port);
      t.teardown(() => proxy.close());
      for (const apiKey of [API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE]) {
        for (const at of ["request", "reply"] as const) {
          const before = proxy.fired;
          proxy.arm({ apiKey, at });
          const lost = await refusal({ host: broker.host, port: proxy.port }, { sasl: sasl("scram-sha-256") });
          t.equal(proxy.fired, before + 1, `request ${apiKey}, cut at the ${at}`);
          t.equal(lost.isFatal, false, lost.message);
        }
      }
    });

    await t.test(`${wire.name}: a token's provider that fails is asked again, not given up`, async (t) => {
      const failed = await refusal(broker.secure, { tls, sasl: { mechanism: "oauthbearer", token: () => Promise.reject(new Error("the issuer is away")) } });
      t.match(failed, { isFatal: false, message: /the issuer is away/ });
    });
  }

  await t.test("sessions are prolonged in time, under load", async (t) => {
    await Promise.all(wires.flatMap((wire) => (["scram-sha-256", "oauthbearer"] as const).map(async (mechanism) => {
      const connection = await wire.connect(broker.clear, { ...wireOptions, sasl: sasl(mechanism) });
      t.teardown(() => connection.close());
      const end = Date.now() + 3 * SESSION_MS;
      let asked = 0;
      await Promise.all([1, 2, 3].map(async (member) => {
        while (Date.now() < end) {
          asked += (await connection.metadata([])).brokers.length;
          await sleep(7 * member);
        }
      }));
      t.ok(connection.isOpen && asked > 50, `${wire.name}: ${mechanism}: still open after ${asked} requests in three sessions' time`);
    })));
  });
});

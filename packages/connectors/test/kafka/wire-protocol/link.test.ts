import { stat } from "node:fs";
import t from "tap";
import { WireError } from "../../../src/kafka/wire.ts";
import { Link, refuseSecretsInTheClear } from "../../../src/kafka/wire-protocol/link.ts";

const ADDRESS = { host: "broker", port: 9 };
const never = () => new Promise<never>(() => undefined);

t.test("an answer that came while the process was busy counts, though its time is over", async (t) => {
  const link = new Link(ADDRESS, () => undefined);
  const answer = link.ask("Stat", 1, () => new Promise<string>((resolve) => stat(import.meta.dirname, () => resolve("there"))));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  t.equal(await answer, "there");
  t.ok(link.isOpen);
});

t.test("a request without an answer in time ends the connection and all others on it", async (t) => {
  let destroyed = 0;
  const told: string[] = [];
  const link = new Link(ADDRESS, () => (destroyed += 1));
  link.onClose(() => told.push("first"));
  link.onClose(() => told.push("second"));
  const other = t.rejects(link.ask("Other", 60_000, never), new WireError("broker:9: Slow: no answer within 5 ms"));
  await t.rejects(link.ask("Slow", 5, never), new WireError("broker:9: Slow: no answer within 5 ms"));
  await other;
  link.close("again");
  t.same([destroyed, told, link.isOpen], [1, ["first", "second"], false]);
  let sent = 0;
  await t.rejects(link.ask("Late", 5, async () => (sent += 1)), new WireError("broker:9: Late: the connection is closed"));
  t.equal(sent, 0, "nothing is sent on a closed connection");
});

t.test("a request that cannot even be sent is an error of its own", async (t) => {
  const link = new Link(ADDRESS, () => undefined);
  await t.rejects(link.ask("Bad", 50, () => Promise.reject(new TypeError("not encodable"))), new WireError("broker:9: Bad: not encodable"));
  t.ok(link.isOpen, "the connection stands");
  t.equal(await link.ask("Good", 50, async () => 1), 1);
  link.lost();
});

t.test("secrets do not go over the network in the clear", async (t) => {
  for (const mechanism of ["plain", "oauthbearer"]) {
    for (const host of ["kafka", "10.0.0.1", "127.evil.example", "localhost.example"]) {
      t.throws(() => refuseSecretsInTheClear({ host, port: 1 }, { sasl: { mechanism } }), new WireError(`${host}:1: SASL ${mechanism.toUpperCase()} without TLS would send a secret in the clear`, { isFatal: true }));
    }
    for (const host of ["localhost", "127.0.0.1", "127.1.2.3", "::1"]) t.doesNotThrow(() => refuseSecretsInTheClear({ host, port: 1 }, { sasl: { mechanism } }));
    t.doesNotThrow(() => refuseSecretsInTheClear({ host: "kafka", port: 1 }, { tls: {}, sasl: { mechanism } }));
  }
  t.doesNotThrow(() => refuseSecretsInTheClear({ host: "kafka", port: 1 }, { sasl: { mechanism: "scram-sha-256" } }), "SCRAM sends proofs");
});

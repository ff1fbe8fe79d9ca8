/** A broker with TLS and every mechanism of SASL, with certificates of its own: the ways of `KAFKA_BROKERS` cannot be known, so that this is always our own. */
import { execFile } from "node:child_process";
import { pbkdf2Sync, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Connection, ScramMechanisms, alterUserScramCredentialsV0 } from "@platformatic/kafka";
import { broker, freePort } from "../../../../test/kafka/broker.ts";
import { kafkaDistribution } from "../../../../test/kafka/distribution.ts";
import type { WireAddress } from "../../src/kafka/wire.ts";

const run = promisify(execFile);

export const USER = "alice";
/** With what SASL, JAAS and properties files could trip over. */
export const PASSWORD = "won'der=land, \u00fc";
export const SESSION_MS = 2_500;

/** A certificate with its key, as PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface SecureBroker {
  readonly host: string;
  /** SASL without TLS; sessions end after 2.5 s unless they are prolonged. */
  readonly clear: WireAddress;
  /** SASL over TLS. */
  readonly secure: WireAddress;
  /** TLS that asks for the client's certificate. */
  readonly mutual: WireAddress;
  readonly ca: string;
  /** Signed by nobody known. */
  readonly foreignCa: string;
  readonly client: Certificate;
}

interface TestHandle {
  readonly pass: (name: string, extra: { skip: string }) => unknown;
  readonly teardown: (handler: () => unknown) => unknown;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

async function authority(dir: string, name: string): Promise<string> {
  await run("openssl", ["req", "-x509", ...KEY, "-days", "2", "-subj", `/CN=${name}`, "-keyout", join(dir, `${name}.key`), "-out", join(dir, `${name}.pem`)]);
  return await readFile(join(dir, `${name}.pem`), "utf8");
}

async function certificate(dir: string, name: string, names: string): Promise<Certificate> {
  const at = (ending: string): string => join(dir, `${name}.${ending}`);
  await run("openssl", ["req", ...KEY, "-subj", `/CN=${name}`, "-keyout", at("key"), "-out", at("csr")]);
  await writeFile(at("ext"), `subjectAltName=${names}\n`);
  await run("openssl", ["x509", "-req", "-in", at("csr"), "-CA", join(dir, "authority.pem"), "-CAkey", join(dir, "authority.key"), "-CAcreateserial", "-days", "2", "-extfile", at("ext"), "-out", at("pem")]);
  return { cert: await readFile(at("pem"), "utf8"), key: await readFile(at("key"), "utf8") };
}

const jaas = (module: string, options = ""): string => `org.apache.kafka.common.security.${module} required${options};`;
/** A value of JAAS in a properties file: both have their escapes, and such a file is Latin-1 to Java. */
const quoted = (value: string): string => `"${value.replaceAll(/[^\x20-\x7e]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`)}"`;

function listenerProperties(name: string): Record<string, string> {
  return {
    [`listener.name.${name}.plain.sasl.jaas.config`]: jaas("plain.PlainLoginModule", ` user_${USER}=${quoted(PASSWORD)}`),
    [`listener.name.${name}.scram-sha-256.sasl.jaas.config`]: jaas("scram.ScramLoginModule"),
    [`listener.name.${name}.scram-sha-512.sasl.jaas.config`]: jaas("scram.ScramLoginModule"),
    [`listener.name.${name}.oauthbearer.sasl.jaas.config`]: jaas("oauthbearer.OAuthBearerLoginModule", ' unsecuredLoginStringClaim_sub="broker"'),
  };
}

function tlsProperties(name: string, { cert, key }: Certificate, ca: string): Record<string, string> {
  const inline = (pem: string): string => pem.trim().replaceAll("\n", "\\n");
  return {
    [`listener.name.${name}.ssl.keystore.type`]: "PEM",
    [`listener.name.${name}.ssl.keystore.certificate.chain`]: inline(cert),
    [`listener.name.${name}.ssl.keystore.key`]: inline(key),
    [`listener.name.${name}.ssl.truststore.type`]: "PEM",
    [`listener.name.${name}.ssl.truststore.certificates`]: inline(ca),
  };
}

/** Undefined, after a loud skip, without Java, Maven or openssl. */
export async function secureBroker(t: TestHandle): Promise<SecureBroker | undefined> {
  const distribution = await kafkaDistribution();
  const openssl = await run("openssl", ["version"]).then(() => true, () => false);
  const missing = "missing" in distribution ? distribution.missing : openssl ? undefined : "openssl";
  if ("missing" in distribution || missing !== undefined) {
    process.stderr.write(`SKIPPED: this test needs a Kafka broker with certificates, which needs ${missing}\n`);
    t.pass("a test with Kafka", { skip: `needs ${missing}` });
    return undefined;
  }
  const dir = await mkdtemp(join(tmpdir(), "iot-topology-secure-"));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const ca = await authority(dir, "authority");
  const foreignCa = await authority(dir, "stranger");
  const server = await certificate(dir, "server", "IP:127.0.0.1,DNS:localhost");
  const client = await certificate(dir, "client", "DNS:client");
  const [port, controller, clear, secure, mutual] = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()];
  const listeners = `PLAINTEXT://127.0.0.1:${port},CLEAR://127.0.0.1:${clear},SECURE://127.0.0.1:${secure},MUTUAL://127.0.0.1:${mutual}`;
  const node = broker(distribution, {
    nodeId: 1, dir: join(dir, "1"), port, advertisedPort: port, heapMb: 256, jit: "quick",
    properties: {
      "process.roles": "broker,controller", "node.id": "1", "controller.quorum.voters": `1@127.0.0.1:${controller}`,
      "listeners": `${listeners},CONTROLLER://127.0.0.1:${controller}`, "advertised.listeners": listeners,
      "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLEAR:SASL_PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL",
      "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
      "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
      ...listenerProperties("clear"), ...listenerProperties("secure"), ...tlsProperties("secure", server, ca), ...tlsProperties("mutual", server, ca),
      "listener.name.mutual.ssl.client.auth": "required",
      "listener.name.clear.connections.max.reauth.ms": String(SESSION_MS),
      "auto.create.topics.enable": "false", "offsets.topic.num.partitions": "1", "offsets.topic.replication.factor": "1",
      "num.network.threads": "1", "num.io.threads": "2", "log.cleaner.dedupe.buffer.size": String(16 << 20),
    },
  });
  t.teardown(() => node.kill());
  await node.start();
  await addScramUser(port);
  const host = "127.0.0.1";
  return { host, clear: { host, port: clear }, secure: { host, port: secure }, mutual: { host, port: mutual }, ca, foreignCa, client };
}

/** Users of SCRAM live in the cluster's metadata. */
async function addScramUser(port: number): Promise<void> {
  const connection = new Connection("admin");
  await connection.connect("127.0.0.1", port);
  const upsertions = [[ScramMechanisms.SCRAM_SHA_256, "sha256", 32], [ScramMechanisms.SCRAM_SHA_512, "sha512", 64]] as const;
  for (const [mechanism, digest, byteCount] of upsertions) {
    const salt = randomBytes(16);
    await alterUserScramCredentialsV0.api.async(connection, [], [{ name: USER, mechanism, iterations: 4_096, salt, saltedPassword: pbkdf2Sync(PASSWORD, salt, 4_096, byteCount, digest) }]);
  }
  await connection.close();
}

/** A token that the broker's built-in validator takes: unsigned, for tests only. */
export function unsignedToken(subject: string, secondsLeft = 3_600): string {
  const now = Math.floor(Date.now() / 1_000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ sub: subject, iat: now - 10, exp: now + secondsLeft })}.`;
}

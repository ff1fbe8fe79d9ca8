/** What is asked of a registry, and what is made of its answers, against a server that answers as told. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { schemaRegistry } from "../../src/schema-registry/index.ts";
import type { SchemaRegistryOptions } from "../../src/schema-registry/options.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;
interface Fake {
  readonly url: string;
  readonly seen: { readonly method: string; readonly path: string; readonly headers: IncomingMessage["headers"]; readonly body: string }[];
}

const schema = { type: "avro" as const, text: '"string"' };
const json = (status: number, body: unknown): Answer => (_request, response) => void response.writeHead(status, { "content-type": "application/vnd.schemaregistry.v1+json" }).end(JSON.stringify(body));

async function fake(t: Test, answer: Answer, make: (handler: (request: IncomingMessage, response: ServerResponse) => void) => Server = createServer, scheme = "http"): Promise<Fake> {
  const seen: Fake["seen"] = [];
  const server = make((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString())).on("end", () => {
      seen.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
      answer(request, response, body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const open = (t: Test, options: SchemaRegistryOptions) => {
  const registry = schemaRegistry({ attemptsMax: 2, backoffMs: 1, requestTimeoutMs: 1_000, ...options });
  t.teardown(() => registry.close());
  return registry;
};

t.test("who asks is in each request's headers", async (t) => {
  const server = await fake(t, json(200, { schema: '"string"' }));
  const basic = open(t, { url: server.url, auth: { username: "ada", password: "p:ä" }, clientId: "me" });
  t.same(await basic.schema(7), { type: "avro", text: '"string"' });
  await open(t, { url: `${server.url}/apis/ccompat/v7/`, auth: { token: "abc" } }).schema(8);
  await open(t, { url: server.url }).schema(9);
  t.same(server.seen.map(({ method, path, headers }) => [method, path, headers.authorization]), [
    ["GET", "/schemas/ids/7", `Basic ${Buffer.from("ada:p:ä").toString("base64")}`],
    ["GET", "/apis/ccompat/v7/schemas/ids/8", "Bearer abc"],
    ["GET", "/schemas/ids/9", undefined],
  ]);
  t.match(server.seen[0]?.headers["user-agent"], /me/);
  t.match(server.seen[0]?.headers.accept, /schemaregistry/);
});

t.test("credentials go over TLS or loopback only, and not in the address", (t) => {
  t.throws(() => schemaRegistry({ url: "http://registry.example:8081", auth: { token: "abc" } }), { code: "CONFIG_INVALID", message: /clear text/ });
  t.throws(() => schemaRegistry({ url: "http://ada:secret@127.0.0.1:8081" }), { code: "CONFIG_INVALID", message: /^(?!.*secret)/s });
  for (const url of ["registry:8081", "ftp://x", ""]) t.throws(() => schemaRegistry({ url }), { code: "CONFIG_INVALID" });
  schemaRegistry({ url: "https://registry.example", auth: { token: "abc" } }).close();
  schemaRegistry({ url: "http://registry.example" }).close();
  t.end();
});

t.test("a server's certificate is checked, against the authority given", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "iot-topology-tls-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  try {
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")], { stdio: "ignore" });
  } catch {
    return void t.pass("a TLS server", { skip: "needs openssl" });
  }
  const cert = readFileSync(join(folder, "cert.pem"));
  const server = await fake(t, json(200, { schema: '"string"' }), (handler) => createTlsServer({ cert, key: readFileSync(join(folder, "key.pem")) }, handler), "https");
  t.same(await open(t, { url: server.url, tls: { ca: cert } }).schema(1), { type: "avro", text: '"string"' });
  await t.rejects(open(t, { url: server.url }).schema(1), { code: "REGISTRY_UNREACHABLE", message: /certificate/ });
});

t.test("what may pass is tried again, and what may not is not", async (t) => {
  let failures = 2;
  const shaky = await fake(t, (request, response, body) => (failures-- > 0 ? json(failures === 1 ? 503 : 429, { error_code: 50_001, message: "later" }) : json(200, { id: 5 }))(request, response, body));
  t.equal(await open(t, { url: shaky.url, attemptsMax: 3 }).register("s", schema), 5, "POSTs too: registering twice is registering once");
  t.equal(shaky.seen.length, 3);
  const broken = await fake(t, json(500, { error_code: 50_001, message: "disk" }));
  await t.rejects(open(t, { url: broken.url }).schema(1), { code: "REGISTRY_UNREACHABLE", retriable: true, message: /disk/ });
  t.equal(broken.seen.length, 2, "as often as said");
  const closed = await fake(t, (request) => request.socket.destroy());
  await t.rejects(open(t, { url: closed.url }).schema(1), { code: "REGISTRY_UNREACHABLE", retriable: true, message: /hang up|reset/i });
  const refusing = await fake(t, json(401, { error_code: 401, message: "who are you" }));
  await t.rejects(open(t, { url: refusing.url, auth: { token: "hidden-token" } }).schema(1), { code: "REGISTRY_REFUSED", retriable: false, message: /^(?!.*hidden-token).*who are you/s });
  t.equal(refusing.seen.length, 1);
  await t.rejects(open(t, { url: "http://127.0.0.1:1" }).schema(1), { code: "REGISTRY_UNREACHABLE", message: /ECONNREFUSED/ });
});

t.test("an answer that never ends has a deadline", async (t) => {
  const silent = await fake(t, () => {});
  await t.rejects(open(t, { url: silent.url, requestTimeoutMs: 100 }).schema(1), { code: "REGISTRY_UNREACHABLE", retriable: true });
  const torn = await fake(t, (_request, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": "1000" }).write('{"schema":');
    setTimeout(() => response.socket?.destroy(), 20);
  });
  await t.rejects(open(t, { url: torn.url, requestTimeoutMs: 300 }).schema(1), { code: "REGISTRY_UNREACHABLE", message: /no whole answer/ });
});

t.test("only the registry's own word makes a schema unknown: another server's 404 is a wrong address", async (t) => {
  const registry = await fake(t, json(404, { error_code: 40_403, message: "Schema 7 not found" }));
  t.equal(await open(t, { url: registry.url }).schema(7), undefined);
  for (const answer of [json(404, { error_code: 404, message: "no such page" }), json(404, { message: "not found" }), (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(404, { "content-type": "text/html" }).end("<html>not found</html>"), (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>welcome</html>")] as Answer[]) {
    const other = await fake(t, answer);
    await t.rejects(open(t, { url: other.url }).schema(7), { code: "REGISTRY_REFUSED", cure: /address/ });
  }
});

t.test("schemas go out and come in with their type and what they refer to", async (t) => {
  const references = [{ name: "other.proto", subject: "other", version: 1 }];
  const server = await fake(t, json(200, { id: 3, version: 2, schema: "x", schemaType: "PROTOBUF", references }));
  const registry = open(t, { url: server.url });
  t.same(await registry.latest("a/b c"), { id: 3, version: 2, type: "protobuf", text: "x", references });
  await registry.register("s", { type: "protobuf", text: "x", references });
  await registry.register("s", { type: "json", text: "{}" });
  await registry.register("s", schema);
  await registry.setCompatibility("s", "FULL_TRANSITIVE");
  t.equal(server.seen[0]?.path, "/subjects/a%2Fb%20c/versions/latest");
  t.same(server.seen.slice(1).map(({ body }) => JSON.parse(body) as unknown), [{ schemaType: "PROTOBUF", schema: "x", references }, { schemaType: "JSON", schema: "{}" }, { schema: '"string"' }, { compatibility: "FULL_TRANSITIVE" }]);
  const odd = await fake(t, json(200, { schema: "x", schemaType: "THRIFT" }));
  await t.rejects(open(t, { url: odd.url }).schema(1), { code: "REGISTRY_REFUSED", message: /THRIFT/ });
});

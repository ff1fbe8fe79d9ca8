import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "node:http";
import t from "tap";
import type { InstanceStatus, ProducerRecord } from "@iot-topology/core";
import { Secret } from "../../src/cli/config/secret.ts";
import { openQuery, queryRows, queryText } from "../../src/cli/clickhouse-query.ts";
import { startStatusServer } from "../../src/cli/run/status-server.ts";

const STATUS: InstanceStatus = {
  state: "running",
  topology: "iot",
  version: 1,
  startedAt: 1_767_225_600_000,
  tasks: [{ id: "readings_0", inputs: [{ topic: "iot.readings", partition: 0, position: 10, committed: 10, end: 15, lag: 5 }], commitNumber: 3, streamTime: 1_767_225_600_500, rebuilding: false }],
  counters: { read: 10, deduplicated: 2, filtered: 0, skipped: 0, dropped: {}, late: 1, written: { readings: 7 }, deadLetters: { CAST_FAILED: 1 }, commits: 3 },
  outbox: [{ target: "readings", batches: 1, bytes: 99, delivered: 4, uncertain: 1, lastError: null }],
  windowsOpen: 6,
  failure: null,
};

t.test("the status server", async (t) => {
  let status: InstanceStatus = STATUS;
  let waiting: string[] = [];
  const produced: [string, readonly ProducerRecord[]][] = [];
  const server = await startStatusServer({
    port: 0,
    topology: "iot",
    token: "the-token",
    status: () => status,
    details: () => ({ clickhouse: { url: "http://127.0.0.1:1" } }),
    topics: ["iot.readings"],
    produce: async (topic, records) => void produced.push([topic, records]),
    notReady: () => waiting,
  });
  t.teardown(() => server.close());
  const get = (path: string, headers: Record<string, string> = {}) => fetch(`${server.url}${path}`, { headers });
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/produce`, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), headers: { "content-type": "application/json", authorization: "Bearer the-token", ...headers } });

  await t.test("says that it lives, and whether it is ready, naming what is not", async (t) => {
    t.equal((await get("/livez")).status, 200);
    t.match([(await get("/readyz")).status, await (await get("/readyz")).json()], [200, { ready: true, notReady: [] }]);
    const [task] = STATUS.tasks;
    const [lane] = STATUS.outbox;
    status = { ...STATUS, state: "starting", tasks: task === undefined ? [] : [{ ...task, rebuilding: true }], outbox: lane === undefined ? [] : [{ ...lane, lastError: "does not answer" }] };
    waiting = ["the embedded ClickHouse is being started again"];
    const response = await get("/readyz");
    t.equal(response.status, 503);
    t.strictSame(((await response.json()) as { notReady: string[] }).notReady, [
      "the instance is starting",
      "task readings_0 is being rebuilt from the log",
      "sink readings: does not answer",
      "the embedded ClickHouse is being started again",
    ]);
    status = STATUS;
    waiting = [];
  });

  await t.test("gives metrics with bounded labels", async (t) => {
    const text = await (await get("/metrics")).text();
    for (const line of [
      'iot_topology_process_records_total{topology="iot"} 10',
      'iot_topology_dead_letters_total{code="CAST_FAILED",topology="iot"} 1',
      'iot_topology_records_lag{topic="iot.readings",partition="0",topology="iot"} 5',
      'iot_topology_sink_rows_total{sink="readings",topology="iot"} 7',
      'iot_topology_outbox_batches{sink="readings",topology="iot"} 1',
      'iot_topology_stream_time_seconds{task="readings_0",topology="iot"} 1767225600.5',
    ]) {
      t.match(text, line);
    }
    t.equal(await (await get("/metrics")).text().then((again) => /process_records_total\{[^}]*\} (\d+)/.exec(again)?.[1]), "10", "a second scrape does not add up");
    t.match(await (await get("/status")).json(), { counters: { read: 10 }, clickhouse: { url: "http://127.0.0.1:1" } });
  });

  await t.test("takes records only with the token, for known topics, and not from browsers or under other names", async (t) => {
    const records = [{ key: "AP8=", value: null }, { key: null, value: Buffer.from("x").toString("base64") }];
    t.equal((await post({ topic: "iot.readings", records })).status, 200);
    t.match(produced, [["iot.readings", [{ key: Buffer.from([0, 255]), value: null }, { key: null, value: Buffer.from("x") }]]]);
    for (const [title, body, headers, code] of [
      ["a wrong token", { topic: "iot.readings", records }, { authorization: "Bearer the-tokem" }, 401],
      ["no token", { topic: "iot.readings", records }, { authorization: "" }, 401],
      ["a page of a browser", { topic: "iot.readings", records }, { origin: "http://127.0.0.1" }, 403],
      ["another topic", { topic: "other", records }, {}, 400],
      ["records that are none", { topic: "iot.readings", records: [{ key: 1 }] }, {}, 400],
      ["no records", { topic: "iot.readings" }, {}, 400],
      ["broken JSON", "{", {}, 400],
      ["too much", { topic: "iot.readings", records: [{ key: null, value: "A".repeat(17 << 20) }] }, {}, 413],
    ] as const) {
      t.equal((await post(body, headers)).status, code, title);
    }
    t.equal(produced.length, 1, "nothing else was appended");
    const code = await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(server.url);
      request({ host: hostname, port, path: "/status", headers: { host: "evil.example" } }, (response) => resolve(response.statusCode)).on("error", reject).end();
    });
    t.equal(code, 403, "another host's name");
  });

  await t.test("names a port that is taken", async (t) => {
    const port = Number(new URL(server.url).port);
    const again = startStatusServer({ port, topology: "iot", token: "", status: () => status, details: () => ({}), topics: [], produce: async () => {}, notReady: () => [] });
    await t.rejects(again, { code: "PORT_IN_USE", place: `127.0.0.1:${port}` });
  });
});

t.test("questions to ClickHouse", async (t) => {
  let answer: (body: string, url: URL, headers: Record<string, unknown>) => { status?: number; headers?: Record<string, string>; body: string; cut?: boolean } = () => ({ body: "" });
  const server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
    incoming.on("end", () => {
      const given = answer(body, new URL(incoming.url ?? "", "http://x"), incoming.headers);
      response.writeHead(given.status ?? 200, given.headers ?? {});
      response.write(given.body);
      if (given.cut === true) setImmediate(() => response.destroy());
      else response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  await t.test("send data beside the statement, and keep 64 bits exact", async (t) => {
    let seen: unknown;
    answer = (body, { searchParams }, headers) => {
      seen = { body, id: searchParams.get("param_id"), database: searchParams.get("database"), user: headers["x-clickhouse-user"], key: headers["x-clickhouse-key"] };
      return { body: '{"n":"18446744073709551615"}\n' };
    };
    const rows = await queryRows({ url, database: "iot", username: "u", password: new Secret("p") }, { sql: "SELECT {id:String}", parameters: { id: "a\tb\\'" } });
    t.strictSame(rows, [{ n: "18446744073709551615" }]);
    t.strictSame(seen, { body: "SELECT {id:String}", id: "a\\tb\\\\'", database: "iot", user: "u", key: "p" });
  });

  await t.test("an error of the server comes with its own code", async (t) => {
    answer = () => ({ status: 404, headers: { "x-clickhouse-exception-code": "60" }, body: "Code: 60. DB::Exception: Unknown table expression identifier 'x'. (UNKNOWN_TABLE) (version 26.7.2.1)\n" });
    await t.rejects(openQuery({ url }, { sql: "SELECT x" }), { code: "CLICKHOUSE_REFUSED", message: /^Code: 60\. DB::Exception: Unknown table.*\(UNKNOWN_TABLE\) \(http/ });
    answer = () => ({ status: 403, headers: { "x-clickhouse-exception-code": "516" }, body: "Code: 516. DB::Exception: Authentication failed" });
    await t.rejects(openQuery({ url }, { sql: "SELECT x" }), { code: "CLICKHOUSE_REFUSED", cure: /clickhouse\.username/ });
  });

  await t.test("an error behind rows is found by its tag, a broken connection by its end, and data that looks like an error is data", async (t) => {
    const block = "\r\n__exception__\r\nabcdef\r\nCode: 395. DB::Exception: it threw\n30 abcdef\r\n__exception__\r\n";
    answer = () => ({ headers: { "x-clickhouse-exception-tag": "abcdef" }, body: `1\n2\n${block}` });
    await t.rejects(queryText({ url }, { sql: "" }), { code: "CLICKHOUSE_REFUSED", message: /^Code: 395\. DB::Exception: it threw/ });
    answer = () => ({ headers: { "x-clickhouse-exception-tag": "fedcba" }, body: `1\n2\n${block}` });
    t.match(await queryText({ url }, { sql: "" }), "it threw");
    answer = () => ({ body: "1\n2\n", headers: { "content-length": "1000" }, cut: true });
    await t.rejects(queryText({ url }, { sql: "" }), { code: "CLICKHOUSE_REFUSED", message: /broke off/ });
  });

  await t.test("a server that is not there is named", async (t) => {
    await t.rejects(openQuery({ url: "http://127.0.0.1:1" }, { sql: "SELECT 1" }), { code: "CLICKHOUSE_UNREACHABLE", retriable: true, place: "http://127.0.0.1:1" });
  });
});

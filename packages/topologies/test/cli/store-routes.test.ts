import { request } from "node:http";
import t from "tap";
import { type InstanceStatus, makeCounters, TopologyError } from "@iot-topology/core";
import { startStatusServer, type StatusServerOptions } from "../../src/cli/run/status-server.ts";
import { statusLines } from "../../src/cli/run/live-status.ts";
import type { Stores } from "../../src/cli/run/store-routes.ts";

const STATUS: InstanceStatus = {
  state: "running", topology: "iot", version: 1, startedAt: 0, tasks: [], counters: { ...makeCounters(), commits: 0 }, outbox: [], windowsOpen: 0, failure: null,
  cluster: {
    memberId: "m", generation: 3, rebalances: 2, standby: ["x_1"], restoring: [{ id: "x_2", position: 10, end: 40 }], abortedTransactions: 1, fencedTasks: 4,
    hangingTransactions: [{ transactionalId: "other", startedAt: 0, partitions: ["in-0"] }], owners: { x_0: null, x_1: null, x_2: null },
  },
};

const serve = (t: { teardown(end: () => Promise<void>): void }, more: Partial<StatusServerOptions>) =>
  startStatusServer({ port: 0, topology: "iot", token: "the-token", status: () => STATUS, details: () => ({}), topics: [], produce: async () => {}, notReady: () => [], ...more }).then((server) => {
    t.teardown(() => server.close());
    return server;
  });

/** Holds key d1 itself, says that `elsewhere` holds d2, knows nobody for d3, and that either of two may hold d4. */
function stores(elsewhere: () => string): Stores {
  const refuse = (message: string) => new TopologyError("STORE_ELSEWHERE", message, { retriable: true });
  const known = (store: string) => {
    if (store !== "windows") throw new TopologyError("STORE_NOT_FOUND", `there is no store ${JSON.stringify(store)}`, { cure: "ask windows" });
  };
  return {
    stores: () => [{ name: "windows", kind: "window", keyFields: ["device", "metric"], windowMs: 60_000, askedBy: "fields" }],
    store: () => {
      throw new Error("there is no store that is asked by key");
    },
    locate(store, { device }) {
      known(store);
      if (device === "d4") return [{ task: "x_0", isLocal: true, url: null }, { task: "x_1", isLocal: false, url: elsewhere() }];
      return [{ task: "x_0", isLocal: device === "d1", url: device === "d2" ? elsewhere() : null }];
    },
    query(store, key, range) {
      known(store);
      if (key["device"] !== "d1") throw refuse("it does not run here");
      return [{ ...key, n: 18_446_744_073_709_551_615n, from: range?.from ?? null, to: range?.to ?? null }];
    },
  };
}

t.test("a store is asked by its key's fields, and 64-bit numbers stay exact", async (t) => {
  const { url } = await serve(t, { stores: () => stores(() => "http://127.0.0.1:1") });
  const get = async (path: string) => {
    const response = await fetch(`${url}${path}`, { redirect: "manual" });
    return { status: response.status, location: response.headers.get("location"), retryAfter: response.headers.get("retry-after"), body: response.status === 307 ? undefined : ((await response.json()) as object) };
  };
  t.match(await get("/stores"), { status: 200, body: { stores: [{ name: "windows", keyFields: ["device", "metric"] }] } });
  t.match(await get("/stores/windows/keys/d1,temp"), { status: 200, body: { store: "windows", key: { device: "d1", metric: "temp" }, rows: [{ n: "18446744073709551615", from: null }] } });
  t.match(await get("/stores/windows/keys/-?device=d1&metric=a%2Cb&from=2026-01-01T00:00:00Z&to=1767225600500"), { status: 200, body: { rows: [{ metric: "a,b", from: 1_767_225_600_000, to: 1_767_225_600_500 }] } });
  t.match(await get("/stores/windows/locate/d2,x"), { status: 200, body: { locations: [{ task: "x_0", isLocal: false, url: "http://127.0.0.1:1" }] } });
  t.match(await get("/stores/windows/keys/d1"), { status: 400, body: { error: { code: "USAGE", message: /1 field instead of 2[^]*give device,metric/ } } });
  t.match(await get("/stores/windows/keys/d1,x?from=soon"), { status: 400, body: { error: { message: /from=soon is no time/ } } });
  t.match(await get("/stores/other/keys/d1"), { status: 404, body: { error: { code: "STORE_NOT_FOUND" } } });
  t.match(await get("/stores/windows/keys/d2,x?from=5"), { status: 307, location: "http://127.0.0.1:1/stores/windows/keys/d2,x?from=5&hops=1" });
  t.match(await get("/stores/windows/keys/d2,x?hops=2"), { status: 503, location: null }, "two that take each other for the owner do not pass it on for ever");
  t.match(await get("/stores/windows/keys/d3,x"), { status: 503, retryAfter: "1", body: { error: { code: "STORE_ELSEWHERE" } } }, "while a task moves nobody has it");
  t.match(await get("/stores/windows/keys/d4,x"), { status: 503, body: { locations: [{ task: "x_0" }, { task: "x_1" }] } }, "one answer cannot stand for several tasks");
});

t.test("a store that is asked by key answers rows, windows, versions and ranges", async (t) => {
  const asked: unknown[] = [];
  const info = (name: string, kind: "key-value" | "session" | "versioned") => ({ name, kind, keyFields: ["key"], windowMs: null, askedBy: "key" as const });
  async function* many(...all: readonly unknown[]): AsyncGenerator<{ readonly key: string; readonly value: unknown }, void> {
    asked.push(all);
    for (let n = 0; n < 300; n++) yield await Promise.resolve({ key: `k${n}`, value: n });
  }
  const { url } = await serve(t, {
    stores: () => ({
      ...stores(() => ""),
      stores: () => [info("table", "key-value"), info("visits", "session"), info("prices", "versioned")],
      locate: () => [{ task: "x_0", isLocal: false, url: null }],
      store: (name) => {
        if (name === "other") throw new TopologyError("STORE_NOT_FOUND", "no store");
        return {
          row: (key, asOf) => (key === "away" ? Promise.reject(new TopologyError("STORE_ELSEWHERE", "not here", { retriable: true })) : Promise.resolve(key === "none" ? undefined : { key, value: 5n, timestamp: asOf ?? 1 })),
          rows: many,
          windows: many,
        };
      },
    }),
  });
  const get = async (path: string) => {
    const response = await fetch(`${url}/stores/${path}`);
    return { status: response.status, body: (await response.json()) as { rows: unknown[] } };
  };
  t.match(await get("table/keys/a%2Cb"), { status: 200, body: { key: { key: "a,b" }, rows: [{ key: "a,b", value: "5", timestamp: 1 }] } });
  t.match(await get("table/keys/-?key=c"), { status: 200, body: { rows: [{ key: "c" }] } });
  t.same((await get("table/keys/none")).body.rows, []);
  t.match(await get("prices/keys/a?asOf=1970-01-01T00:00:07Z"), { body: { rows: [{ timestamp: 7_000 }] } });
  t.match(await get("table/keys/away"), { status: 503, body: { error: { code: "STORE_ELSEWHERE" } } });
  t.equal((await get("visits/keys/a?from=5&to=9")).body.rows.length, 100);
  t.equal((await get("table/range?from=a&below=b&reverse=true&limit=7")).body.rows.length, 7);
  t.equal((await get("table/range?prefix=a")).body.rows.length, 100);
  t.same(asked, [["a", 5, 9], [{ from: "a", below: "b", reverse: true, limit: 7 }], [{ from: "a", below: "a\u{10ffff}", reverse: false, limit: 100 }]]);
  t.match(await get("table/range?limit=0"), { status: 400, body: { error: { code: "USAGE", message: /1 to 10000/ } } });
  t.match(await get("other/range"), { status: 404 });
});

t.test("a redirect leads to the instance that answers", async (t) => {
  const owner = await serve(t, { stores: () => ({ ...stores(() => ""), query: (_, key) => [{ ...key, answeredBy: "owner" }] }) });
  const other = await serve(t, { stores: () => stores(() => owner.url) });
  t.match(await (await fetch(`${other.url}/stores/windows/keys/d2,x`)).json(), { rows: [{ device: "d2", answeredBy: "owner" }] });
});

t.test("beyond this machine everything but the probes needs the token, and there must be one that others can know", async (t) => {
  const wide = { host: "0.0.0.0", hasOwnToken: true };
  await t.rejects(serve(t, { host: "0.0.0.0" }), { code: "CONFIG_INVALID", message: /open to everyone who can reach 0\.0\.0\.0/ });
  const { url, publicUrl } = await serve(t, { ...wide, stores: () => stores(() => ""), replay: async () => ({}) });
  t.match(publicUrl, /^http:\/\/[^/]+:\d+$/);
  t.notMatch(publicUrl, "0.0.0.0");
  const status = async (path: string, token?: string, method = "GET") => (await fetch(`${url}${path}`, { method, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })).status;
  t.same(await Promise.all(["/livez", "/readyz", "/status", "/metrics", "/stores", "/stores/windows/keys/d1,x"].map((path) => status(path))), [200, 503, 401, 401, 401, 401]);
  t.same(await Promise.all(["/status", "/metrics", "/stores", "/stores/windows/keys/d1,x"].map((path) => status(path, "the-token"))), [200, 200, 200, 200]);
  t.equal(await status("/status", "the-tokem"), 401);
  t.equal(await status("/livez/../status"), 401);
  t.equal(await status("/replay", "the-token", "POST"), 404, "files of this machine are not for others");
  const named = await new Promise((resolve, reject) => {
    const { port } = new URL(url);
    request({ host: "127.0.0.1", port, path: "/status", headers: { host: "pod-0.example", authorization: "Bearer the-token" } }, (response) => resolve(response.statusCode)).on("error", reject).end();
  });
  t.equal(named, 200, "under whatever name it is reached");
});

t.test("a file is read for whoever has the token, and nothing else that stands in the request", async (t) => {
  const asked: unknown[] = [];
  const { url } = await serve(t, { replay: async (input, again) => (asked.push([input, again]), { records: 7 }) });
  const post = (body: object, token = "the-token") => fetch(`${url}/replay`, { method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${token}` }, body: JSON.stringify(body) });
  t.match(await (await post({ path: "/a", format: "replay", again: true })).json(), { records: 7 });
  t.match(asked, [[{ path: "/a", format: "replay" }, true]]);
  t.same(await Promise.all([post({ path: "/a", format: "replay" }, "x"), post({}), post({ path: 1, format: "replay" }), post({ path: "/a", format: "ndjson" }), post({ path: "/a", format: "bin" })].map(async (answer) => (await answer).status)), [401, 400, 400, 400, 400]);
  t.equal(asked.length, 1);
});

t.test("the group shows in metrics and readiness", async (t) => {
  const { url } = await serve(t, {});
  const text = await (await fetch(`${url}/metrics`)).text();
  for (const line of ['restore_active{task="x_2",topology="iot"} 1', 'restore_remaining_records{task="x_2",topology="iot"} 30', 'standby_tasks{topology="iot"} 1', 'group_tasks{topology="iot"} 3', 'rebalance_total{topology="iot"} 2', 'aborted_transactions_total{topology="iot"} 1', 'fenced_tasks_total{topology="iot"} 4', 'hanging_transactions{topology="iot"} 1']) {
    t.match(text, `iot_topology_${line}`);
  }
  t.match(await (await fetch(`${url}/readyz`)).json(), { ready: false, notReady: ["task x_2 is being restored: 10 of 40"] });
});

t.test("the terminal shows a process' share, and how far stores are that are being restored", async (t) => {
  const lines = statusLines(STATUS, 0, { color: false }, 200);
  t.match(lines[0], /^tasks +0 of 3 {3}standby 1 {3}restoring x_2 25 % {3}HANGING: other$/);
  const { cluster: _, ...embedded } = STATUS;
  t.notMatch(statusLines(embedded, 0, { color: false }, 200).join("\n"), "tasks");
});

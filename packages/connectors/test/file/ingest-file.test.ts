import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { TopologyError, systemClock } from "@iot-topology/core";
import type { LogRecord } from "@iot-topology/core";
import { readPartition } from "@iot-topology/core/testing";
import { openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import type { EmbeddedLog } from "@iot-topology/connectors/embedded-log";
import { ingestFile } from "@iot-topology/connectors/file";

const root = mkdtempSync(join(tmpdir(), "iot-file-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
let names = 0;
const newPath = (): string => join(root, String(names++));

async function openLog(dir = newPath()): Promise<EmbeddedLog> {
  const log = await openEmbeddedLog({ dir });
  for (const topic of ["a", "b"]) await log.ensureTopic(topic, { partitions: 1 });
  return log;
}
const recordsOf = (log: EmbeddedLog, topic = "a"): Promise<LogRecord[]> => readPartition(log, topic, 0);
const valuesOf = async (log: EmbeddedLog, topic = "a"): Promise<(string | null)[]> => (await recordsOf(log, topic)).map(({ value }) => value?.toString() ?? null);
const textFile = (content: string | Buffer): string => {
  const path = newPath();
  writeFileSync(path, content);
  return path;
};
async function failureOf(work: Promise<unknown>): Promise<TopologyError> {
  const error = await work.then(() => undefined, (cause: unknown) => cause);
  if (error instanceof TopologyError) return error;
  throw new Error(`a TopologyError was due, not ${String(error)}`);
}
const envelope = (payload: string | null, extra: object = {}): string => `${JSON.stringify({ topic: "a", key: "k", ts: 5, payload, ...extra })}\n`;

t.test("each line of the replay format is a record with its topic, key, timestamp, headers and payload", async (t) => {
  const log = await openLog();
  const path = textFile(
    `\ufeff${envelope("one")}\r\n\n${envelope(null, { partition: 7, offset: 99, tstype: "create", broker: 1, headers: ["h", "v", "h", null] })}` +
      `${envelope("ünï", { key: null, topic: "b" })}{"topic":"b","ts":-1,"payload":"no key, no time"}\r\n{"topic":"a","key":"last","ts":9,"payload":"no newline"}`,
  );
  const result = await ingestFile({ path, format: "replay", log, clock: { ...systemClock, now: () => 777 } });
  t.match(result, { status: "new", records: 5, bytesRead: readFileSync(path).length, finished: true });
  const a = await recordsOf(log);
  t.strictSame(a.map(({ key, value, timestamp }) => [key?.toString(), value?.toString(), timestamp]), [["k", "one", 5], ["k", undefined, 5], ["last", "no newline", 9]]);
  t.strictSame(a[1]?.headers.map(({ key, value }) => [key, value?.toString()]), [["h", "v"], ["h", undefined]]);
  t.strictSame((await recordsOf(log, "b")).map(({ key, value, timestamp }) => [key, value?.toString(), timestamp]), [[null, "ünï", 5], [null, "no key, no time", 777]]);
  await log.close();
});

t.test("bytes that are not UTF-8 come through, escapes beside them as their UTF-8, and a lone surrogate as U+FFFD", async (t) => {
  const log = await openLog();
  const raw = Buffer.concat([Buffer.from('{"topic":"a","key":"k\\u00e9","ts":1,"payload":"'), Buffer.from([0xff, 0xc3, 0x28]), Buffer.from('\\u20ac\\ud83d\\ude00\\\\u0041\\"ü"}\n')]);
  const path = textFile(Buffer.concat([raw, Buffer.from('{"topic":"a","key":"x","ts":1,"payload":"\\ud800"}\n')]));
  await ingestFile({ path, format: "replay", log });
  const [first, second] = await recordsOf(log);
  t.strictSame(first?.value, Buffer.concat([Buffer.from([0xff, 0xc3, 0x28]), Buffer.from('€😀\\u0041"ü')]));
  t.equal(first?.key?.toString(), "ké");
  t.equal(second?.value?.toString(), "\ufffd");
  await log.close();
});

t.test("a malformed line is named, what stands before it is in the log, and the corrected file goes on from there", async (t) => {
  const bad = ["not json", "[]", '{"payload":"x"}', '{"topic":"a","key":1,"payload":"x"}', '{"topic":"a"}', '{"topic":"a","payload":{}}', '{"topic":"a","payload":"x","ts":"soon"}', '{"topic":"a","payload":"x","headers":["odd"]}', '{"topic":"a","payload":"torn'];
  for (const line of bad) {
    const log = await openLog();
    const path = textFile(`${envelope("1")}${envelope("2")}${line}\n${envelope("4")}`);
    const error = await failureOf(ingestFile({ path, format: "replay", log }));
    t.equal(error.code, "FILE_INVALID", line);
    t.equal(error.place, `${path}:3`);
    t.ok((error.cure ?? "").length > 0);
    t.strictSame(await valuesOf(log), ["1", "2"]);
    writeFileSync(path, `${envelope("1")}${envelope("2")}${envelope("3")}${envelope("4")}`);
    t.match(await ingestFile({ path, format: "replay", log }), { status: "continued", records: 2 });
    t.strictSame(await valuesOf(log), ["1", "2", "3", "4"]);
    await log.close();
  }
  const log = await openLog();
  const error = await failureOf(ingestFile({ path: textFile(`${envelope("1")}${envelope("2", { topic: "nowhere" })}`), format: "replay", log }));
  t.equal(error.code, "TOPIC_NOT_FOUND");
  t.match(error.place, /:2$/);
  t.strictSame(await valuesOf(log), ["1"]);
  await log.close();
});

t.test("the same content adds nothing, grown content goes on, other content is read anew, and again forces", async (t) => {
  const dir = newPath();
  let log = await openLog(dir);
  const path = textFile("1\n2\n3\n");
  const options = { path, format: "ndjson", topic: "a" } as const;
  t.match(await ingestFile({ ...options, log }), { status: "new", records: 3, finished: true });
  t.match(await ingestFile({ ...options, log }), { status: "unchanged", records: 0 });
  const elsewhere = newPath();
  copyFileSync(path, elsewhere);
  t.match(await ingestFile({ ...options, path: elsewhere, log }), { status: "unchanged", records: 0 }, "under another path too");
  await log.close();
  log = await openLog(dir);
  appendFileSync(path, "4\n5");
  t.match(await ingestFile({ ...options, log }), { status: "continued", records: 2 }, "after reopening too");
  appendFileSync(path, "\n6\n");
  t.match(await ingestFile({ ...options, log }), { status: "continued", records: 1 });
  t.strictSame(await valuesOf(log), ["1", "2", "3", "4", "5", "6"]);
  t.match(await ingestFile({ ...options, topic: "b", log }), { status: "new", records: 6 }, "into another topic it is another source");
  writeFileSync(path, "9\n2\n3\n");
  t.match(await ingestFile({ ...options, log }), { status: "changed", records: 3 });
  t.match(await ingestFile({ ...options, log }), { status: "unchanged", records: 0 });
  t.match(await ingestFile({ ...options, log, again: true }), { status: "again", records: 3 });
  t.match(await ingestFile({ ...options, log, again: true }), { status: "again", records: 3 }, "each time");
  t.match(await ingestFile({ ...options, log }), { status: "unchanged", records: 0 });
  t.strictSame(await valuesOf(log), ["1", "2", "3", "4", "5", "6", "9", "2", "3", "9", "2", "3", "9", "2", "3"]);
  const [first, second] = await Promise.all([ingestFile({ ...options, path: textFile("x\n"), log }), ingestFile({ ...options, path: textFile("x\n"), log })]);
  t.strictSame([first.status, second.status], ["new", "unchanged"], "two readings at once do not double a file");
  t.match(await ingestFile({ ...options, path: textFile(""), log }), { status: "new", records: 0, bytesRead: 0, finished: true });
  await log.close();
});

t.test("NDJSON lines are values byte for byte, with key and timestamp from their fields", async (t) => {
  const log = await openLog();
  const lines = [Buffer.from('{ "id" : "d1", "at": 1500 }'), Buffer.from('{"id":7,"at":"2026-01-01T00:00:00Z"}'), Buffer.from([0x7b, 0xff, 0x7d]), Buffer.from("not json"), Buffer.from('{"id":null,"at":"whenever"}'), Buffer.from('{"id":"é","at":"123"}\r')];
  const path = textFile(Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")])));
  await ingestFile({ path, format: "ndjson", topic: "a", key: "id", timestamp: "at", log, clock: { ...systemClock, now: () => 42 } });
  const found = await recordsOf(log);
  t.strictSame(found.map(({ value }) => value), [...lines.slice(0, 5), (lines[5] as Buffer).subarray(0, -1)]);
  t.strictSame(found.map(({ key }) => key?.toString()), ["d1", "7", undefined, undefined, undefined, "é"]);
  t.strictSame(found.map(({ timestamp }) => timestamp), [1_500, Date.UTC(2026, 0, 1), 42, 42, 42, 123]);
  await log.close();
});

t.test("CSV rows are JSON objects of texts by the header's names, and go on where they ended", async (t) => {
  const log = await openLog();
  const path = textFile(Buffer.concat([Buffer.from('\ufeffid,"näme, full",at\r\nd1,"a ""q"" ü\nline",1500\r\n\r\nd2,'), Buffer.from([0xff]), Buffer.from(",\nd3,only two\nd4,a,b,c\n")]));
  const options = { path, format: "csv", topic: "a", key: "id", timestamp: "at", log, clock: { ...systemClock, now: () => 42 } } as const;
  t.match(await ingestFile(options), { status: "new", records: 4 });
  appendFileSync(path, "d5,é,7");
  t.match(await ingestFile(options), { status: "continued", records: 1 });
  t.match(await ingestFile(options), { status: "unchanged", records: 0, bytesRead: readFileSync(path).length });
  const found = await recordsOf(log);
  t.strictSame(JSON.parse(found[0]?.value?.toString() ?? ""), { id: "d1", "näme, full": 'a "q" ü\nline', at: "1500" });
  t.strictSame(found[1]?.value, Buffer.concat([Buffer.from('{"id":"d2","näme, full":"'), Buffer.from([0xff]), Buffer.from('","at":""}')]), "invalid UTF-8 is left to the cast");
  t.strictSame(found.slice(2, 4).map(({ value }) => value?.toString()), ["d3,only two", "d4,a,b,c"], "a row that does not fit the header is left to the cast");
  t.strictSame(JSON.parse(found[4]?.value?.toString() ?? ""), { id: "d5", "näme, full": "é", at: "7" });
  t.strictSame(found.map(({ key }) => key?.toString()), ["d1", "d2", undefined, undefined, "d5"]);
  t.strictSame(found.map(({ timestamp }) => timestamp), [1_500, 42, 42, 42, 7]);

  const cases: [string, RegExp, RegExp][] = [["a,a\n1,2\n", /stands twice/, /:1$/], ["a,id\n1,2\n", /no column "at"/, /:1$/], ['id,at\n1,2\n3,"open\n', /line 3/, /:\d+$/], ['id,at\n1,2\n3,"x"y\n', /Quote/, /:3$/]];
  for (const [content, message, place] of cases) {
    const error = await failureOf(ingestFile({ ...options, path: textFile(content) }));
    t.equal(error.code, "FILE_INVALID", content);
    t.match(error.message, message);
    t.match(error.place, place);
  }
  await log.close();
});

t.test("files that cannot be read are named", async (t) => {
  const log = await openLog();
  t.equal((await failureOf(ingestFile({ path: join(root, "none"), format: "replay", log }))).code, "FILE_NOT_FOUND");
  t.equal((await failureOf(ingestFile({ path: root, format: "replay", log }))).code, "FILE_INVALID");
  t.equal((await failureOf(ingestFile({ path: textFile(""), format: "csv", log }))).code, "USAGE");
  const large = await failureOf(ingestFile({ path: textFile(`1\n${"x".repeat(log.maxRecordBytes)}\n`), format: "ndjson", topic: "a", log }));
  t.equal(large.code, "FILE_INVALID");
  t.match(large.place, /:2$/);
  t.strictSame(await valuesOf(log), ["1"]);
  await log.close();
});

t.test("a signal stops between groups, progress is told, and the next reading goes on", async (t) => {
  const log = await openLog();
  const lines = 60_000;
  const path = textFile(Array.from({ length: lines }, (_, index) => `{"n":${index},"pad":"${"x".repeat(60)}"}\n`).join(""));
  const abort = new AbortController();
  const told: number[] = [];
  const stopped = await ingestFile({ path, format: "ndjson", topic: "a", log, signal: abort.signal, onProgress: ({ records, bytesRead, bytesTotal }) => {
    told.push(records);
    t.ok(bytesRead <= bytesTotal);
    if (records > 0) abort.abort();
  } });
  t.equal(stopped.finished, false);
  t.ok(stopped.records > 0 && stopped.records < lines, `${stopped.records} of ${lines}`);
  t.equal((await recordsOf(log)).length, stopped.records);
  t.equal(told.at(-1), stopped.records);
  const rest = await ingestFile({ path, format: "ndjson", topic: "a", log });
  t.match(rest, { status: "continued", records: lines - stopped.records, finished: true });
  const found = await valuesOf(log);
  t.ok(found.every((value, index) => value?.startsWith(`{"n":${index},`) === true) && found.length === lines, "each line once, in order");
  await log.close();
});

t.test("kill -9 at any step and any format loses and doubles nothing, again included", { timeout: 120_000 }, async (t) => {
  const lines = 25_000;
  const contents = {
    replay: Array.from({ length: lines }, (_, index) => envelope(`${index}:${"y".repeat(40)}`, { topic: index % 3 === 0 ? "b" : "a" })).join(""),
    csv: `n,pad\n${Array.from({ length: lines }, (_, index) => `${index},"${"y".repeat(40)}"`).join("\n")}`,
  };
  for (const [format, content] of Object.entries(contents)) {
    const dir = newPath();
    const path = textFile(content);
    await (await openLog(dir)).close();
    const run = async (failpoints: string, again: boolean): Promise<string | null> => {
      const script = `import { armFailpoints } from "@iot-topology/core";
        import { openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
        import { ingestFile } from "@iot-topology/connectors/file";
        armFailpoints(${JSON.stringify(failpoints)});
        const log = await openEmbeddedLog({ dir: ${JSON.stringify(dir)} });
        await ingestFile({ path: ${JSON.stringify(path)}, format: ${JSON.stringify(format)}, topic: "a", again: ${String(again)}, log });
        await log.close();`;
      const child = spawn(process.execPath, ["--conditions=@iot-topology/source", "--input-type=module", "-e", script], { cwd: import.meta.dirname, stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const [, signal] = (await once(child, "exit")) as [number | null, string | null];
      if (signal === null && said !== "") throw new Error(said);
      return signal;
    };
    for (const again of [false, true]) {
      for (const failpoints of ["ingest.before-append=1", "ingest.after-append=1", "ingest.before-append=2", "ingest.after-append=1"]) {
        if (!again || failpoints !== "ingest.before-append=2") t.equal(await run(failpoints, again), "SIGKILL", `${failpoints} fired`);
      }
      t.equal(await run("none", again), null);
      const log = await openLog(dir);
      const expected = Array.from({ length: lines }, (_, index) => String(index));
      const found = [...(await valuesOf(log)), ...(await valuesOf(log, "b"))].map((value) => /\d+/.exec(value ?? "")?.[0] ?? "");
      const times = again ? 2 : 1;
      t.equal(found.length, lines * times, `${format}: each line ${times} times`);
      const counts = new Map<string, number>();
      for (const value of found) counts.set(value, (counts.get(value) ?? 0) + 1);
      t.ok(expected.every((value) => counts.get(value) === times));
      await log.close();
    }
  }
});

const shared = join(import.meta.dirname, "../../../../../shared/data/iot/replay.ndjson");
t.test("the recorded replay goes into the log once", { skip: existsSync(shared) ? false : "the recorded data is not beside this repository" }, async (t) => {
  const log = await openEmbeddedLog({ dir: newPath() });
  for (const topic of ["iot.readings", "iot.entities"]) await log.ensureTopic(topic, { partitions: 1 });
  const result = await ingestFile({ path: shared, format: "replay", log });
  t.match(result, { status: "new", records: 19_831, finished: true });
  t.strictSame(log.stats().map(({ partitions }) => partitions[0]?.end), [19_797, 34]);
  t.match(await ingestFile({ path: shared, format: "replay", log }), { status: "unchanged", records: 0 });
  await log.close();
});

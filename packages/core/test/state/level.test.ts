import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import t from "tap";
import { TopologyError } from "../../src/model/index.ts";
import { crc32c, maskedCrc32c, unmaskedCrc32c } from "../../src/state/crc32c.ts";
import { verifyLevelFolder } from "../../src/state/level-verify.ts";
import { openLevel } from "../../src/state/level.ts";
import { openValue, sealedValue, sealValueInPlace } from "../../src/state/sealed.ts";
import type { Level } from "../../src/state/level.ts";

const root = mkdtempSync(join(tmpdir(), "iot-level-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
const seed = Number(process.env["SEED"] ?? 20_261_121);
t.comment(`seed ${seed}`);

/** A small generator with a seed (mulberry32). */
function randomOf(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below;
  };
}

async function contentOf(level: Level): Promise<string[]> {
  const lines: string[] = [];
  for await (const [key, value] of level.entries({})) lines.push(`${key.toString("hex")} ${value.length} ${crc32(value)}`);
  return lines;
}

async function failureOf(work: Promise<unknown>): Promise<TopologyError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof TopologyError) return error;
    throw error;
  }
  throw new Error("it should have failed");
}

const BATCHES = 60;
/** A folder with several tables and a log that holds the last batches. */
async function makeFolder(dir: string, writeBufferBytes = 1 << 16): Promise<string[]> {
  const random = randomOf(seed);
  const level = await openLevel(dir, { writeBufferBytes, maxFileBytes: 1 << 20 });
  for (let number = 0; number < BATCHES; number++) {
    const batch = level.newBatch();
    for (let index = 0; index < 40; index++) {
      const key = Buffer.from(`${String(number).padStart(4, "0")}/${String(index).padStart(4, "0")}`);
      const payload = Buffer.alloc(Math.floor(random(index === 7 && number < BATCHES - 5 ? 60_000 : 300)), `${number}.${index}.`);
      batch.put(key, sealedValue(key, payload));
    }
    await level.write(batch, { sync: number % 10 === 0 });
  }
  const content = await contentOf(level);
  await level.close();
  return content;
}

t.test("crc32c gives the published values for any alignment and length", async (t) => {
  t.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  t.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  t.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => (index * 37) & 255));
  for (let start = 0; start < 20; start++) {
    for (let end = start; end < 300; end += 23) {
      let bit = ~0;
      for (let at = start; at < end; at++) {
        bit ^= bytes[at] as number;
        for (let turn = 0; turn < 8; turn++) bit = (bit & 1) === 0 ? bit >>> 1 : (bit >>> 1) ^ 0x82f63b78;
      }
      if (crc32c(bytes, start, end) !== ~bit >>> 0) t.fail(`crc32c of [${start}, ${end})`);
    }
  }
  const split = crc32c(bytes, 100, 300, crc32c(bytes, 0, 100));
  t.equal(split, crc32c(bytes), "continues from a CRC");
  t.equal(unmaskedCrc32c(maskedCrc32c(split)), split);
});

t.test("a sealed value opens with its key only, and not with a bit changed", async (t) => {
  const key = Buffer.from("key");
  const payload = Buffer.from("payload");
  const stored = sealedValue(key, payload);
  t.same(openValue(key, stored), payload);
  t.same(sealValueInPlace(key, Buffer.concat([payload, Buffer.alloc(4)])), stored);
  t.equal(openValue(Buffer.from("kez"), stored), undefined);
  for (let bit = 0; bit < stored.length * 8; bit++) {
    const flipped = Buffer.from(stored);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    t.equal(openValue(key, flipped), undefined);
  }
  t.equal(openValue(key, Buffer.alloc(3)), undefined);
});

t.test("a batch is written whole, ranges are in byte order, and all of it is there after reopening", async (t) => {
  const dir = join(root, "plain");
  let level = await openLevel(dir);
  const batch = level.newBatch();
  for (const name of ["b", "a", "d", "c"]) batch.put(Buffer.from(name), Buffer.from(name.toUpperCase()));
  t.equal(batch.count, 4);
  t.equal(batch.bytes, 8);
  await level.write(batch, { sync: true });
  const second = level.newBatch();
  second.del(Buffer.from("c"));
  second.put(Buffer.from("e"), Buffer.alloc(0));
  await level.write(second, { sync: false });
  await level.write(level.newBatch(), { sync: true });
  await level.close();
  await level.close();
  t.notOk(existsSync(join(dir, "owner.json")), "the note of the owner goes with it");

  level = await openLevel(dir, { createIfMissing: false });
  const names = async (range: Parameters<Level["entries"]>[0]): Promise<string> => {
    let all = "";
    for await (const key of level.keys(range)) all += key.toString();
    return all;
  };
  t.equal(await names({}), "abde");
  t.equal(await names({ gt: Buffer.from("a"), lt: Buffer.from("e") }), "bd");
  t.equal(await names({ gte: Buffer.from("b"), lte: Buffer.from("e"), reverse: true, limit: 2 }), "ed");
  t.equal(level.getSync(Buffer.from("b"))?.toString(), "B");
  t.equal(level.getSync(Buffer.from("e"))?.length, 0);
  t.equal(level.getSync(Buffer.from("c")), undefined);
  await level.clearRange({ gte: Buffer.from("b"), lte: Buffer.from("d") });
  await level.compact(Buffer.from("a"), Buffer.from("f"));
  t.equal(await names({}), "ae");
  await level.close();
});

t.test("a folder that is open is refused with its owner's pid, and not touched", async (t) => {
  const dir = join(root, "shared");
  const level = await openLevel(dir);
  const here = await failureOf(openLevel(dir));
  t.equal(here.code, "FOLDER_IN_USE");
  t.match(here.message, /this process/);
  await level.close();

  const script = `import { openLevel } from ${JSON.stringify(new URL("../../src/state/level.ts", import.meta.url).href)};
    const level = await openLevel(${JSON.stringify(dir)});
    const batch = level.newBatch(); batch.put(Buffer.from("from"), Buffer.from("child"));
    await level.write(batch, { sync: true });
    console.log("open"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const elsewhere = await failureOf(openLevel(dir));
  t.equal(elsewhere.code, "FOLDER_IN_USE");
  t.match(elsewhere.message, new RegExp(`process ${child.pid}`));
  t.match(elsewhere.cure, /stop that process/);
  child.kill("SIGKILL");
  await once(child, "exit");
  const after = await openLevel(dir);
  t.equal(after.getSync(Buffer.from("from"))?.toString(), "child", "a killed owner leaves its data and no lock");
  await after.close();
});

t.test("a folder that cannot be made or is not there is named", async (t) => {
  writeFileSync(join(root, "a-file"), "");
  const readOnly = await failureOf(openLevel(join(root, "a-file", "db")));
  t.equal(readOnly.code, "DISK_READ_ONLY");
  t.match(readOnly.place, /a-file/);
  t.equal((await failureOf(openLevel(join(root, "nowhere"), { createIfMissing: false }))).code, "FILE_NOT_FOUND");
});

t.test("a full disk fails the write and every later one; what was committed is there after reopening", { skip: existsSync("/dev/full") ? false : "no /dev/full here" }, async (t) => {
  const dir = join(root, "full");
  let level = await openLevel(dir, { writeBufferBytes: 1 << 16 });
  // The logs that LevelDB will make next are links to a device that is always full.
  for (let number = 4; number < 60; number++) {
    const path = join(dir, `${String(number).padStart(6, "0")}.log`);
    if (!existsSync(path)) symlinkSync("/dev/full", path);
  }
  let written = 0;
  let failed: TopologyError | undefined;
  while (failed === undefined && written < 100) {
    const batch = level.newBatch();
    batch.put(Buffer.from(String(written).padStart(4, "0")), Buffer.alloc(10_000, written));
    await level.write(batch, { sync: true }).then(() => written++, (error: TopologyError) => (failed = error));
  }
  t.equal(failed?.code, "DISK_FULL");
  t.equal(failed?.place, level.dir);
  t.ok(written > 0, "some batches came before");
  const batch = level.newBatch();
  batch.put(Buffer.from("later"), Buffer.from("x"));
  t.equal((await failureOf(level.write(batch, { sync: true }))).code, "DISK_FULL", "no write goes behind a torn one");
  await level.close();
  for (const name of readdirSync(dir)) if (name.endsWith(".log") && readFileSyncOrNull(join(dir, name)) === null) rmSync(join(dir, name));
  level = await openLevel(dir, { verify: false });
  for (let number = 0; number < written; number++) t.equal(level.getSync(Buffer.from(String(number).padStart(4, "0")))?.length, 10_000);
  t.equal(level.getSync(Buffer.from("later")), undefined);
  await level.close();
});

function readFileSyncOrNull(path: string): Buffer | null {
  const link = readdirSync(join(path, ".."), { withFileTypes: true }).find((entry) => path.endsWith(entry.name));
  return link?.isSymbolicLink() === true ? null : readFileSync(path);
}

t.test("every flipped bit is found before it is served, or changes nothing that is read", { timeout: 120_000 }, async (t) => {
  const origin = join(root, "origin");
  const content = await makeFolder(origin);
  t.ok(content.length === BATCHES * 40);
  t.strictSame((await verifyLevelFolder(origin)).damage, [], "the folder itself is sound");
  const files = readdirSync(origin);
  const kinds: Record<string, string[]> = {
    table: files.filter((name) => name.endsWith(".ldb")),
    log: files.filter((name) => name.endsWith(".log") && readFileSync(join(origin, name)).length > 0),
    manifest: files.filter((name) => name.startsWith("MANIFEST")),
    current: ["CURRENT"],
  };
  t.ok((kinds["table"]?.length ?? 0) > 2 && (kinds["log"]?.length ?? 0) > 0, `several tables and a log: ${files.join(" ")}`);

  /** Flips one bit; gives "found", or checks that nothing changed and gives "harmless". */
  const flip = async (file: string, bit: number): Promise<string> => {
    const path = join(origin, file);
    const sound = readFileSync(path);
    const bytes = Buffer.from(sound);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    writeFileSync(path, bytes);
    try {
      const report = await verifyLevelFolder(origin);
      if (report.damage.length > 0) return "found";
    } finally {
      writeFileSync(path, sound);
    }
    const copy = join(root, "copy");
    rmSync(copy, { recursive: true, force: true });
    cpSync(origin, copy, { recursive: true });
    writeFileSync(join(copy, file), bytes);
    const level = await openLevel(copy, { verify: false });
    t.strictSame(await contentOf(level), content, `bit ${bit} of ${file} is harmless`);
    await level.close();
    return "harmless";
  };

  const random = randomOf(seed + 1);
  const found: Record<string, number> = {};
  for (let round = 0; round < 160; round++) {
    const kind = Object.keys(kinds)[round % 4] as string;
    const names = kinds[kind] as string[];
    const file = names[Math.floor(random(names.length))] as string;
    const size = readFileSync(join(origin, file)).length;
    if ((await flip(file, Math.floor(random(size * 8)))) === "found") found[kind] = (found[kind] ?? 0) + 1;
  }
  t.comment(JSON.stringify(found));
  for (const kind of Object.keys(kinds)) t.ok((found[kind] ?? 0) >= 36, `nearly all flips in the ${kind} are found: ${found[kind]} of 40`);

  // LevelDB may have closed before it had flushed the log before the last one.
  const log = kinds["log"]?.at(-1) as string;
  const logSize = readFileSync(join(origin, log)).length;
  const table = kinds["table"]?.[0] as string;
  const tableSize = readFileSync(join(origin, table)).length;
  for (let bit = 0; bit < 7 * 8; bit++) t.equal(await flip(log, bit), "found", `bit ${bit} of the first record's header`);
  const last = lastHeader(readFileSync(join(origin, log)));
  t.ok(last < logSize);
  for (let bit = 0; bit < 7 * 8; bit++) t.equal(await flip(log, last * 8 + bit), "found", `bit ${bit} of the last record's header`);
  for (let bit = 0; bit < 16 * 8; bit += 3) await flip(table, (tableSize - 48) * 8 + bit);
  for (let bit = 0; bit < 8 * 8; bit++) t.equal(await flip(table, (tableSize - 8) * 8 + bit), "found", `bit ${bit} of the magic`);

  writeFileSync(join(origin, log), flipped(readFileSync(join(origin, log)), 40));
  const refused = await failureOf(openLevel(origin));
  t.equal(refused.code, "STATE_CORRUPT");
  t.match(refused.place, new RegExp(`${log}:0$`), "the place is file and offset");
  t.ok((refused.cure ?? "").length > 0);
});

function flipped(bytes: Buffer, at: number): Buffer {
  bytes[at] = (bytes[at] as number) ^ 4;
  return bytes;
}

/** Where the last fragment of a log starts. */
function lastHeader(log: Buffer): number {
  let at = 0;
  for (;;) {
    if (32_768 - (at % 32_768) < 7) at += 32_768 - (at % 32_768);
    const next = at + 7 + log.readUInt16LE(at + 4);
    if (next >= log.length) return at;
    at = next;
  }
}

t.test("a missing table, log or CURRENT is damage", async (t) => {
  const origin = join(root, "missing");
  await makeFolder(origin);
  for (const pattern of [/\.ldb$/, /\.log$/, /^CURRENT$/, /^MANIFEST/]) {
    const name = readdirSync(origin).find((candidate) => pattern.test(candidate)) as string;
    const bytes = readFileSync(join(origin, name));
    rmSync(join(origin, name));
    const refused = await failureOf(openLevel(origin));
    t.equal(refused.code, "STATE_CORRUPT", name);
    writeFileSync(join(origin, name), bytes);
  }
  const level = await openLevel(origin);
  await level.close();
});

t.test("a torn end of the log loses the last batches only, each whole, and is not damage", async (t) => {
  const origin = join(root, "torn");
  const content = await makeFolder(origin, 8 << 20);
  const log = readdirSync(origin).findLast((name) => name.endsWith(".log")) as string;
  const size = readFileSync(join(origin, log)).length;
  const random = randomOf(seed + 2);
  const lengths = new Set<number>();
  for (let round = 0; round < 25; round++) {
    const copy = join(root, "torn-copy");
    rmSync(copy, { recursive: true, force: true });
    cpSync(origin, copy, { recursive: true });
    const cut = round === 0 ? size - 1 : round === 1 ? 3 : Math.floor(random(size));
    truncateSync(join(copy, log), cut);
    const report = await verifyLevelFolder(copy);
    t.strictSame(report.damage, [], `cut at ${cut} of ${size}`);
    if (cut === size - 1) t.equal(report.tornTails.length, 1, "and it is told");
    const level = await openLevel(copy);
    const rest = await contentOf(level);
    t.equal(rest.length % 40, 0, "no batch is there in part");
    t.strictSame(rest, content.slice(0, rest.length), "what is there is what was written, from the start on");
    lengths.add(rest.length);
    await level.close();
  }
  t.ok(lengths.size > 5, "the cuts fell into different batches");
});

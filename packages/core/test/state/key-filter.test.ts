/** Keys as bytes: the hash, the filter, the set, and the CRC of few bytes. */
import fc from "fast-check";
import { crc32 as zlibCrc32 } from "node:zlib";
import t from "tap";
import { crc32 } from "../../src/state/crc32.ts";
import { KeyFilter } from "../../src/state/key-filter.ts";
import { keyHash } from "../../src/state/key-hash.ts";
import { KeySet } from "../../src/state/key-set.ts";

const seed = Number(process.env["SEED"] ?? 20_261_121);
t.comment(`seed ${seed}`);

const hashOf = (key: Buffer): number => keyHash(key, 0, key.length);

t.test("A filter never denies a key that it was given, and lets few others through, over all of its layers", async (t) => {
  const filter = new KeyFilter(1 << 20);
  const keys = 600_000;
  for (let n = 0; n < keys; n++) filter.add(hashOf(Buffer.from(`dev-${n % 1_000}i${n}`)));
  let denied = 0;
  let passed = 0;
  for (let n = 0; n < keys; n++) {
    if (!filter.mayHold(hashOf(Buffer.from(`dev-${n % 1_000}i${n}`)))) denied++;
    if (filter.mayHold(hashOf(Buffer.from(`other-${n}`)))) passed++;
  }
  t.equal(denied, 0);
  t.ok(passed < keys * 0.03, `${passed} of ${keys} strange keys pass`);
  t.ok(filter.bytes <= 1.4 * (1 << 20), `${filter.bytes} bytes`);
});

t.test("A filter at its greatest size takes more keys and denies none", async (t) => {
  const filter = new KeyFilter(1 << 16);
  for (let n = 0; n < 300_000; n++) filter.add(hashOf(Buffer.from(`k${n}`)));
  t.ok(filter.bytes <= 1 << 16);
  t.ok(Array.from({ length: 300_000 }, (_, n) => filter.mayHold(hashOf(Buffer.from(`k${n}`)))).every(Boolean));
});

t.test("A key set holds what a set of texts holds, also where hashes collide", async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 300 }), fc.constantFrom(1, 3, 2 ** 31), (keys, buckets) => {
      const set = new KeySet();
      const model = new Set<string>();
      for (const each of keys) {
        const key = Buffer.concat([Buffer.from("xx"), each]);
        const hash = hashOf(key) % buckets;
        const known = set.has(key, 2, key.length, hash);
        if (known !== model.has(key.toString("hex"))) return false;
        if (!known) set.add(key, 2, key.length, hash);
        model.add(key.toString("hex"));
      }
      const stored = Array.from({ length: set.size }, (_, entry) => `7878${set.bytes.subarray(set.startOf(entry), set.endOf(entry)).toString("hex")}`);
      return JSON.stringify(stored) === JSON.stringify([...model]);
    }),
    { seed, numRuns: 300 },
  );
  const many = new KeySet();
  for (let n = 0; n < 20_000; n++) many.add(Buffer.from(`k${n}`), 0, `k${n}`.length, hashOf(Buffer.from(`k${n}`)));
  t.ok(Array.from({ length: 20_000 }, (_, n) => Buffer.from(`k${n}`)).every((key) => many.has(key, 0, key.length, hashOf(key))));
  t.notOk(many.has(Buffer.from("k20000"), 0, 6, hashOf(Buffer.from("k20000"))));
});

t.test("The CRC of pieces of any length is zlib's", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(400), fc.nat({ max: 2 ** 32 - 1 }), (bytes, cut, before) => {
      const start = Math.min(cut, bytes.length);
      return crc32(bytes, start, bytes.length, before) === zlibCrc32(bytes.subarray(start), before);
    }),
    { seed, numRuns: 500 },
  );
  t.pass();
});

import t from "tap";
import { murmur2, partitionOfKey } from "../../src/model/index.ts";

t.test("murmur2 gives what Kafka's own tests expect", async (t) => {
  const expected: Record<string, number> = {
    "21": -973_932_308,
    "foobar": -790_332_482,
    "a-little-bit-long-string": -985_981_536,
    "a-little-bit-longer-string": -1_486_304_829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58_897_971,
    "abc": 479_470_107,
    "1": -1_993_445_489,
    "12": 126_087_238,
    "123": -267_702_483,
    "1234": -1_614_185_708,
    "12345": -1_188_365_604,
  };
  for (const [text, hash] of Object.entries(expected)) {
    t.equal(murmur2(Buffer.from(text)), hash, text);
    t.equal(murmur2(Buffer.from(`ab${text}c`), 2, 2 + text.length), hash, `${text} within other bytes`);
  }
});

t.test("a key's partition is the positive hash modulo the partitions", async (t) => {
  t.equal(partitionOfKey(Buffer.from("foobar"), 7), (-790_332_482 & 0x7fffffff) % 7);
  const seen = new Set<number>();
  for (let index = 0; index < 200; index++) seen.add(partitionOfKey(Buffer.from(`device-${index}`), 8));
  t.equal(seen.size, 8);
});

/** A page of sequence numbers against a plain set. */
import fc from "fast-check";
import t from "tap";
import { ByteReader, ByteWriter } from "../../src/model/index.ts";
import { PAGE_SIZE, SequencePage, sequencePageCodec } from "../../src/state/sequence-page.ts";

const seed = Number(process.env["SEED"] ?? 20_261_121);
t.comment(`seed ${seed}`);

function stored(page: SequencePage): SequencePage {
  const writer = new ByteWriter(8);
  sequencePageCodec.encode(writer, page);
  return sequencePageCodec.decode(new ByteReader(writer.take()));
}

const dense = fc.array(fc.nat(40), { maxLength: 120 });
const sparse = fc.array(fc.nat(PAGE_SIZE - 1), { maxLength: 600 });
const counting = fc.tuple(fc.nat(PAGE_SIZE - 200), fc.array(fc.integer({ min: -3, max: 3 }), { maxLength: 150 })).map(([start, steps]) => {
  let at = start;
  return steps.map((step) => {
    at = Math.max(0, Math.min(PAGE_SIZE - 1, at + step + 1));
    return at;
  });
});

t.test("A number is new the first time and never again, before and after a page was stored", async (t) => {
  fc.assert(
    fc.property(fc.oneof(dense, sparse, counting), fc.nat(100), (numbers, storedEach) => {
      let page = new SequencePage();
      const seen = new Set<number>();
      for (const [index, n] of numbers.entries()) {
        if (page.add(n) === seen.has(n)) throw new Error(`${n}, number ${index} of ${numbers.join(" ")}`);
        seen.add(n);
        if (storedEach > 0 && index % storedEach === 0) page = stored(page);
      }
      const ranges = page.bounds;
      for (let at = 0; at < ranges.length; at += 2) {
        const [start = 0, end = 0, next = Number.POSITIVE_INFINITY] = ranges.slice(at, at + 3);
        if (start > end || next <= end + 1) throw new Error(`ranges ${ranges.join(" ")}`);
      }
      for (let n = 0; n < PAGE_SIZE; n++) if (page.has(n) !== seen.has(n)) throw new Error(`${n} of ${numbers.join(" ")}`);
      return true;
    }),
    { seed, numRuns: 1_000 },
  );
  t.pass();
});

t.test("A page with every other number is a bitmap of 512 bytes", async (t) => {
  const page = new SequencePage();
  let fresh = 0;
  for (let n = PAGE_SIZE - 2; n >= 0; n -= 2) if (page.add(n)) fresh++;
  t.equal(fresh, PAGE_SIZE / 2);
  const writer = new ByteWriter(8);
  sequencePageCodec.encode(writer, page);
  t.equal(writer.position, 513);
  t.same(stored(page).bounds, page.bounds);
});

/** What a writer writes by hand is what the slow way writes. */
import fc from "fast-check";
import t from "tap";
import { ByteReader, ByteWriter } from "../../src/model/index.ts";

const seed = Number(process.env["SEED"] ?? 20_261_121);
t.comment(`seed ${seed}`);

t.test("Text is written as UTF-8 whatever its length and letters", async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: "binary", maxLength: 60 })), (text) => {
      const writer = new ByteWriter(1);
      writer.utf8(text);
      const plain = Buffer.from(text);
      if (!writer.take().equals(plain)) return false;
      writer.text(text);
      const sized = writer.take();
      return plain.length < 128 ? sized[0] === plain.length && sized.subarray(1).equals(plain) : sized.subarray(2).equals(plain);
    }),
    { seed, numRuns: 500 },
  );
  t.pass();
});

t.test("Digits are those of the number", async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(1_000), fc.constantFrom(0, 9, 10, 99, 100, Number.MAX_SAFE_INTEGER)), (value) => {
      const writer = new ByteWriter(1);
      writer.digits(value);
      return writer.take().toString() === String(value);
    }),
    { seed, numRuns: 1_000 },
  );
  t.pass();
});

t.test("A view is of what the writer holds now, also after it grew", async (t) => {
  const writer = new ByteWriter(4);
  writer.utf8("ab");
  t.equal(writer.view(0, 2).toString(), "ab");
  writer.utf8("cdefghij");
  t.equal(writer.view(0, 2), writer.view(0, 2));
  t.equal(writer.view(0, 10).toString(), "abcdefghij");
  writer.reset();
  writer.utf8("xy");
  t.equal(writer.view(0, 2).toString(), "xy");
});

t.test("What is written between beginSized and endSized is read back behind its length, however long", async (t) => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const writer = new ByteWriter(8);
    writer.u8(7);
    const at = writer.beginSized();
    const bytes = Buffer.alloc(length, "abcdefg");
    writer.bytes(bytes);
    writer.endSized(at);
    writer.u8(9);
    const reader = new ByteReader(writer.take());
    t.equal(reader.u8(), 7);
    t.ok(reader.sized().equals(bytes), `${length} bytes`);
    t.equal(reader.u8(), 9);
    t.equal(reader.remaining, 0);
  }
});

t.test("Padded digits are those of the number behind zeros", async (t) => {
  for (const [value, width, text] of [
    [0, 1, "0"],
    [7, 2, "07"],
    [59, 2, "59"],
    [9, 3, "009"],
    [123, 3, "123"],
  ] as const) {
    const writer = new ByteWriter(1);
    writer.padded(value, width);
    t.equal(writer.take().toString(), text);
  }
});

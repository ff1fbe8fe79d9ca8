/** What a writer writes by hand is what the slow way writes. */
import fc from "fast-check";
import t from "tap";
import { ByteWriter } from "../../src/model/index.ts";

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

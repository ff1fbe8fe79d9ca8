import t from "tap";
import { ProtocolReader } from "../../../src/kafka/wire-protocol/reader.ts";
import { decodeFetch, decodeProduce, encodeFetch, encodeProduce } from "../../../src/kafka/wire-protocol/records.ts";
import { ProtocolWriter } from "../../../src/kafka/wire-protocol/writer.ts";

const FAR = Number.MAX_SAFE_INTEGER;

t.test("offsets of 64 bits survive, up to 2^53", async (t) => {
  const produced = new ProtocolWriter().int32(1).string("topic").int32(1).int32(7).int16(0).long(FAR).long(-1).long(0).int32(0).bytes;
  t.same(decodeProduce(produced), [{ topic: "topic", partition: 7, errorCode: 0, baseOffset: FAR }]);

  const fetched = new ProtocolWriter().int32(0).int16(0).int32(0).int32(1).string("topic").int32(1)
    .int32(7).int16(0).long(FAR).long(FAR - 1).long(2 ** 40).int32(1).long(2 ** 33 + 5).long(FAR - 2).int32(4).int32(3).int8(1).int8(2).int8(3).bytes;
  t.same(decodeFetch(fetched), {
    errorCode: 0,
    partitions: [{
      topic: "topic", partition: 7, errorCode: 0, highWatermark: FAR, lastStableOffset: FAR - 1, logStartOffset: 2 ** 40,
      abortedTransactions: [{ producerId: 2n ** 33n + 5n, firstOffset: FAR - 2 }], preferredReplica: 4, records: Buffer.from([1, 2, 3]),
    }],
  });
  const request = encodeFetch({ maxWaitMs: 1, minBytes: 2, maxBytes: 3, partitions: [{ topic: "t", partition: 0, offset: FAR, maxBytes: 4 }], rackId: "r" });
  t.ok(request.includes(new ProtocolWriter().long(FAR).bytes));
});

t.test("answers without lists, and answers cut short", async (t) => {
  const nothing = new ProtocolWriter().int32(0).int16(0).int32(0).int32(1).string("topic").int32(1).int32(0).int16(1).long(-1).long(-1).long(-1).int32(-1).int32(-1).int32(-1).bytes;
  t.match(decodeFetch(nothing).partitions[0], { errorCode: 1, abortedTransactions: [], records: Buffer.alloc(0) }, "null comes as empty");
  t.throws(() => decodeFetch(nothing.subarray(0, -6)), RangeError);
  t.same(decodeProduce(new ProtocolWriter().int32(0).bytes), []);
});

t.test("a produce request names its batches by topic and partition, and copies none of them", async (t) => {
  const whole = new Uint8Array(1_000_000).fill(7);
  const batches = [{ topic: "t", partition: 3, batch: whole }, { topic: "u", partition: 0, batch: whole.subarray(5, 8) }, { topic: "t", partition: 1, batch: whole.subarray(0, 2) }];
  const parts = encodeProduce({ transactionalId: "täter", timeoutMs: 5, batches });
  t.ok(parts.some(({ buffer }) => buffer === whole.buffer));
  const reader = new ProtocolReader(Buffer.concat(parts));
  t.same([reader.string(), reader.int16(), reader.int32()], ["täter", -1, 5]);
  t.same(reader.array(() => [reader.string(), reader.array(() => [reader.int32(), reader.bytes().length])]), [["t", [[3, 1_000_000], [1, 2]]], ["u", [[0, 3]]]]);
});

t.test("compact encodings of every length", async (t) => {
  for (const length of [0, 1, 126, 127, 128, 16_383, 16_384, 70_000]) {
    const value = "z".repeat(length);
    const bytes = new ProtocolWriter().compactString(value).compactArray([1, 2], (writer, each) => writer.int32(each)).tags().int16(9).bytes;
    const reader = new ProtocolReader(bytes);
    t.equal(reader.compactString(), value);
    t.same(reader.compactArray(() => reader.int32()), [1, 2]);
    reader.tags();
    t.equal(reader.int16(), 9);
  }
  const reader = new ProtocolReader(Buffer.from([0x02, 0x05, 0x02, 0xaa, 0xbb, 0x80, 0x01, 0x01, 0xcc, 0x00, 0x00]));
  reader.tags();
  t.equal(reader.compactString(), null, "tagged fields are passed over");
  t.throws(() => new ProtocolReader(Buffer.alloc(9, 0xff)).unsignedVarint(), RangeError);
});

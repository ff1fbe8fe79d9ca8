/** Records of frames: what they hold does not depend on when they are asked. */
import t from "tap";
import { ByteWriter, type Header, type ProducerRecord, writeFrame } from "../../src/model/index.ts";
import { FrameRun } from "../../src/task/record-run.ts";

const header: Header = { key: "trace", value: Buffer.from("7") };
const RECORDS: readonly ProducerRecord[] = [
  { key: "a", value: "first", timestamp: 1_700_000_000_001 },
  { key: null, value: "second", timestamp: -5 },
  { key: "c", value: null, timestamp: 0, headers: [header] },
  { key: Buffer.alloc(0), value: Buffer.alloc(0), timestamp: 8_640_000_000_000_000 },
  { key: "e", value: "x".repeat(20_000), timestamp: 3, headers: [header, { key: "none", value: null }] },
];

/** Two batches, the first from offset 10 with bytes before its frames. */
function run(from: number): FrameRun {
  const writer = new ByteWriter(16);
  writer.utf8("head");
  for (const record of RECORDS.slice(0, 3)) writeFrame(writer, record);
  const first = writer.take();
  for (const record of RECORDS.slice(3)) writeFrame(writer, record);
  return new FrameRun("in", 2, [{ baseOffset: 10, count: 3, bytes: first, start: 4 }, { baseOffset: 13, count: 2, bytes: writer.take(), start: 0 }], from);
}

const bytesOf = (value: Uint8Array | string | null): Buffer | null => (value === null ? null : Buffer.from(value as string));
const expected = RECORDS.map(({ key, value, timestamp, headers = [] }, index) => ({ topic: "in", partition: 2, offset: 10 + index, timestamp, key: bytesOf(key), value: bytesOf(value), headers }));

t.test("Records read one by one, and all of them once more when the run has ended, are those that were written", async (t) => {
  for (const from of [10, 11, 12]) {
    const records = run(from);
    const kept = [];
    const shown = [];
    t.equal(records.left, 15 - from);
    for (let record = records.next(); record !== undefined; record = records.next()) {
      const { topic, partition, offset, timestamp, key, value, headers } = record;
      shown.push({ topic, partition, offset, timestamp, key, value, headers: headers.map((each) => ({ ...each })) });
      kept.push(record);
    }
    t.same(shown, expected.slice(from - 10));
    // Backwards, so that no record is asked just after the cursor stood on it.
    const again = kept.toReversed().map(({ topic, partition, offset, timestamp, key, value, headers }) => ({ topic, partition, offset, timestamp, key, value, headers: headers.map((each) => ({ ...each })) }));
    t.same(again.toReversed(), expected.slice(from - 10));
  }
});

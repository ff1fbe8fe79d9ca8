import t from "tap";
import { memoryLog, sourceLogContract } from "../../src/testing.ts";

sourceLogContract((name, body) => t.test(name, body), async () => memoryLog());

t.test("a truncated partition refuses what it no longer holds", async (t) => {
  const log = memoryLog();
  await log.ensureTopic("a", { partitions: 1 });
  await log.append("a", [1, 2, 3].map((timestamp) => ({ key: null, value: "x", timestamp })));
  log.truncate("a", 0, 2);
  t.same(await log.offsets("a", 0), { start: 2, end: 3 });
  await t.rejects(log.fetch("a", 0, 1, { recordsMax: 1, bytesMax: 1 }), { code: "OFFSET_OUT_OF_RANGE" });
  t.equal(log.recordsOf("a")[0]?.timestamp, 3);
});

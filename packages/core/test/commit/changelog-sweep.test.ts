import t from "tap";
import { sealedValue } from "@iot-topology/core";
import { ChangelogSweep, NO_SWEEP } from "../../src/commit/changelog-sweep.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";

const KEY = Buffer.from("s\0seen\0a");

async function sweepOver(value: Buffer): Promise<void> {
  const backend = memoryBackend();
  const batch = backend.newBatch();
  batch.put(KEY, value);
  await backend.write(batch, { sync: true });
  const sweep = new ChangelogSweep(backend, NO_SWEEP, 0);
  await sweep.prepare(7, 0);
}

t.test("what is damaged in the local store does not get into the changelog, from which it is to be mended", async (t) => {
  const whole = sealedValue(KEY, Buffer.from("payload"));
  await t.resolves(sweepOver(whole));
  for (const bit of [0, 3, 20, whole.length * 8 - 1]) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    await t.rejects(sweepOver(flipped), { code: "STATE_CORRUPT" });
  }
});

import t from "tap";
import { ByteWriter, makeCounters, sealedValue } from "@iot-topology/core";
import { ChangelogSweep, NO_SWEEP } from "../../src/commit/changelog-sweep.ts";
import { putCheckpoint } from "../../src/commit/checkpoint.ts";
import { applyChanges, ChangeRecorder } from "../../src/state/changelog.ts";
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

t.test("a sweep carries every entry but the links of commits: a copy of one would hide that its commit was lost", async (t) => {
  const [backend, scratch] = [memoryBackend(), new ByteWriter(1_024)];
  const batch = backend.newBatch();
  batch.put(KEY, sealedValue(KEY, Buffer.from("payload")));
  for (const commit of [1, 2, 3]) putCheckpoint(batch, scratch, { format: 1, commit, offsets: {}, sequences: {}, streamTimes: {}, counters: makeCounters() });
  await backend.write(batch, { sync: true });
  const sweep = new ChangelogSweep(backend, NO_SWEEP, 0);
  await sweep.prepare(7, 0);
  const body = new ByteWriter(1_024);
  sweep.write(new ChangeRecorder(backend.newBatch(), body));
  t.equal(sweep.committed(0), 7, "the sweep is over");
  const follower = memoryBackend();
  const applied = follower.newBatch();
  await applyChanges(body.take(), follower, applied);
  await follower.write(applied, { sync: true });
  t.same(follower.entriesSync({}).map(([key]) => key.toString("latin1")), [KEY.toString("latin1")]);
});

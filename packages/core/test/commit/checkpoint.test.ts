import t from "tap";
import { ByteWriter, makeCounters, type StateBackend } from "@iot-topology/core";
import { type Checkpoint, putCheckpoint, putLinksBefore, readCheckpoint } from "../../src/commit/checkpoint.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";

/** A store as those of the commits given leave it. */
async function storeOf(commits: readonly number[]): Promise<StateBackend> {
  const backend = memoryBackend();
  const scratch = new ByteWriter(1_024);
  for (const commit of commits) {
    const checkpoint: Checkpoint = { format: 1, commit, offsets: {}, sequences: {}, streamTimes: {}, counters: makeCounters() };
    const batch = backend.newBatch();
    putCheckpoint(batch, scratch, checkpoint);
    await backend.write(batch, { sync: true });
  }
  return backend;
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

t.test("a commit that is missing is noticed, wherever in the chain it stood", async (t) => {
  for (const missing of [[1], [1, 2], [3], [4], [2, 3]]) {
    const backend = await storeOf(upTo(5).filter((commit) => !missing.includes(commit)));
    await t.rejects(readCheckpoint(backend, "here"), { code: "STATE_CORRUPT" }, `without ${missing.join(" and ")}`);
  }
});

t.test("a whole chain is none the worse for being short or long", async (t) => {
  t.equal(await readCheckpoint(await storeOf([]), "here"), undefined);
  for (const last of [1, 2, 1_023, 1_024, 1_025, 1_500]) t.equal((await readCheckpoint(await storeOf(upTo(last)), "here"))?.commit, last);
});

t.test("a store that begins in the midst has a whole chain as long as its first batch is there, and none without it", async (t) => {
  for (const first of [1, 2, 7, 1_500]) {
    for (const keeps of [true, false]) {
      const [backend, scratch] = [memoryBackend(), new ByteWriter(1_024)];
      for (const commit of [first, first + 1, first + 2]) {
        const batch = backend.newBatch();
        if (commit === first) putLinksBefore(batch, scratch, first);
        putCheckpoint(batch, scratch, { format: 1, commit, offsets: {}, sequences: {}, streamTimes: {}, counters: makeCounters() });
        if (keeps || commit !== first) await backend.write(batch, { sync: true });
      }
      if (keeps) t.equal((await readCheckpoint(backend, "here"))?.commit, first + 2);
      else await t.rejects(readCheckpoint(backend, "here"), { code: "STATE_CORRUPT" });
    }
  }
});

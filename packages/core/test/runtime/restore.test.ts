import t from "tap";
import { type ClusterLog, levelDisk, silentLogger, systemClock, type TopologyError } from "@iot-topology/core";
import { FollowedStore } from "../../src/runtime/restore.ts";
import { putPosition } from "../../src/state/changelog.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";

/** A store at offset 3 of a changelog whose readable end is 2, while all that was written to it ends at `written`. */
async function openBehind(written: number): Promise<FollowedStore> {
  const log = {
    offsets: () => Promise.resolve({ start: 0, end: 2 }),
    settledEnd: () => Promise.resolve(written),
  } as unknown as ClusterLog;
  const backend = memoryBackend();
  const write = backend.newBatch();
  putPosition(write, { offset: 3, commit: 2 });
  await backend.write(write, { sync: false });
  return FollowedStore.open({
    log, changelog: { topic: "plant-events-changelog", partition: 1 }, logger: silentLogger, clock: systemClock, disk: levelDisk, open: () => Promise.resolve(backend), dir: null, signal: new AbortController().signal, onProgress: () => {},
  });
}

t.test("a store whose last commit is not readable yet is not ahead of its changelog", async (t) => {
  const store = await openBehind(3);
  t.equal(store.position, 3);
  await store.close();
});

t.test("a store that knows more than was ever written is refused", async (t) => {
  await t.rejects(openBehind(2), { code: "CHANGELOG_MISMATCH", place: "plant-events-changelog-1" } satisfies Partial<TopologyError>);
});

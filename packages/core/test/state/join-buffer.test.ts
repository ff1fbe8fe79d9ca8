import t from "tap";
import { ByteWriter } from "../../src/model/index.ts";
import { serde } from "../../src/schema/index.ts";
import type { StateBackend } from "../../src/state/backend.ts";
import { type BufferedRecord, JoinBuffer } from "../../src/state/join-buffer.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";
import { randomOf, seedOf } from "../spec/crashes.ts";

const open = (backend: StateBackend) => new JoinBuffer<string>(backend, "j/left", serde.string(), { stretchMs: 50, entriesMax: 4, scratch: new ByteWriter(64) });

t.test("a buffer finds what a list finds, over pages, stretches of time, commits and crashes", async (t) => {
  const seed = seedOf(t);
  for (let life = 0; life < 60; life++) {
    const random = randomOf(seed + life);
    const backend = memoryBackend() as StateBackend;
    let buffer = open(backend);
    let model: { readonly key: string; readonly record: BufferedRecord<string> }[] = [];
    let durable = structuredClone(model);
    for (let at = 0; at < 1_500; at++) {
      const key = random() < 0.5 ? "hot" : random() < 0.1 ? "any" : `0\0${random() < 0.5 ? "hot" : "cold"}${random() < 0.5 ? Math.floor(random() * 20) : ""}`;
      const timestamp = Math.floor(random() * 300) - 50;
      const chance = random();
      if (chance < 0.7) {
        const record = { timestamp, value: `v${at}`, isOpen: random() < 0.5 };
        buffer.add(key, { ...record });
        model.push({ key, record });
      } else if (chance < 0.8) {
        buffer.close(key, timestamp);
        for (const other of model) if (other.key === key && other.record.timestamp === timestamp) other.record.isOpen = false;
      } else if (chance < 0.95) {
        const to = timestamp + Math.floor(random() * 50);
        const expected = model.filter((other) => other.key === key && other.record.timestamp >= timestamp && other.record.timestamp <= to).map(({ record }) => record).sort((a, b) => a.timestamp - b.timestamp);
        if (JSON.stringify(buffer.find(key, timestamp, to)) !== JSON.stringify(expected)) return t.same(buffer.find(key, timestamp, to), expected, `life ${life} of seed ${seed}`);
      } else if (chance < 0.996) {
        const batch = backend.newBatch();
        for (const table of buffer.tables) table.flush(batch);
        await backend.write(batch, { sync: true });
        for (const table of buffer.tables) table.committed();
        durable = structuredClone(model);
      } else {
        buffer = open(backend);
        model = structuredClone(durable);
      }
    }
  }
  return t.pass("60 random lives");
});

import { compileQuickDecode, type QuickDecode } from "./quick-decoder.ts";
import { memoise } from "./generate.ts";
import { type Layout, layoutOf } from "./quick-layout.ts";
import type { RecordSchema } from "./record-schema.ts";

const LAYOUTS_MAX = 4;
const SHARED_MAX = 64;
const LESSONS_MAX = 64;
const TRIAL = 1 << 14;

const sharedOf = memoise((_schema: RecordSchema<unknown, unknown>) => new Map<string, QuickDecode | undefined>());

/** The reader of a layout, which all decoders of a schema share: V8 would optimize the same code once for each task. */
function readerOf(schema: RecordSchema<unknown, unknown>, layout: Layout): QuickDecode | undefined {
  const shared = sharedOf(schema);
  const name = JSON.stringify([layout.members.map((member) => [member.lead.toString("latin1"), member.name]), layout.tail.toString("latin1")]);
  if (shared.has(name)) return shared.get(name);
  const read = compileQuickDecode(schema, layout);
  if (shared.size < SHARED_MAX) shared.set(name, read);
  return read;
}

/**
 * The layouts that one decoder has met. A payload that none of them fits goes the usual way and may be the lesson for the next; where layouts are
 * too many, or payloads seldom plain, nothing more is tried.
 */
export class QuickLayouts {
  readonly #schema: RecordSchema<unknown, unknown>;
  #known: QuickDecode[] = [];
  #lessons = 0;
  #tries = 0;
  #hits = 0;

  constructor(schema: RecordSchema<unknown, unknown>) {
    this.#schema = schema;
  }

  /** The record of the payload between two places, or undefined where it must go the usual way. */
  read(bytes: Buffer, start: number, end: number): unknown {
    const known = this.#known;
    if (known.length === 0) return undefined;
    if (++this.#tries > TRIAL) this.#judge();
    for (let index = 0; index < known.length; index++) {
      const record = (known[index] as QuickDecode)(bytes, start, end);
      if (record === undefined) continue;
      this.#hits++;
      // The next payload is likely of the same layout.
      if (index > 0) [known[0], known[index]] = [known[index] as QuickDecode, known[0] as QuickDecode];
      return record;
    }
    return undefined;
  }

  #judge(): void {
    if (this.#hits < this.#tries / 4) {
      this.#known = [];
      this.#lessons = LESSONS_MAX;
    }
    this.#tries = 0;
    this.#hits = 0;
  }

  /** Takes a payload that was read the usual way as a lesson. */
  learn(bytes: Buffer): void {
    if (this.#lessons >= LESSONS_MAX || this.#known.length >= LAYOUTS_MAX) return;
    this.#lessons++;
    const layout = layoutOf(bytes);
    const decode = layout && readerOf(this.#schema, layout);
    // What it was learnt from must be plain too, or it is no lesson.
    if (decode?.(bytes, 0, bytes.length) !== undefined) this.#known.push(decode);
  }
}

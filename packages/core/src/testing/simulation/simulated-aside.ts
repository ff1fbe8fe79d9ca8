import { TopologyError } from "../../model/index.ts";
import type { AsideFile, AsidePiece, AsidePlace } from "../../state/aside-file.ts";
import type { ProcessLine, Timeline } from "./timeline.ts";

/** So few that batches of a schedule are on both sides of it. */
const BYTES_MIN = 150;

/** What a full disk answers, for the store and for the file beside it. */
export function diskFull(path: string): TopologyError {
  return new TopologyError("DISK_FULL", "the disk is full", { place: path, cure: "free space on this disk and start again: nothing committed is lost" });
}

function placed(file: Buffer, at: number, bytes: Uint8Array): Buffer {
  const grown = file.length >= at + bytes.length ? file : Buffer.concat([file, Buffer.alloc(at + bytes.length - file.length)]);
  grown.set(bytes, at);
  return grown;
}

/** The file beside a store: what is written is torn by a kill, and may be gone, whole or in part, with a power cut until it is synced. */
export class SimulatedAside {
  readonly #timeline: Timeline;
  readonly #slowMs: number;
  /** What a process reads. */
  #visible: Buffer = Buffer.alloc(0);
  #durable: Buffer = Buffer.alloc(0);
  #unsynced: { readonly at: number; readonly bytes: Uint8Array }[] = [];

  constructor(timeline: Timeline, slowMs: number) {
    this.#timeline = timeline;
    this.#slowMs = slowMs;
  }

  /** The file as a process sees it. */
  of(line: ProcessLine, path: string, isFull: () => boolean): AsideFile {
    const timeline = this.#timeline;
    const pass = (what: string): Promise<void> => timeline.wait(this.#slowMs * timeline.random() + timeline.latency(), line, what);
    return {
      bytesMin: BYTES_MIN,
      write: async (pieces) => {
        const halves = pieces.map(({ bytes }) => bytes.length >> 1);
        await pass("disk writes rows");
        this.#write(pieces.map(({ place, bytes }, index) => ({ place, bytes: bytes.subarray(0, halves[index]) })));
        if (isFull()) throw diskFull(path);
        await pass("disk writes more rows");
        this.#write(pieces.map(({ place, bytes }, index) => ({ place: { at: place.at + (halves[index] as number), length: place.length }, bytes: bytes.subarray(halves[index]) })));
        await pass("disk syncs rows");
        this.#sync();
      },
      read: async ({ at, length }: AsidePlace) => {
        await pass("disk reads rows");
        return this.#visible.length < at + length ? undefined : Buffer.from(this.#visible.subarray(at, at + length));
      },
      truncate: async (length) => {
        await pass("disk cuts rows");
        this.#sync();
        this.#visible = this.#visible.subarray(0, length);
        this.#durable = Buffer.from(this.#visible);
      },
    };
  }

  #write(pieces: readonly AsidePiece[]): void {
    for (const { place, bytes } of pieces) {
      this.#visible = placed(this.#visible, place.at, bytes);
      this.#unsynced.push({ at: place.at, bytes: Uint8Array.from(bytes) });
    }
  }

  #sync(): void {
    for (const { at, bytes } of this.#unsynced) this.#durable = placed(this.#durable, at, bytes);
    this.#unsynced = [];
  }

  /** Of what is not synced, each write is there, or not, or its beginning. */
  cutPower(): void {
    for (const { at, bytes } of this.#unsynced) {
      const kept = this.#timeline.below(3);
      if (kept > 0) this.#durable = placed(this.#durable, at, kept === 1 ? bytes : bytes.subarray(0, this.#timeline.below(bytes.length)));
    }
    this.#unsynced = [];
    this.#visible = Buffer.from(this.#durable);
  }
}

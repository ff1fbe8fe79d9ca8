/**
 * The disk of a simulated machine, with what LevelDB promises and no more:
 *
 *   write(batch)          captured, then applied after a while, in order: readable from then on, and kept when the process is killed
 *   write(batch, sync)    resolves only when it and every batch before it in the same log file are on the medium
 *   new log file          begun now and then; the one before is not synced, but it is no longer needed when the next one is begun
 *   kill                  batches under way are found applied or not, in order, each as a whole
 *   open                  what is found is on the medium from then on
 *   power cut             of a log file's batches behind the last synced one only the first few are left; a torn record is dropped as a whole. So the end of one log
 *                         file may be missing while batches of the next are there, synced ones too
 *   clearRange            not atomic: a crash finds a part of the range cleared
 *   the file beside       see simulated-aside.ts
 *   damage                a flipped bit: found by the check of the files at the next opening, or by a value's own checksum before
 */
import { TopologyError } from "../../model/index.ts";
import type { KeyRange, StateBackend, StateBatch } from "../../state/backend.ts";
import type { StateDisk } from "../../state/state-disk.ts";
import { diskFull, SimulatedAside } from "./simulated-aside.ts";
import type { ProcessLine, Timeline } from "./timeline.ts";

type Change = readonly [key: string, value: Buffer | undefined];
type Entries = Map<string, Buffer>;

/** A batch that is in a log file, and may not be on the medium. */
interface LoggedWrite {
  readonly changes: readonly Change[];
  readonly isInOldLog: boolean;
  readonly isSynced: boolean;
}

interface PendingWrite {
  readonly what: string;
  readonly changes: readonly Change[];
  readonly sync: boolean;
  readonly resolve: () => void;
  readonly reject: (error: TopologyError) => void;
}

const NEW_LOG_CHANCE = 0.15;

// Latin-1 text compares as its bytes do, so it serves as an ordered map key.
const textOf = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).latin1Slice();

function apply(entries: Entries, changes: readonly Change[]): void {
  for (const [key, value] of changes) {
    if (value === undefined) entries.delete(key);
    else entries.set(key, value);
  }
}

function keysIn(entries: Entries, range: KeyRange): string[] {
  const [gte, gt, lt, lte] = [range.gte, range.gt, range.lt, range.lte].map((bound) => (bound === undefined ? undefined : textOf(bound)));
  const keys: string[] = [];
  for (const key of entries.keys()) {
    if ((gte === undefined || key >= gte) && (gt === undefined || key > gt) && (lt === undefined || key < lt) && (lte === undefined || key <= lte)) keys.push(key);
  }
  keys.sort((a, b) => (a < b ? -1 : 1));
  if (range.reverse === true) keys.reverse();
  return range.limit === undefined || range.limit < 0 ? keys : keys.slice(0, range.limit);
}

/** One folder: a LevelDB. */
class Folder {
  readonly path: string;
  /** What a process reads. */
  readonly entries: Entries = new Map();
  /** What is on the medium for sure. */
  readonly #durable: Entries = new Map();
  /** What is in the log files behind that, oldest first. */
  #logged: LoggedWrite[] = [];
  #pending: PendingWrite[] = [];
  #isBusy = false;
  readonly aside: SimulatedAside;
  holder: ProcessLine | undefined;
  isDamaged = false;
  isFull = false;
  changedAt: number;
  readonly #timeline: Timeline;
  readonly #slowMs: number;

  constructor(path: string, timeline: Timeline, slowMs: number) {
    this.path = path;
    this.#timeline = timeline;
    this.#slowMs = slowMs;
    this.aside = new SimulatedAside(timeline, slowMs);
    this.changedAt = timeline.now;
  }

  write(changes: readonly Change[], sync: boolean, what = "disk writes"): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ what, changes, sync, resolve, reject });
      this.#work();
    });
  }

  #work(): void {
    const [first] = this.#pending;
    if (this.#isBusy || first === undefined) return;
    this.#isBusy = true;
    const timeline = this.#timeline;
    const done = (end: () => void): void => {
      this.#isBusy = false;
      this.#pending.shift();
      end();
      this.#work();
    };
    timeline.after(this.#slowMs * timeline.random() + timeline.latency(), this.holder, first.what, () => {
      if (this.isFull) {
        // A failed batch may be found written, and every later one fails in the same way.
        if (timeline.random() < 0.5) this.#apply(first.changes);
        return done(() => first.reject(diskFull(this.path)));
      }
      this.#apply(first.changes);
      if (!first.sync) return done(first.resolve);
      timeline.after(this.#slowMs * timeline.random() + timeline.latency(), this.holder, "disk syncs", () => {
        this.#syncLog();
        done(first.resolve);
      });
    });
  }

  #apply(changes: readonly Change[]): void {
    if (this.#timeline.random() < NEW_LOG_CHANCE) this.#beginLog();
    apply(this.entries, changes);
    this.#logged.push({ changes, isInOldLog: false, isSynced: false });
    this.changedAt = this.#timeline.now;
  }

  /** LevelDB waits with a second old log file until the first has become a table. */
  #beginLog(): void {
    this.#persist(this.#logged.filter(({ isInOldLog }) => isInOldLog).length);
    this.#logged = this.#logged.map((logged) => ({ ...logged, isInOldLog: true }));
  }

  #persist(count: number): void {
    for (const { changes } of this.#logged.splice(0, count)) apply(this.#durable, changes);
  }

  #syncLog(): void {
    this.#logged = this.#logged.map((logged) => (logged.isInOldLog ? logged : { ...logged, isSynced: true }));
  }

  /** All is on the medium: opening makes synced tables of the logs that it finds. */
  syncAll(): void {
    this.#persist(this.#logged.length);
  }

  /** Its process is gone. */
  release(): void {
    for (let left = this.#timeline.below(this.#pending.length + 1); left > 0; left--) {
      const changes = this.#pending.shift()?.changes;
      // The one under way may have been applied already; once more makes no difference.
      if (changes !== undefined) this.#apply(changes);
    }
    this.#pending = [];
    this.#isBusy = false;
    this.isFull = false;
    this.holder = undefined;
  }

  /** What had not reached the medium may be gone. Tells how many batches are. */
  cutPower(): number {
    this.aside.cutPower();
    const logged = this.#logged;
    const logs = [logged.filter(({ isInOldLog }) => isInOldLog), logged.filter(({ isInOldLog }) => !isInOldLog)];
    const kept = logs.flatMap((log) => {
      const synced = log.findLastIndex(({ isSynced }) => isSynced) + 1;
      return log.slice(0, synced + this.#timeline.below(log.length - synced + 1));
    });
    this.entries.clear();
    for (const [key, value] of this.#durable) this.entries.set(key, value);
    for (const { changes } of kept) apply(this.entries, changes);
    this.#logged = [];
    this.#durable.clear();
    for (const [key, value] of this.entries) this.#durable.set(key, value);
    return logged.length - kept.length;
  }

  /** Flips a bit of a value. Tells whether there was one. */
  damage(): boolean {
    const keys = [...this.entries.keys()];
    const key = keys[this.#timeline.below(keys.length)];
    if (key === undefined) return false;
    const flipped = Buffer.from(this.entries.get(key) as Buffer);
    if (flipped.length === 0) return false;
    const at = this.#timeline.below(flipped.length);
    flipped[at] = (flipped[at] as number) ^ (1 << this.#timeline.below(8));
    this.entries.set(key, flipped);
    this.isDamaged = true;
    return true;
  }
}

/** A batch that remembers what it was told. */
interface SimulatedBatch extends StateBatch {
  readonly changes: Change[];
}

/** The folders of one machine. They outlive its processes. */
export class SimulatedDisk {
  readonly #timeline: Timeline;
  readonly #slowMs: number;
  readonly #folders = new Map<string, Folder>();
  readonly #notes = new Map<string, string>();

  /** `slowMs` is how long a write takes at most, beside what everything takes. */
  constructor(timeline: Timeline, slowMs: number) {
    this.#timeline = timeline;
    this.#slowMs = slowMs;
  }

  /** The disk as a process sees it. */
  of(line: ProcessLine): StateDisk {
    const timeline = this.#timeline;
    const pass = (what: string): Promise<void> => timeline.wait(timeline.latency(), line, what);
    return {
      open: async (path) => {
        await pass("disk opens");
        return this.#open(path, line);
      },
      isMarkedDamaged: (path) => this.#notes.has(`${path}.DAMAGED`),
      markDamaged: async (path, message) => {
        await pass("disk notes damage");
        this.#notes.set(`${path}.DAMAGED`, message);
      },
      setAside: async (path) => {
        await pass("disk sets aside");
        this.#folders.delete(path);
        this.#notes.delete(`${path}.DAMAGED`);
        return `${path}.damaged`;
      },
      remove: async (path) => {
        await pass("disk removes");
        for (const other of this.#folders.keys()) if (other === path || other.startsWith(`${path}/`)) this.#folders.delete(other);
        for (const other of this.#notes.keys()) if (other.startsWith(`${path}/`)) this.#notes.delete(other);
      },
      names: async (path) => {
        await pass("disk lists");
        return [...this.#folders.keys(), ...this.#notes.keys()].filter((other) => other.startsWith(`${path}/`)).map((other) => other.slice(path.length + 1));
      },
      changedAt: async (path) => {
        await pass("disk looks");
        return this.#folders.get(path)?.changedAt;
      },
      readNote: async (path) => {
        await pass("disk reads a note");
        return this.#notes.get(path);
      },
      writeNote: async (path, text) => {
        await pass("disk writes a note");
        this.#notes.set(path, text);
      },
      removeNote: async (path) => {
        await pass("disk removes a note");
        this.#notes.delete(path);
      },
    };
  }

  #open(path: string, line: ProcessLine): StateBackend {
    const folder = this.#folders.get(path) ?? new Folder(path, this.#timeline, this.#slowMs);
    if (folder.holder !== undefined) throw new TopologyError("FOLDER_IN_USE", `${folder.holder.name} has the folder open`, { place: path, cure: "stop that process" });
    if (folder.isDamaged) throw new TopologyError("STATE_CORRUPT", "a block does not match its checksum", { place: path, cure: "move the folder away" });
    this.#folders.set(path, folder);
    folder.holder = line;
    folder.syncAll();
    return this.#backend(folder, line);
  }

  #backend(folder: Folder, line: ProcessLine): StateBackend<SimulatedBatch> {
    const timeline = this.#timeline;
    const { entries } = folder;
    return {
      aside: folder.aside.of(line, folder.path, () => folder.isFull),
      getSync: (key) => entries.get(textOf(key)),
      newBatch() {
        const changes: Change[] = [];
        return { changes, put: (key, value) => changes.push([textOf(key), Buffer.from(value)]), del: (key) => changes.push([textOf(key), undefined]) };
      },
      write: (batch, { sync }) => folder.write([...batch.changes], sync),
      async *entries(range) {
        await timeline.wait(timeline.latency(), line, "disk scans");
        for (const [key, value] of keysIn(entries, range).map((key) => [key, entries.get(key)] as const)) if (value !== undefined) yield [Buffer.from(key, "latin1"), value] as const;
      },
      async clearRange(range) {
        const keys = keysIn(entries, range);
        const half = keys.length >> 1;
        for (const part of [keys.slice(0, half), keys.slice(half)]) if (part.length > 0) await folder.write(part.map((key): Change => [key, undefined]), false, "disk clears");
      },
      async close() {
        // What is under way ends first; that it fails was told to whoever wrote it.
        await folder.write([], false).catch(() => {});
        await timeline.wait(timeline.latency(), line, "disk closes");
        if (folder.holder === line) folder.release();
      },
    };
  }

  /** The process is dead: its folders are free, and what it was writing is found or not. */
  killed(line: ProcessLine): void {
    for (const folder of this.#folders.values()) if (folder.holder === line) folder.release();
  }

  /** The power is cut. Tells how many batches are lost. */
  cutPower(): number {
    let lost = 0;
    for (const folder of this.#folders.values()) lost += folder.cutPower();
    return lost;
  }

  /** No folder that is open takes another write. Tells how many there are. */
  fill(): number {
    let count = 0;
    for (const folder of this.#folders.values()) {
      if (folder.holder === undefined) continue;
      folder.isFull = true;
      count++;
    }
    return count;
  }

  /** Flips a bit somewhere. Tells whether there was one. */
  damage(): boolean {
    const folders = [...this.#folders.values()];
    return folders[this.#timeline.below(folders.length)]?.damage() === true;
  }

  /** Whether some folder was damaged and not set aside since. */
  get isDamaged(): boolean {
    return [...this.#folders.values()].some(({ isDamaged }) => isDamaged);
  }

  /** What a folder holds, by its keys in Latin-1; undefined where there is none. */
  contents(path: string): ReadonlyMap<string, Buffer> | undefined {
    return this.#folders.get(path)?.entries;
  }
}

/**
 * Checks a LevelDB folder from outside, before LevelDB opens it. LevelDB's files carry checksums, but without its paranoid mode (which
 * `classic-level` does not offer) it serves a table block with a flipped bit, and skips a damaged batch of its log in silence.
 *
 *   CURRENT          names the MANIFEST: "MANIFEST-000004\n"
 *   MANIFEST-000004  log format (level-journal.ts); each record is an edit of the set of live files:
 *                      edit := (tag varint, fields)*
 *                        1 comparator: text | 2 log number | 3 next file number | 4 last sequence | 9 previous log number
 *                        5 compaction pointer: level, key | 6 deleted file: level, number | 7 new file: level, number, size, smallest, largest
 *   000005.ldb       a table (level-table.ts); the live ones must be there, with the size the MANIFEST gives
 *   000006.log       log format; each record is a batch: sequence u64 | count u32 | puts and deletes
 *                      logs from the log number on are replayed at opening; each batch's sequence follows the one before it
 */
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readJournal } from "./level-journal.ts";
import { checkTable, readVarint } from "./level-table.ts";

/** A damaged place: a file of the folder and a position in it. */
export interface LevelDamage {
  readonly file: string;
  readonly offset: number;
  readonly message: string;
}

/** What {@link verifyLevelFolder} found. */
export interface LevelReport {
  readonly damage: readonly LevelDamage[];
  /** Records without their end at the end of a log: a write that was never acknowledged. Not damage. */
  readonly tornTails: readonly LevelDamage[];
  readonly filesChecked: number;
  readonly bytesChecked: number;
}

interface Manifest {
  readonly tables: Map<number, number>;
  logNumber: number;
  previousLogNumber: number;
  lastSequence: number;
}

const BATCH_HEADER = 12;
const MANIFEST_EDIT_BYTES_MAX = 64 << 20;

/** Checks every live file of a LevelDB folder that no process has open. Reads 1-2 GB/s. Never throws for damage; it reports. */
export async function verifyLevelFolder(dir: string): Promise<LevelReport> {
  const check = new FolderCheck(dir);
  await check.run();
  return { damage: check.damage, tornTails: check.tornTails, filesChecked: check.files, bytesChecked: check.bytes };
}

class FolderCheck {
  readonly damage: LevelDamage[] = [];
  readonly tornTails: LevelDamage[] = [];
  files = 0;
  bytes = 0;
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async run(): Promise<void> {
    const names = await readdir(this.#dir);
    const manifestName = this.#current(names);
    if (manifestName === undefined) return;
    const manifest = await this.#manifest(manifestName);
    if (this.damage.length > 0) return;
    for (const [number, size] of manifest.tables) await this.#table(number, size);
    await this.#logs(names, manifest);
  }

  #note(file: string, offset: number, message: string): void {
    this.damage.push({ file, offset, message });
  }

  /** The MANIFEST that CURRENT names. LevelDB would start an empty database over the files of one that lost its CURRENT. */
  #current(names: readonly string[]): string | undefined {
    if (!names.includes("CURRENT")) {
      if (names.some((name) => /^\d+\.(?:ldb|sst|log)$/.test(name))) this.#note("CURRENT", 0, "CURRENT is missing beside tables or logs");
      return undefined;
    }
    this.files++;
    const content = readFileSync(join(this.#dir, "CURRENT"), "latin1");
    if (!/^MANIFEST-\d+\n$/.test(content)) {
      this.#note("CURRENT", 0, "CURRENT does not name a MANIFEST");
      return undefined;
    }
    const name = content.slice(0, -1);
    if (names.includes(name)) return name;
    this.#note("CURRENT", 0, `CURRENT names ${name}, which does not exist`);
    return undefined;
  }

  async #manifest(name: string): Promise<Manifest> {
    const manifest: Manifest = { tables: new Map(), logNumber: 0, previousLogNumber: 0, lastSequence: 0 };
    await this.#journal(name, MANIFEST_EDIT_BYTES_MAX, (offset, edit) => {
      try {
        applyEdit(manifest, edit);
      } catch (error) {
        this.#note(name, offset, `an edit cannot be read: ${(error as Error).message}`);
      }
    });
    return manifest;
  }

  async #journal(name: string, headBytes: number, onRecord: (offset: number, head: Buffer, length: number) => void): Promise<void> {
    const before = this.damage.length;
    const report = await readJournal(join(this.#dir, name), headBytes, onRecord);
    this.files++;
    this.bytes += report.bytes;
    for (const found of report.damage) this.#note(name, found.offset, found.message);
    // The cause comes before what it led to: a record that is not there leaves a gap behind it.
    this.damage.push(...this.damage.splice(before).sort((a, b) => a.offset - b.offset));
    if (report.tornAt !== undefined) this.tornTails.push({ file: name, offset: report.tornAt, message: "the last record has no end" });
  }

  async #table(number: number, size: number): Promise<void> {
    const digits = String(number).padStart(6, "0");
    const name = [`${digits}.ldb`, `${digits}.sst`].find((candidate) => existsSync(join(this.#dir, candidate)));
    if (name === undefined) return this.#note(`${digits}.ldb`, 0, "a table file that the MANIFEST names is missing");
    this.files++;
    this.bytes += size;
    const found = await checkTable(join(this.#dir, name), size);
    if (found !== undefined) this.#note(name, found.offset, found.message);
  }

  async #logs(names: readonly string[], manifest: Manifest): Promise<void> {
    const logs = names
      .filter((name) => /^\d+\.log$/.test(name))
      .map((name) => ({ name, number: Number.parseInt(name, 10) }))
      .filter(({ number }) => number >= manifest.logNumber || (number === manifest.previousLogNumber && number > 0))
      .sort((a, b) => a.number - b.number);
    // LevelDB makes a log before the edit that names it, so a named one is there.
    if (manifest.logNumber > 0 && logs[0]?.number !== manifest.logNumber) {
      this.#note(`${String(manifest.logNumber).padStart(6, "0")}.log`, 0, "the log that the MANIFEST names is missing");
    }
    let expected: number | undefined;
    for (const { name } of logs) {
      await this.#journal(name, BATCH_HEADER, (offset, head) => {
        if (head.length < BATCH_HEADER) return this.#note(name, offset, "a batch is too short");
        const sequence = head.readUInt32LE(4) * 2 ** 32 + head.readUInt32LE(0);
        const least = expected ?? 0;
        const most = expected ?? manifest.lastSequence + 1;
        if (sequence < least || sequence > most) this.#note(name, offset, `batches are missing: sequence ${sequence} where ${most} was due`);
        expected = sequence + head.readUInt32LE(8);
      });
    }
  }
}

function applyEdit(manifest: Manifest, edit: Buffer): void {
  const at = { position: 0 };
  const deleted: number[] = [];
  const added: [number, number][] = [];
  const skipBytes = (): void => {
    const length = readVarint(edit, at);
    at.position += length;
    if (at.position > edit.length) throw new RangeError("a field passes the end");
  };
  while (at.position < edit.length) {
    const tag = readVarint(edit, at);
    if (tag === 1) skipBytes();
    else if (tag === 2) manifest.logNumber = readVarint(edit, at);
    else if (tag === 3) readVarint(edit, at);
    else if (tag === 4) manifest.lastSequence = readVarint(edit, at);
    else if (tag === 9) manifest.previousLogNumber = readVarint(edit, at);
    else if (tag === 5) {
      readVarint(edit, at);
      skipBytes();
    } else if (tag === 6) {
      readVarint(edit, at);
      deleted.push(readVarint(edit, at));
    } else if (tag === 7) {
      readVarint(edit, at);
      const number = readVarint(edit, at);
      added.push([number, readVarint(edit, at)]);
      skipBytes();
      skipBytes();
    } else throw new RangeError(`tag ${tag} is unknown`);
  }
  // In this order: an edit that moves a table to another level deletes and adds the same number.
  for (const number of deleted) manifest.tables.delete(number);
  for (const [number, size] of added) manifest.tables.set(number, size);
}

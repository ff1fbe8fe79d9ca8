/**
 * Keeps a changelog about as large as what it describes, without compaction by the broker: once the changes since the last sweep outweigh the live entries, the
 * commits that follow also carry a share of the live entries each, in the order of their keys. When all have been written again, everything before the
 * sweep's beginning is dead and is deleted.
 *
 * Compaction by key would cost a record a change, and its tombstones are forgotten after a day, which brings deleted keys back into a store that was away for
 * longer. Deletion by age would lose windows whose input stands still.
 */
import { isLink } from "./checkpoint.ts";
import type { StateBackend } from "../state/backend.ts";
import { CHANGELOG_POSITION_KEY, type ChangeRecorder } from "../state/changelog.ts";
import { openSealed } from "../state/sealed.ts";

const CHANGED_BYTES_MIN = 16 * 1_048_576;
const SHARE_BYTES_MIN = 128 * 1_024;
const CHECKPOINT_KEY = Buffer.from("m\0checkpoint");

/** How far a task's sweep is, as its checkpoint keeps it. Sizes are in bytes before packing. */
export interface SweepState {
  /** Changes written since the last sweep began. */
  readonly changed: number;
  /** Size of all live entries when the last sweep ended. */
  readonly live: number;
  /** A sweep under way: everything before this offset will be dead; the last key written, in hex; and how much it has written. */
  readonly running?: { readonly from: number; readonly cursor: string; readonly written: number };
}

/** The state before the first commit. */
export const NO_SWEEP: SweepState = Object.freeze({ changed: 0, live: 0 });

type Entry = readonly [Buffer, Buffer];

/** The sweep of one task's changelog. */
export class ChangelogSweep {
  readonly #backend: StateBackend;
  readonly #changedBytesMin: number;
  #state: SweepState;
  #share: readonly Entry[] = [];
  #isShareLast = false;
  /** Set by the commit that ends a sweep: what may be deleted once it is committed. */
  #dead: number | undefined;

  constructor(backend: StateBackend, state: SweepState, changedBytesMin: number = CHANGED_BYTES_MIN) {
    this.#backend = backend;
    this.#state = state;
    this.#changedBytesMin = changedBytesMin;
  }

  /** Between two commits: reads the share that the next one carries. `position` is the changelog's next offset. Throws STATE_CORRUPT. */
  async prepare(position: number, lastBodyBytes: number): Promise<void> {
    const { changed, live, running } = this.#state;
    if (running === undefined) {
      if (changed < Math.max(this.#changedBytesMin, 2 * live)) return;
      this.#state = { changed: 0, live, running: { from: position, cursor: "", written: 0 } };
    }
    const { cursor } = this.#state.running as NonNullable<SweepState["running"]>;
    const budget = Math.max(SHARE_BYTES_MIN, lastBodyBytes);
    const share: Entry[] = [];
    let bytes = 0;
    this.#isShareLast = true;
    for await (const entry of this.#backend.entries(cursor === "" ? {} : { gt: Buffer.from(cursor, "hex") })) {
      if (bytes >= budget) {
        this.#isShareLast = false;
        break;
      }
      // Damage on this machine's disk must not get into the changelog, from which it would be mended.
      if (!CHANGELOG_POSITION_KEY.equals(entry[0])) openSealed(entry[0], entry[1], "the store, read for its changelog");
      share.push([Buffer.from(entry[0]), Buffer.from(entry[1])]);
      bytes += entry[0].length + entry[1].length;
    }
    this.#share = share;
  }

  /** First in a commit, so that what the commit changes itself comes behind it. Gives the state for the checkpoint. */
  write(recorder: ChangeRecorder): SweepState {
    const { running, live, changed } = this.#state;
    this.#dead = undefined;
    if (running === undefined || (this.#share.length === 0 && !this.#isShareLast)) return this.#state;
    let { written, cursor } = running;
    for (const [key, value] of this.#share) {
      written += key.length + value.length;
      cursor = key.toString("hex");
      // The checkpoint is in every commit anyway, and the position is this machine's own.
      if (!key.equals(CHECKPOINT_KEY) && !key.equals(CHANGELOG_POSITION_KEY) && !isLink(key)) recorder.note(key, value);
    }
    this.#share = [];
    if (this.#isShareLast) {
      this.#dead = running.from;
      this.#state = { changed, live: written };
    } else this.#state = { changed, live, running: { from: running.from, cursor, written } };
    this.#isShareLast = false;
    return this.#state;
  }

  /** The commit is through. Tells before which offset everything is dead, if a sweep has ended with it. */
  committed(bodyBytes: number): number | undefined {
    this.#state = { ...this.#state, changed: this.#state.changed + bodyBytes };
    return this.#dead;
  }
}

import type { ByteWriter } from "../../model/index.ts";
import { KeyIndex } from "../../state/key-index.ts";
import type { TaskContext } from "../context.ts";
import type { UndoLog } from "../undo-log.ts";

/** What a store of a process step is opened with. */
export interface StorePlace {
  readonly context: TaskContext;
  readonly undo: UndoLog;
  /** The wall clock of the task. */
  readonly now: () => number;
}

/** A store as its steps share it. */
export interface OpenedStore {
  /** What steps get of it. */
  readonly store: unknown;
  /** Called before each call of a step, with the step's stream time: what has come to its end goes. */
  readonly advance: (streamTime: number) => void;
  /** False where changes cannot be taken back. */
  readonly takesBack?: boolean;
  /** Called before a call whose changes may be taken back, and after one that threw; where the undo log does not do it. */
  readonly mark?: () => void;
  readonly rollBack?: () => void;
}

export function tableOptions({ cacheEntriesMax, scratch }: TaskContext): { readonly entriesMax: number; readonly scratch: ByteWriter } {
  return { entriesMax: cacheEntriesMax, scratch };
}

/** An index of a store's keys by a time, beside the store. Steps and stores cannot have its name. */
export function indexOf({ context }: StorePlace, name: string): KeyIndex {
  const index = new KeyIndex(context.backend, `${name}/time`, tableOptions(context));
  context.tables.push(index);
  return index;
}

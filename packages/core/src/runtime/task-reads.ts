/** Reads of one task's stores, wherever its state is: here, or in a thread that is asked page by page. */
import type { ReadPlace, ReadRange, StoredRow, StoreReader } from "../task/readers/reader.ts";
import type { OpenedTask } from "./open-task.ts";

/** What is read, as data. */
export type ReadRequest =
  | { readonly what: "row"; readonly store: string; readonly key: string; readonly asOf: number | undefined }
  | { readonly what: "rows"; readonly store: string; readonly range: ReadRange }
  | { readonly what: "windows"; readonly store: string; readonly key: string; readonly from: number; readonly to: number };

/** Reads a task's stores: rows in order; a single row is all or nothing of it. */
export type TaskReads = (request: ReadRequest) => AsyncGenerator<StoredRow, void>;

async function* one(row: StoredRow | undefined | Promise<StoredRow | undefined>): AsyncGenerator<StoredRow, void> {
  const found = await row;
  if (found !== undefined) yield found;
}

async function* none(): AsyncGenerator<StoredRow, void> {}

/** A task's state: what the last commit left. */
export function readPlaceOf({ backend, committer }: OpenedTask): ReadPlace {
  return { backend, streamTime: (step) => committer.checkpoint.streamTimes[step] ?? Number.NEGATIVE_INFINITY };
}

/** Reads a task's state in this thread. */
export function localReads(opened: OpenedTask, readerOf: (store: string) => StoreReader | undefined): TaskReads {
  const place = readPlaceOf(opened);
  return (request) => {
    const reader = readerOf(request.store);
    switch (request.what) {
      case "row":
        return one(reader?.get?.(place, request.key, request.asOf));
      case "rows":
        return reader?.range?.(place, request.range) ?? none();
      case "windows":
        return reader?.windows?.(place, request.key, request.from, request.to) ?? none();
    }
  };
}

/** Rows of a read that is under way. */
export interface ReadPage {
  readonly rows: readonly StoredRow[];
  readonly isLast: boolean;
}

const PAGE_ROWS = 500;

/** The reads that somebody in another thread has begun. */
export class OpenReads {
  readonly #reads = new Map<number, AsyncGenerator<StoredRow, void>>();

  begin(id: number, rows: AsyncGenerator<StoredRow, void>): Promise<ReadPage> {
    this.#reads.set(id, rows);
    return this.next(id);
  }

  async next(id: number): Promise<ReadPage> {
    const rows = this.#reads.get(id);
    const page: StoredRow[] = [];
    while (rows !== undefined && page.length < PAGE_ROWS) {
      const { value, done } = await rows.next();
      if (done === true) break;
      page.push(value);
    }
    const isLast = page.length < PAGE_ROWS;
    if (isLast) this.#reads.delete(id);
    return { rows: page, isLast };
  }

  /** Nobody wants the rest. */
  async end(id: number): Promise<void> {
    const rows = this.#reads.get(id);
    this.#reads.delete(id);
    await rows?.return();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#reads.keys()].map((id) => this.end(id)));
  }
}

/** How another thread is asked. */
export interface RemoteReads {
  readonly begin: (request: ReadRequest) => { readonly id: number; readonly page: Promise<ReadPage> };
  readonly next: (id: number) => Promise<ReadPage>;
  readonly end: (id: number) => void;
}

/** Reads a task's state in another thread. */
export function remoteReads(remote: RemoteReads): TaskReads {
  return async function* read(request) {
    const { id, page: first } = remote.begin(request);
    let page = await first;
    try {
      for (;;) {
        yield* page.rows;
        if (page.isLast) return;
        page = await remote.next(id);
      }
    } finally {
      if (!page.isLast) remote.end(id);
    }
  };
}

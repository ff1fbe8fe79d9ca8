/** What happened to records, a task. Part of the checkpoint, so that the sums hold over restarts. */
export interface TaskCounters {
  read: number;
  deduplicated: number;
  filtered: number;
  skipped: number;
  late: number;
  /** Records that a step cannot take by its own rule, as Kafka Streams' dropped records: `null-key`, `null-value`, `expired`; a reason. */
  dropped: Record<string, number>;
  /** Rows sealed, a sink. */
  written: Record<string, number>;
  /** Dead letters, a code. */
  deadLetters: Record<string, number>;
}

/** All zero, or a copy of what a checkpoint holds. */
export function makeCounters(saved?: TaskCounters): TaskCounters {
  return saved === undefined
    ? { read: 0, deduplicated: 0, filtered: 0, skipped: 0, late: 0, dropped: {}, written: {}, deadLetters: {} }
    : { ...saved, dropped: { ...saved.dropped }, written: { ...saved.written }, deadLetters: { ...saved.deadLetters } };
}

function addInto(target: Record<string, number>, source: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(source)) target[name] = (target[name] ?? 0) + count;
}

/** The sums over tasks. */
export function sumCounters(all: readonly Readonly<TaskCounters>[]): TaskCounters {
  const sum = makeCounters();
  for (const { dropped, written, deadLetters, ...numbers } of all) {
    for (const [name, count] of Object.entries(numbers)) sum[name as keyof typeof numbers] += count;
    addInto(sum.dropped, dropped);
    addInto(sum.written, written);
    addInto(sum.deadLetters, deadLetters);
  }
  return sum;
}

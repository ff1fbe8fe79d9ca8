/* eslint-disable no-template-curly-in-string -- the edits are pieces of sources. */
/** Planted bugs, a step of the protocol each: what the simulator must find. The last ones are bugs that it did find, put back. */

/** A piece of a source file that becomes another. */
export interface Edit {
  /** In `packages/core/src`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** One planted bug. */
export interface Mutant {
  readonly name: string;
  readonly what: string;
  readonly edits: readonly Edit[];
  /** Where it shows; both where absent. */
  readonly mode?: "local" | "replicated";
  readonly topology?: string;
}

const COMMIT = "commit/commit.ts";
const REPLICATED = "commit/replicated-commit.ts";

/** All of them. */
export const mutants: readonly Mutant[] = [
  {
    name: "store-before-transaction", mode: "replicated", what: "the local store is written before the transaction that makes it true",
    edits: [
      { file: REPLICATED, from: `    failpoint("commit.before-transaction");`, to: `    await this.backend.write(body.write, { sync: false });` },
    ],
  },
  {
    name: "offsets-without-state", mode: "local", what: "a commit stores offsets, but not the stores' changes",
    edits: [{ file: COMMIT, from: "    task.flushState(write);", to: "    task.flushState(this.#backend.newBatch());" }],
  },
  {
    name: "state-without-offsets", mode: "local", what: "a commit stores the stores' changes, but the offsets of the commit before",
    edits: [{ file: COMMIT, from: "    offsets,\n    sequences,", to: "    offsets: last.offsets,\n    sequences," }],
  },
  {
    name: "transaction-without-offsets", mode: "replicated", what: "the transaction leaves out the group's offsets",
    edits: [{ file: REPLICATED, from: "group, positions });", to: "group, positions: [] });" }],
  },
  {
    name: "transaction-without-changelog", mode: "replicated", what: "outputs and offsets are committed, the changelog is not",
    edits: [{ file: REPLICATED, from: "batches: [...outputs, { topic: changelog.topic, partition: changelog.partition, frames, recordCount }]", to: "batches: [...outputs]" }],
  },
  {
    name: "fetched-for-processed", what: "offsets of fetched records are committed instead of those of processed ones",
    edits: [{ file: COMMIT, from: "offsets[topicPartitionName(input.topic, input.partition)] = input.position;", to: "offsets[topicPartitionName(input.topic, input.partition)] = (input as unknown as { fetchOffset: number }).fetchOffset;" }],
  },
  {
    name: "commit-not-synced", mode: "local", what: "a commit resolves before its batch is on the medium",
    edits: [{ file: COMMIT, from: "await this.#backend.write(write, { sync: true });", to: "await this.#backend.write(write, { sync: false });" }],
  },
  {
    name: "rows-not-synced", mode: "local", what: "the store points to rows beside it that are not on the medium yet",
    edits: [{ file: COMMIT, from: "    await this.#aside.write();", to: "    this.#aside.write().catch(() => {});" }],
  },
  {
    name: "place-used-again-at-once", mode: "local", what: "other rows are written over delivered ones before a synced batch has deleted the entry that points there",
    edits: [{ file: "commit/aside-rows.ts", from: "    this.#acknowledged.push({ key: outboxKey(batch), place });", to: "    this.#space.free(place);\n    this.#acknowledged.push({ key: outboxKey(batch), place });" }],
  },
  {
    name: "acknowledgement-taken-for-durable", mode: "local", what: "the next commit does not delete again what an acknowledgement deleted without a sync",
    edits: [{ file: "commit/aside-rows.ts", from: "    for (const { key } of this.#acknowledged) batch.del(key);\n", to: "    void batch;\n" }],
  },
  {
    name: "places-forgotten", mode: "local", what: "a start takes all places beside the store for free",
    edits: [{ file: "runtime/open-task.ts", from: "task: id }, last, outbox);", to: "task: id }, last, []);" }],
  },
  {
    name: "sent-before-durable", mode: "local", what: "batches go to the sinks while the commit that seals them is still being written",
    edits: [{ file: COMMIT, from: "    await this.#backend.write(write, { sync: true });", to: "    this.#backend.write(write, { sync: true }).catch(() => {});" }],
  },
  {
    name: "token-reused", what: "the token names neither the sequence nor the content",
    edits: [{ file: "commit/seal.ts", from: ":${sequence}:${content}`", to: "`" }],
  },
  {
    name: "sequence-not-kept", mode: "local", what: "the sequences of sealed batches begin anew after a restart",
    edits: [{ file: COMMIT, from: "    offsets,\n    sequences,", to: "    offsets,\n    sequences: {}," }],
  },
  {
    name: "resealed-with-other-bounds", mode: "local", what: "the outbox is forgotten at a start and its records are processed again under other bounds",
    edits: [{ file: COMMIT, from: "return { checkpoint, outbox: await readOutbox(backend, place) };", to: "void readOutbox; return { checkpoint: checkpoint && { ...checkpoint, offsets: {} }, outbox: [] };" }],
  },
  {
    name: "outbox-not-read", what: "a start forgets what was sealed and not delivered",
    edits: [{ file: COMMIT, from: "return { checkpoint, outbox: await readOutbox(backend, place) };", to: "void readOutbox; return { checkpoint, outbox: [] };" }],
  },
  {
    name: "acknowledged-before-sent", what: "a batch leaves the outbox before its sink has acknowledged it",
    edits: [
      { file: "runtime/lane.ts", from: "    await this.#sink.deliver(item.entry.batch, { uncertain });", to: "    await item.acknowledge(item.entry);\n    await this.#sink.deliver(item.entry.batch, { uncertain });" },
      { file: "runtime/lane.ts", from: "    failpoint(\"deliver.after-send\");\n    await item.acknowledge(item.entry);", to: "" },
    ],
  },
  {
    name: "failure-taken-for-success", what: "a lane goes on behind a delivery that failed",
    edits: [{ file: "runtime/lane.ts", from: "        if (!error.retriable) {", to: "        if (error.retriable) return \"done\";\n        if (!error.retriable) {" }],
  },
  {
    name: "uncertainty-forgotten", what: "a batch whose answer was lost is sent again as if it had never been sent",
    edits: [{ file: "runtime/lane.ts", from: "    item.uncertain = true;\n", to: "" }],
  },
  {
    name: "delivered-out-of-order", what: "a lane sends the youngest batch first",
    edits: [
      { file: "runtime/lane.ts", from: "      const item = this.#queue[0];\n", to: "      const item = this.#queue.at(-1);\n" },
      { file: "runtime/lane.ts", from: "      this.#queue.shift();\n", to: "      this.#queue.splice(this.#queue.indexOf(item), 1);\n" },
    ],
  },
  {
    name: "kept-after-abort", mode: "replicated", topology: "sites", what: "rows of a transaction that failed go into the next one too",
    edits: [
      { file: REPLICATED, from: "const BODY_BYTES_KEPT", to: "const KEPT = new Map<string, ReturnType<Committable[\"takeRows\"]>>();\nconst BODY_BYTES_KEPT" },
      { file: REPLICATED, from: "    const rows = task.takeRows();", to: "    const rows = [...(KEPT.get(origin.task) ?? []), ...task.takeRows()];\n    KEPT.set(origin.task, rows);" },
      { file: REPLICATED, from: `    failpoint("commit.after-transaction");`, to: "    KEPT.delete(origin.task);" },
    ],
  },
  {
    name: "memory-kept-after-abort", mode: "replicated", what: "a task goes on with its memory after its transaction has failed",
    edits: [{ file: "runtime/cluster-task.ts", from: "const position = set ?? stored ?? start;", to: "const position = set === undefined ? (stored ?? start) : Math.max(set, KEPT.get(name) ?? 0);\n    KEPT.set(name, end);" },
      { file: "runtime/cluster-task.ts", from: "/** A task's place in the cluster. */", to: "const KEPT = new Map<string, number>();\n/** A task's place in the cluster. */" }],
  },
  {
    name: "fence-skipped", mode: "replicated", what: "a task is read and restored before its former owner is fenced",
    edits: [{
      file: "runtime/cluster-task.ts", from: "  const producer = await log.openProducer(transactionalIdOf(plan.topology.name, id));",
      to: "  let late: TransactionalProducer | undefined;\n  const producer: TransactionalProducer = { transactionalId: id, commit: async (transaction) => (late ??= await log.openProducer(transactionalIdOf(plan.topology.name, id))).commit(transaction), close: async () => late?.close() };",
    }],
  },
  {
    name: "restore-skipped", mode: "replicated", what: "a task begins with what its local store holds",
    edits: [{ file: "runtime/cluster-task.ts", from: "      await store.catchUp();\n", to: "" }],
  },
  {
    name: "restore-too-short", mode: "replicated", what: "a restore ends before the changelog's last record",
    edits: [{ file: "runtime/restore.ts", from: "    while (this.#position < end && !signal.aborted) {", to: "    for (let left = 1; left > 0 && this.#position < end && !signal.aborted; left--) {" }, { file: "runtime/restore.ts", from: "const FETCH_LIMITS = { recordsMax: 1_000,", to: "const FETCH_LIMITS = { recordsMax: 2," }],
  },
  {
    name: "read-uncommitted", mode: "replicated", topology: "sites", what: "readers see records of open and aborted transactions",
    edits: [
      { file: "testing/memory-cluster/partition.ts", from: "    const endOffset = this.stableEnd;", to: "    const endOffset = this.next;" },
      { file: "testing/memory-cluster/partition.ts", from: "      const record = visibleRecord(this.#entries[at - this.#start] as ClusterEntry);", to: "      const record = (this.#entries[at - this.#start] as ClusterEntry).record;" },
    ],
  },
  {
    name: "window-store-not-written", topology: "sites", what: "dedup within a time forgets at a restart what it has seen",
    edits: [{ file: "task/operators/dedup.ts", from: "  context.windows.push({ table: table, startBound: oldestKept });\n", to: "" }],
  },
  {
    name: "expired-before-commit", what: "windows are cleared by a stream time that no commit holds yet",
    edits: [{ file: "task/task.ts", from: "table.expire(this.#expireTo[index] ?? Number.NEGATIVE_INFINITY)", to: "table.expire(windows[index]?.startBound() ?? Number.NEGATIVE_INFINITY)" }],
  },
  {
    name: "stream-time-not-kept", what: "stream time begins anew after a restart",
    edits: [{ file: COMMIT, from: "    streamTimes: { ...task.streamTimes },", to: "    streamTimes: {}," }],
  },
  {
    name: "counters-not-kept", what: "counters begin anew after a restart",
    edits: [{ file: COMMIT, from: "    counters: structuredClone(task.counters),", to: "    counters: { ...structuredClone(task.counters), read: 0 }," }],
  },
  {
    name: "rebuilt-as-certain", mode: "local", topology: "plant", what: "state that is made again delivers its rows as if they were new",
    edits: [{ file: "runtime/open-task.ts", from: "...(rebuild ? { rebuildUntil: ends } : {})", to: "" }],
  },
  {
    name: "join-side-not-kept", topology: "shop", what: "a join forgets at a restart what one stream has brought",
    edits: [{ file: "task/operators/stream-stream-join.ts", from: "  for (const table of buffer.tables) context.windows.push(", to: "  for (const table of buffer.tables) if (!isLeft) context.windows.push(" }],
  },
  {
    name: "pending-call-forgotten", topology: "shop", what: "an asynchronous step forgets at a restart which calls had no result",
    edits: [{ file: "task/operators/map-async.ts", from: "      this.#sequence = timeOfKey(key) + 1;\n      this.#wait(key, pending);", to: "      this.#sequence = timeOfKey(key) + 1;" }],
  },
  {
    name: "result-counts-twice", topology: "shop", what: "a result leaves, and the call stays among the pending ones",
    edits: [{ file: "task/operators/map-async.ts", from: "    this.#table.delete(key);\n", to: "" }],
  },
  {
    name: "global-table-not-read-first", topology: "directory", what: "streams go on before the global tables that they are joined with are read",
    edits: [{ file: "task/task.ts", from: "    if (!this.isReady) return earliest(this.#globals);", to: "    if (!this.isReady) return earliest(this.#streams) ?? earliest(this.#globals);" }],
  },
  {
    name: "global-positions-not-kept", topology: "directory", what: "a restart takes a global table for read although its rows are not in the store",
    edits: [{ file: "runtime/global-inputs.ts", from: "const position = checkpoint?.offsets[name] ?? start;", to: "const position = checkpoint?.offsets[name] ?? end;" }],
  },
  {
    name: "answers-in-any-order", topology: "directory", what: "an answer to a join by foreign key counts although a newer one came before",
    edits: [{ file: "topology/foreign-key-topics.ts", from: "answer.version < known.version", to: "answer.version < 0" }],
  },
  {
    name: "closings-forgotten", topology: "visits", what: "which sessions are to be sent when they are over is forgotten at a restart",
    edits: [{ file: "task/windowing/session-windows.ts", from: "    context.tables.push(this.#table, this.#due);", to: "    context.tables.push(this.#table);" }],
  },
  {
    name: "suppressed-forgotten", topology: "visits", what: "what a suppress holds back is forgotten at a restart",
    edits: [{ file: "task/operators/suppress.ts", from: "context.tables.push(this.#entries, this.#order,", to: "context.tables.push(this.#order," }],
  },
  {
    name: "damage-into-changelog", mode: "replicated", what: "a flipped bit of the local store is written into its changelog (found by the simulator)",
    edits: [{ file: "commit/changelog-sweep.ts", from: `      if (!CHANGELOG_POSITION_KEY.equals(entry[0])) openSealed(entry[0], entry[1], "the store, read for its changelog");\n`, to: "" }],
  },
  {
    name: "first-commit-may-be-lost", mode: "replicated", what: "a store that lacks its first commits is taken for whole (found by the simulator)",
    edits: [{ file: "commit/checkpoint.ts", from: "  if (first !== begins) throw", to: "  if (first !== begins && process.uptime() < 0) throw" }],
  },
  {
    name: "last-batch-overtakes", mode: "replicated", what: "the last batch of a task that moves overtakes those that its next owner will send (found by the simulator)",
    edits: [{ file: "runtime/task-fleet.ts", from: "    worker().retire(opened);\n", to: "" }],
  },
];

import type { SourceLog } from "../../port/index.ts";
import type { Topology } from "../../topology/index.ts";

/** How an instance spreads its tasks over threads. */
export interface ThreadOptions {
  /** How many threads; never more are started than there are tasks. */
  readonly count: number;
  /**
   * The module that gives each thread its topology, since functions cannot be handed from thread to thread: its default export, or its export `threadTopology`, is the topology or a function of
   * `data` that gives it (see {@link ThreadModule}). It must be the topology that the instance is opened with.
   */
  readonly module: string | URL;
  /** What the module's function is called with: data that can be copied. */
  readonly data?: unknown;
}

/** A topology for a thread, and what its log needs before records are cast. */
export interface ThreadTopology {
  readonly topology: Topology;
  /** Wraps the thread's log, as `withRegistry` does. */
  readonly prepare?: (log: SourceLog) => Promise<SourceLog>;
}

/** The export of the module that {@link ThreadOptions} names. */
export type ThreadModule = Topology | ((data: unknown) => Topology | ThreadTopology | Promise<Topology | ThreadTopology>);

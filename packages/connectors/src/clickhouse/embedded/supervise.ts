import { setTimeout as sleep } from "node:timers/promises";
import { silentLogger, TopologyError } from "@iot-topology/core";
import { type EmbeddedClickHouse, type EmbeddedClickHouseOptions, type ExitInfo, exitText, startEmbeddedClickHouse } from "./start.ts";

/*
 *   running --(ends unexpectedly)--> waiting --(back-off over)--> starting --(answers)--> running
 *      |                                                             |
 *    stop()                                             fails, or a crash too many
 *      v                                                             v
 *   stopped                                                       failed
 */

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;
const CRASHES_MAX = 10;
/** A server that ran this long was well: its next crash counts as the first. */
const STABLE_MS = 3_000;

/** Options of {@link superviseEmbeddedClickHouse}. */
export interface SupervisedClickHouseOptions extends EmbeddedClickHouseOptions {
  /** How many crashes in a row, each within 3 s of its start, are answered by another start. 10 by default. */
  readonly crashesMax?: number;
  /** The longest wait before a new start, in milliseconds; it begins at 100 ms and doubles. 5 s by default. */
  readonly backoffMsMax?: number;
  /** Called after each crash, before the next start. */
  readonly onCrash?: (exit: ExitInfo, crashes: number) => void;
  /** Called after each start that followed a crash. */
  readonly onRestart?: (pid: number) => void;
}

/** An embedded server that is started again when it ends unexpectedly, on the same ports. */
export interface SupervisedClickHouse {
  /** The same for every start. */
  readonly url: string;
  readonly httpPort: number;
  readonly tcpPort: number;
  /** The process id now, or undefined between two starts. */
  readonly pid: number | undefined;
  /** How often it was started again. */
  readonly restarts: number;
  /** Resolves only if it was given up: CLICKHOUSE_CRASHED, or why it could not be started again. */
  readonly failed: Promise<TopologyError>;
  /** Ends the server and the supervision. */
  stop(): Promise<void>;
}

/**
 * Starts the embedded server and keeps it running: when its process ends unexpectedly it is started again on the same ports,
 * after a back-off, until too many quick crashes.
 *
 * @throws TopologyError as {@link startEmbeddedClickHouse} does, for the first start.
 */
export async function superviseEmbeddedClickHouse(options: SupervisedClickHouseOptions): Promise<SupervisedClickHouse> {
  const first = await startEmbeddedClickHouse(options);
  return new Supervisor(options, first);
}

class Supervisor implements SupervisedClickHouse {
  readonly url: string;
  readonly httpPort: number;
  readonly tcpPort: number;
  readonly failed: Promise<TopologyError>;
  restarts = 0;
  readonly #options: SupervisedClickHouseOptions;
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;
  #server: EmbeddedClickHouse | undefined;

  constructor(options: SupervisedClickHouseOptions, first: EmbeddedClickHouse) {
    this.#options = options;
    this.#server = first;
    this.url = first.url;
    this.httpPort = first.httpPort;
    this.tcpPort = first.tcpPort;
    let giveUp: (error: TopologyError) => void = () => {};
    this.failed = new Promise((resolve) => (giveUp = resolve));
    this.#done = this.#watch(first).catch((cause: unknown) => {
      if (this.#stopping.signal.aborted) return;
      giveUp(cause instanceof TopologyError ? cause : new TopologyError("CLICKHOUSE_CRASHED", "the embedded ClickHouse could not be started again", { cause }));
    });
  }

  get pid(): number | undefined {
    return this.#server?.pid;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#server?.stop();
    await this.#done;
    await this.#server?.stop();
  }

  async #watch(first: EmbeddedClickHouse): Promise<void> {
    const { crashesMax = CRASHES_MAX, backoffMsMax = BACKOFF_MS_MAX, logger = silentLogger, onCrash, onRestart } = this.#options;
    let server = first;
    let startedAt = Date.now();
    let crashes = 0;
    for (;;) {
      const exit = await server.exited;
      this.#server = undefined;
      if (this.#stopping.signal.aborted || exit.expected) return;
      crashes = Date.now() - startedAt > STABLE_MS ? 1 : crashes + 1;
      onCrash?.(exit, crashes);
      if (crashes > crashesMax) throw crashedTooOften(exit, crashes, this.#options.dataDir);
      const waitMs = Math.min(backoffMsMax, BACKOFF_MS_MIN * 2 ** (crashes - 1));
      logger.warn({ ...exit, log: exit.log.slice(-5), crashes, waitMs }, "the embedded ClickHouse ended unexpectedly and is started again");
      await sleep(waitMs, undefined, { signal: this.#stopping.signal });
      server = await this.#startAgain();
      startedAt = Date.now();
      this.#server = server;
      this.restarts++;
      onRestart?.(server.pid);
    }
  }

  /** On the same ports. They may be taken for a moment by the old process's last connections, so PORT_IN_USE is tried again. */
  async #startAgain(): Promise<EmbeddedClickHouse> {
    const { httpPort, tcpPort } = this;
    for (let attempt = 1; ; attempt++) {
      try {
        return await startEmbeddedClickHouse({ ...this.#options, httpPort, tcpPort, signal: this.#stopping.signal });
      } catch (error) {
        const mayPass = error instanceof TopologyError && (error.code === "PORT_IN_USE" || error.code === "CLICKHOUSE_CRASHED");
        if (!mayPass || attempt >= 10) throw error;
        await sleep(BACKOFF_MS_MIN * attempt, undefined, { signal: this.#stopping.signal });
      }
    }
  }
}

function crashedTooOften(exit: ExitInfo, crashes: number, dataDir: string): TopologyError {
  const log = exit.log.slice(-12).join("\n  ");
  return new TopologyError("CLICKHOUSE_CRASHED", `the embedded ClickHouse ended ${crashes} times in a row (${exitText(exit)})${log === "" ? "" : `; it said:\n  ${log}`}`, {
    place: dataDir,
    cure: "see the lines above; check memory and disk, or use a server of your own: --clickhouse http://HOST:8123",
  });
}

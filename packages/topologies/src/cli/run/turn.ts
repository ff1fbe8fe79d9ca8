import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Logger, TopologyError } from "@iot-topology/core";
import type { AnyLog } from "./log.ts";

/** A source that nobody has read on for this long is free. More than a transaction takes, by far. */
const STILL_MS = 5_000;
const STILL_MS_SPREAD = 2_000;
const LOOK_EVERY_MS = 500;

/**
 * Reads a source that only one process may read at a time. Another one that reads it fences us, or we fence it; whoever was fenced waits until the source
 * is finished or stands still, and goes on from where it stands then. Nothing is lost or doubled, however often the turn changes.
 */
export async function inTurn<T>(log: AnyLog, work: () => Promise<T>, { signal, logger, source }: { readonly signal: AbortSignal; readonly logger: Logger; readonly source: string }): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TopologyError) || error.code !== "PRODUCER_FENCED" || signal.aborted) throw error;
    }
    logger.info({ source }, "another process reads this source; waiting until it has finished or stands still");
    await standsStill(log, signal);
    signal.throwIfAborted();
  }
}

async function standsStill(log: AnyLog, signal: AbortSignal): Promise<void> {
  const stillMs = STILL_MS + randomInt(STILL_MS_SPREAD);
  let seen = "";
  let since = performance.now();
  while (!signal.aborted && performance.now() - since < stillMs) {
    const positions: string[] = [];
    for await (const [source, position] of log.sourcePositions()) positions.push(`${source} ${position.toString("base64")}`);
    const now = positions.join("\n");
    if (now !== seen) since = performance.now();
    seen = now;
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
  }
}

/**
 * SIGINT, SIGTERM and SIGHUP ask for a graceful stop; a second one ends at once with 130. A terminal, npm and a re-exec each pass a
 * Ctrl-C on, so that one comes as several within milliseconds: what follows that closely is the same one.
 */
const SAME_SIGNAL_MS = 300;

/** A stop that was asked for. */
export interface StopRequest {
  readonly signal: AbortSignal;
  /** Stops listening: signals do what they do by default again. */
  release(): void;
}

/** Listens for signals until released. */
export function stopRequest(onFirst: (name: NodeJS.Signals) => void): StopRequest {
  const controller = new AbortController();
  let firstAt: number | undefined;
  const listen = (name: NodeJS.Signals): void => {
    const now = performance.now();
    if (firstAt === undefined) {
      firstAt = now;
      onFirst(name);
      controller.abort();
    } else if (now - firstAt > SAME_SIGNAL_MS) process.exit(130);
  };
  const names: NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const name of names) process.on(name, listen);
  return { signal: controller.signal, release: () => names.forEach((name) => process.off(name, listen)) };
}

/**
 * The process that holds the broker which all test files share: `node keeper.ts SOCKET JAVA LIBS`. Whoever wants the broker connects to the socket and is
 * told the address in a line of JSON; the broker lives as long as anyone is connected, and some seconds more, for the next test file.
 */
import { rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { startCluster } from "./cluster.ts";

const IDLE_MS = 10_000;
const [path = "", java = "", libs = ""] = process.argv.slice(2);

/** What the keeper says to whoever connects. */
export type Greeting = { readonly brokers: readonly string[]; readonly dir: string } | { readonly error: string };

/** Whether another keeper listens on the socket. */
function isTaken(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(true));
    socket.on("connect", () => socket.destroy());
    socket.on("error", () => resolve(false));
  });
}

async function keep(): Promise<void> {
  let clients = 0;
  let idle: NodeJS.Timeout | undefined;
  let leave = (): void => {};
  const left = new Promise<void>((resolve) => (leave = resolve));
  const waitIdle = (): void => {
    clearTimeout(idle);
    idle = setTimeout(() => {
      if (clients === 0) leave();
    }, IDLE_MS);
  };
  const server = createServer((socket) => {
    clients++;
    socket.on("error", () => {});
    socket.on("close", () => {
      clients--;
      waitIdle();
    });
    socket.resume();
    void greeting.then((said) => socket.write(`${JSON.stringify(said)}\n`));
  });
  const listen = (): Promise<boolean> => new Promise((resolve) => {
    server.once("error", () => resolve(false)).listen(path, () => resolve(true));
  });
  // A socket file whose owner is gone is taken away; two keepers that do this at once are harmless, the one nobody finds goes idle.
  let start = (): void => {};
  const greeting: Promise<Greeting> = new Promise<void>((resolve) => (start = resolve)).then(() => cluster).then(({ brokers, dir }) => ({ brokers, dir }), (error: unknown) => ({ error: String(error) }));
  if (!(await listen())) {
    if (await isTaken()) return;
    rmSync(path, { force: true });
    if (!(await listen())) return;
  }
  const cluster = startCluster({ java, libs }, { heapMb: 768 });
  // A broker that ended, whoever did it, is nothing to hold on to: who comes next gets another.
  void cluster.then(({ nodes }) => setInterval(() => {
    if (nodes.some((node) => node.pid === undefined)) leave();
  }, 1_000), () => leave());
  start();
  waitIdle();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => leave());
  await left;
  server.close();
  await cluster.then((each) => each.close(), () => {});
  process.exit();
}

await keep();

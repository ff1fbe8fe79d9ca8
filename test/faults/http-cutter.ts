/** A proxy in front of ClickHouse that can lose the reply to the next insert: the request goes through whole, and the connection is cut when the answer comes. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface HttpCutter {
  readonly url: string;
  readonly fired: number;
  arm(): void;
  close(): Promise<void>;
}

/** Starts the proxy in front of a server of 127.0.0.1. */
export async function startHttpCutter(upstream: string): Promise<HttpCutter> {
  const port = Number(new URL(upstream).port);
  const sockets = new Set<Socket>();
  let isArmed = false;
  let fired = 0;
  const server = createServer((client) => {
    const to = connect({ host: "127.0.0.1", port });
    let isLosing = false;
    for (const [socket, other] of [[client, to], [to, client]] as const) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on("data", (chunk: Buffer) => {
      if (isArmed && /^POST \S*INSERT/i.test(chunk.toString("latin1"))) {
        isArmed = false;
        isLosing = true;
      }
      to.write(chunk);
    });
    to.on("data", (chunk: Buffer) => {
      if (!isLosing) return void client.write(chunk);
      fired++;
      client.resetAndDestroy();
      to.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get fired() {
      return fired;
    },
    arm() {
      isArmed = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

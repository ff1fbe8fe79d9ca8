import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";

/** What the proxy does to the next request whose head matches. */
export interface Cut {
  readonly match: RegExp;
  /** `reply`: the request goes through whole, and the connection is cut before the reply. A number: only so many bytes of the request go through. */
  readonly at: "reply" | number;
  /** With a number: the rest is held back until `resume`, and nothing is cut. */
  readonly hold?: true;
}

/** A TCP proxy on loopback that can lose a reply or tear a request. */
export interface CuttingProxy {
  readonly url: string;
  /** Cuts that fired so far. */
  readonly fired: number;
  /** Whether it holds something back. */
  readonly isHolding: boolean;
  arm(cut: Cut): void;
  /** Stops passing on what clients send, in the midst of it, as a stopped process would. */
  hold(): void;
  /** Passes on what was held, and everything from then on. */
  resume(): void;
  close(): Promise<void>;
}

/** Starts a proxy in front of a port of 127.0.0.1. */
export async function startCuttingProxy(upstreamPort: number): Promise<CuttingProxy> {
  let armed: Cut | undefined;
  let held: (() => void)[] | undefined;
  let fired = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = connect({ host: "127.0.0.1", port: upstreamPort, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    let cutting: Cut | undefined;
    let passed = 0;
    const cutNow = (): void => {
      fired++;
      cutting = undefined;
      client.destroy();
    };
    const take = (chunk: Buffer): void => {
      if (cutting === undefined && armed !== undefined && armed.match.test(decodeURIComponent(chunk.toString("latin1").split("\r\n")[0]?.replaceAll("+", " ").replaceAll(/%(?![0-9A-F]{2})/g, "") ?? ""))) {
        cutting = armed;
        armed = undefined;
        passed = 0;
      }
      if (cutting === undefined || cutting.at === "reply") return void upstream.write(chunk);
      const room = cutting.at - passed;
      passed += chunk.length;
      if (chunk.length < room) return void upstream.write(chunk);
      if (cutting.hold === true) {
        fired++;
        cutting = undefined;
        upstream.write(chunk.subarray(0, room));
        held = [() => upstream.write(chunk.subarray(room))];
        return;
      }
      upstream.end(chunk.subarray(0, room));
      cutNow();
    };
    client.on("data", (chunk: Buffer) => {
      if (held === undefined) take(chunk);
      else held.push(() => take(chunk));
    });
    upstream.on("data", (chunk: Buffer) => {
      if (cutting?.at !== "reply") return void client.write(chunk);
      cutNow();
      upstream.destroy();
    });
    client.on("end", () => upstream.end());
    upstream.on("end", () => client.end());
    client.on("close", () => setTimeout(() => upstream.destroy(), 2_000).unref());
    upstream.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get fired() {
      return fired;
    },
    get isHolding() {
      return held !== undefined;
    },
    arm(cut) {
      armed = cut;
    },
    hold() {
      held ??= [];
    },
    resume() {
      const waiting = held ?? [];
      held = undefined;
      for (const pass of waiting) pass();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

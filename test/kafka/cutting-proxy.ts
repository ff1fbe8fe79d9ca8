/**
 * A TCP proxy in front of a broker that understands Kafka's framing, so that it can lose a reply after the broker applied the request:
 *
 *     request   length:int32 apiKey:int16 apiVersion:int16 correlationId:int32 ...
 *     response  length:int32 correlationId:int32 ...
 *
 * An armed cut waits for the next request of its kind. `reply`: the request goes through, the broker's whole response is read and thrown away, and the
 * connection is cut. `request`: the connection is cut before the broker sees anything of it.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** The kinds of request that tests cut, by Kafka's numbers. */
export const apiKeys = { produce: 0, fetch: 1, offsetCommit: 8, joinGroup: 11, heartbeat: 12, syncGroup: 14, initProducerId: 22, addPartitionsToTxn: 24, addOffsetsToTxn: 25, endTxn: 26, txnOffsetCommit: 28 } as const;

export interface Cut {
  readonly apiKey: number;
  readonly at: "reply" | "request";
  /** How many requests of the kind are let through first. */
  readonly after?: number;
}

export interface CuttingProxy {
  readonly port: number;
  /** Cuts that fired so far. */
  readonly fired: number;
  /** Requests seen so far, by API key. */
  requests(apiKey: number): number;
  /** Replaces a cut that has not fired yet. */
  arm(cut: Cut): void;
  /** Waits until as many cuts have fired; throws after the deadline. */
  whenFired(count: number, deadlineMs?: number): Promise<void>;
  /** Cuts every connection, as when a network goes away for a moment. */
  cutAll(): void;
  close(): Promise<void>;
}

const FRAME_BYTES_MAX = 200 << 20;

/** Hands on whole frames, length included. */
function frames(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let held: Buffer[] = [];
  let heldBytes = 0;
  return (chunk) => {
    held.push(chunk);
    heldBytes += chunk.length;
    while (heldBytes >= 4) {
      if ((held[0] as Buffer).length < 4) held = [Buffer.concat(held)];
      const size = (held[0] as Buffer).readInt32BE(0) + 4;
      if (size < 8 || size > FRAME_BYTES_MAX) throw new Error(`a frame of ${size} bytes: not Kafka's protocol`);
      if (heldBytes < size) return;
      const all = held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held);
      onFrame(all.subarray(0, size));
      held = size < all.length ? [all.subarray(size)] : [];
      heldBytes -= size;
    }
  };
}

/** Starts a proxy in front of a port of 127.0.0.1. */
export async function startCuttingProxy(upstreamPort: number): Promise<CuttingProxy> {
  let armed: { readonly cut: Cut; left: number } | undefined;
  let fired = 0;
  const seen = new Map<number, number>();
  const sockets = new Set<Socket>();

  const takesCut = (apiKey: number): Cut | undefined => {
    if (armed === undefined || armed.cut.apiKey !== apiKey || armed.left-- > 0) return undefined;
    const { cut } = armed;
    armed = undefined;
    return cut;
  };

  const server = createServer((client) => {
    const upstream = connect({ host: "127.0.0.1", port: upstreamPort });
    /** Once set, nothing that the client says is handed on: the connection is as good as cut, it only waits for the reply to be thrown away. */
    let losing: number | undefined;
    const cutNow = (): void => {
      fired++;
      client.resetAndDestroy();
      upstream.destroy();
    };
    for (const [socket, other] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on("data", frames((frame) => {
      if (losing !== undefined || client.destroyed) return;
      const apiKey = frame.readInt16BE(4);
      seen.set(apiKey, (seen.get(apiKey) ?? 0) + 1);
      const cut = takesCut(apiKey);
      if (cut?.at === "request") return void cutNow();
      if (cut !== undefined) losing = frame.readInt32BE(8);
      upstream.write(frame);
    }));
    upstream.on("data", frames((frame) => {
      if (losing !== undefined && frame.readInt32BE(4) === losing) return void cutNow();
      client.write(frame);
    }));
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;

  return {
    port,
    get fired() {
      return fired;
    },
    requests: (apiKey) => seen.get(apiKey) ?? 0,
    arm(cut) {
      armed = { cut, left: cut.after ?? 0 };
    },
    async whenFired(count, deadlineMs = 30_000) {
      const deadline = Date.now() + deadlineMs;
      while (fired < count) {
        if (Date.now() > deadline) throw new Error(`${fired} cuts fired, not ${count}`);
        await sleep(5);
      }
    },
    cutAll() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

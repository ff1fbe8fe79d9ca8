import type { Socket } from "node:net";
import { WireError } from "../wire.ts";
import type { WireAddress } from "../wire.ts";
import { wireErrorOf } from "./fault.ts";

/**
 * The life of one connection, the same over both libraries: open -> closed, once. It holds what neither library keeps for certain: that a request ends with an
 * answer or with an error within its time, that none outlives the connection, and that the end is told once.
 *
 * A request without an answer in time ends the connection: what comes later on it answers somebody who has given up, and a broker answers a connection's requests
 * in order, so that all behind it are late too.
 */
export class Link {
  readonly #peer: string;
  readonly #destroy: () => void;
  readonly #pending = new Set<(error: WireError) => void>();
  readonly #listeners: (() => void)[] = [];
  #isOpen = true;
  #wasOpened = false;

  /** `destroy` ends the socket at once, without waiting for anything; it may be called again. */
  constructor(address: WireAddress, destroy: () => void) {
    this.#peer = `${address.host}:${address.port}`;
    this.#destroy = destroy;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  onClose(listener: () => void): void {
    if (this.#isOpen) this.#listeners.push(listener);
    else queueMicrotask(listener);
  }

  /** From now on the end of the socket is the loss of a connection. */
  opened(): void {
    this.#wasOpened = true;
  }

  /** The socket has come to its end. */
  lost(cause?: unknown): void {
    this.close(this.#wasOpened ? "the connection was lost" : "no connection", cause);
  }

  /** Ends the connection: all that wait are told why. */
  close(reason: string, cause?: unknown): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#destroy();
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const reject of pending) reject(cause === undefined ? new WireError(`${this.#peer}: ${reason}`) : wireErrorOf(`${this.#peer}: ${reason}`, cause));
    for (const listener of this.#listeners.splice(0)) listener();
  }

  /** Sends one request and waits for its answer, `timeoutMs` at most. */
  ask<Answer>(name: string, timeoutMs: number, send: () => Promise<Answer>): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (!this.#isOpen) {
        reject(new WireError(`${this.#peer}: ${name}: the connection is closed`));
        return;
      }
      // After a long synchronous stretch, or a stop of the process, the timer comes before the answer that is long there: what can be read is read first.
      const timer = setTimeout(() => setImmediate(() => {
        if (this.#pending.has(fail)) this.close(`${name}: no answer within ${timeoutMs} ms`);
      }), timeoutMs);
      const settle = (): boolean => {
        clearTimeout(timer);
        return this.#pending.delete(fail);
      };
      const fail = (error: WireError): void => {
        settle();
        reject(error);
      };
      this.#pending.add(fail);
      send().then(
        (answer) => {
          if (settle()) resolve(answer);
        },
        (error: unknown) => {
          if (settle()) reject(wireErrorOf(`${this.#peer}: ${name}`, error));
        },
      );
    });
  }
}

const TLS_ALERT = 0x15;
const TLS_MAJOR = 0x03;

/** Watches for the answer that a listener with TLS gives to one who speaks without. Neither library reports it with SASL, and kafkajs waits for the rest of a huge frame. */
export function watchForTls(socket: Socket, link: Link): void {
  socket.prependOnceListener("data", (bytes: Buffer) => {
    if (bytes[0] === TLS_ALERT && bytes[1] === TLS_MAJOR) link.lost(new WireError("the broker wants TLS", { isFatal: true }));
  });
}

/** Passwords and tokens travel in the clear without TLS, so that only this machine may be asked with them. SCRAM sends proofs, not passwords. */
export function refuseSecretsInTheClear(address: WireAddress, options: { readonly tls?: unknown; readonly sasl?: { readonly mechanism: string } }): void {
  const mechanism = options.sasl?.mechanism;
  if (options.tls !== undefined || (mechanism !== "plain" && mechanism !== "oauthbearer")) return;
  if (/^(localhost|127\.\d+\.\d+\.\d+|::1|\[::1\])$/.test(address.host)) return;
  throw new WireError(`${address.host}:${address.port}: SASL ${mechanism.toUpperCase()} without TLS would send a secret in the clear`, { isFatal: true });
}

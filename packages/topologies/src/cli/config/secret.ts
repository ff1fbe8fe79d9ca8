import { inspect } from "node:util";

const HIDDEN = "[hidden]";

/** A text that no log, error, dump or JSON shows. `reveal()` is the one way to it. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }
  /** The text itself, for the one place that sends it. */
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return HIDDEN;
  }
  toJSON(): string {
    return HIDDEN;
  }
  [inspect.custom](): string {
    return HIDDEN;
  }
}

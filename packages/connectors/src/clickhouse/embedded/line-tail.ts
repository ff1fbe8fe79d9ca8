const LINE_CHARS_MAX = 2_000;

/** Keeps the last lines of a text stream, for the error message of a process that ended. */
export class LineTail {
  readonly #linesMax: number;
  readonly #onLine: (line: string) => void;
  #lines: string[] = [];
  #open = "";

  constructor(linesMax: number, onLine: (line: string) => void = () => {}) {
    this.#linesMax = linesMax;
    this.#onLine = onLine;
  }

  write(chunk: string): void {
    const parts = (this.#open + chunk).split("\n");
    this.#open = (parts.pop() ?? "").slice(0, LINE_CHARS_MAX);
    for (const part of parts) this.#take(part);
  }

  /** Ends the last line, if it had no line end. */
  end(): void {
    if (this.#open !== "") this.#take(this.#open);
    this.#open = "";
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  #take(part: string): void {
    const line = part.trimEnd().slice(0, LINE_CHARS_MAX);
    if (line === "") return;
    this.#lines.push(line);
    if (this.#lines.length > this.#linesMax) this.#lines = this.#lines.slice(-this.#linesMax);
    this.#onLine(line);
  }
}

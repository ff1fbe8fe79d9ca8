// Methods that every Node release has and that @types/node leaves out. They are worth a declaration: `utf8Write` and `latin1Slice`
// skip the argument handling of `write` and `toString`, which is a measurable part of the cost of a short string.
declare global {
  interface Buffer {
    utf8Slice(start?: number, end?: number): string;
    latin1Slice(start?: number, end?: number): string;
    asciiSlice(start?: number, end?: number): string;
    utf8Write(text: string, offset?: number, length?: number): number;
    latin1Write(text: string, offset?: number, length?: number): number;
  }
}

export {};

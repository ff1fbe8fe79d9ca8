/** A length of time for people: `2 d`, `1 h`, `250 ms`. */
export function duration(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return "unbounded";
  for (const [unit, size] of [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1_000]] as const) {
    if (ms >= size && ms % size === 0) return `${ms / size} ${unit}`;
  }
  return `${ms} ms`;
}

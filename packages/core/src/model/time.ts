/** A length of time in milliseconds. */
export type DurationMs = number;
/** A moment as milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number;

/** `n` milliseconds. */
export const milliseconds = (n: number): DurationMs => n;
/** `n` seconds, in milliseconds. */
export const seconds = (n: number): DurationMs => n * 1_000;
/** `n` minutes, in milliseconds. */
export const minutes = (n: number): DurationMs => n * 60_000;
/** `n` hours, in milliseconds. */
export const hours = (n: number): DurationMs => n * 3_600_000;
/** `n` days of 24 hours, in milliseconds. */
export const days = (n: number): DurationMs => n * 86_400_000;

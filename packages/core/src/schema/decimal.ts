/** Decimal text as an integer at a scale, with string and bigint arithmetic only: never through a double. */

/** The most digits handled; more than Decimal(76) and Int256 need, so that huge exponents cannot make huge integers. */
const DIGITS_MAX = 80;
const NUMERIC = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,9}))?$/;

/** Why decimal text has no integer at a scale. */
export type UnscaledProblem = "syntax" | "fraction" | "size";

/** Whether text is a number: digits, optionally a sign, a fraction and an exponent. */
export function isNumericText(text: string): boolean {
  return NUMERIC.test(text);
}

/** `text` times 10^scale, exactly. `"fraction"` when digits would be cut off, `"size"` when it is beyond every column. */
export function unscaled(text: string, scale: number): bigint | UnscaledProblem {
  const match = NUMERIC.exec(text);
  if (match === null) return "syntax";
  const fraction = match[3] ?? "";
  const all = (match[2] as string) + fraction;
  let start = 0;
  let end = all.length;
  while (start < end && all.charCodeAt(start) === 48) start++;
  while (end > start && all.charCodeAt(end - 1) === 48) end--;
  if (start === end) return 0n;
  const exponent = Number(match[4] ?? 0) - fraction.length + (all.length - end);
  const zeros = exponent + scale;
  if (zeros < 0) return "fraction";
  if (end - start + zeros > DIGITS_MAX) return "size";
  const magnitude = BigInt(all.slice(start, end) + "0".repeat(zeros));
  return match[1] === "-" ? -magnitude : magnitude;
}

/** The text of an integer at a scale: `formatUnscaled(1230n, 2)` is `"12.30"`. */
export function formatUnscaled(value: bigint, scale: number): string {
  if (scale === 0) return value.toString();
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(scale + 1, "0");
  const point = digits.length - scale;
  return `${negative ? "-" : ""}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Significand and exponent without redundant zeros: equal for texts of the same number, whatever their size. */
function canonical(text: string): string {
  const match = NUMERIC.exec(text);
  if (match === null) return text;
  const fraction = match[3] ?? "";
  const all = (match[2] as string) + fraction;
  let start = 0;
  let end = all.length;
  while (start < end && all.charCodeAt(start) === 48) start++;
  while (end > start && all.charCodeAt(end - 1) === 48) end--;
  if (start === end) return "0";
  return `${match[1] === "-" ? "-" : ""}${all.slice(start, end)}e${Number(match[4] ?? 0) - fraction.length + (all.length - end)}`;
}

/** Whether two numeric texts are the same number. */
export function sameNumber(a: string, b: string): boolean {
  return a === b || canonical(a) === canonical(b);
}

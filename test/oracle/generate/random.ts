/** Random numbers of a case, from its name: the same on every machine. */
import { type Random as Seeded, seededRandom } from "../../faults/random.ts";

export interface Random extends Seeded {
  /** A whole number between the two, both included. */
  between(least: number, greatest: number): number;
  chance(percent: number): boolean;
}

/** The generator of a name. */
export function randomOf(name: string): Random {
  // FNV-1a: cases whose names differ in a digit have nothing else in common.
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  const seeded = seededRandom(hash);
  return { ...seeded, between: (least, greatest) => least + seeded.below(greatest - least + 1), chance: (percent) => seeded.below(100) < percent };
}

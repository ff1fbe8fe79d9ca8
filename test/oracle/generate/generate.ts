/** New cases from a seed: `generateCase("window-session", 42, 7)` is the same case everywhere. */
import type { OracleCase } from "../case.ts";
import { FAMILIES } from "./families.ts";
import { makeInputs } from "./inputs.ts";
import { randomOf } from "./random.ts";

const INPUTS_LEAST = 40;
const INPUTS_MOST = 90;

/** A case that nobody has answered yet. */
export type UnansweredCase = Pick<OracleCase, "case" | "family" | "topology" | "inputs">;

/** The names of all families. */
export const FAMILY_NAMES: readonly string[] = Object.keys(FAMILIES);

export function generateCase(family: string, seed: number, number: number): UnansweredCase {
  const make = FAMILIES[family];
  if (make === undefined) throw new Error(`there is no family "${family}": ${FAMILY_NAMES.join(", ")}`);
  const random = randomOf(`${family} ${seed} ${number}`);
  const { variant, nodes, lengths, sources, emitIntervalMs = 0, wallClockMs = 0 } = make(random);
  const inputs = makeInputs(random, lengths, random.between(INPUTS_LEAST, INPUTS_MOST), sources, wallClockMs);
  return { case: `${family}__${variant}__s${seed}n${number}`, family, topology: { config: { emitIntervalMs, initialWallClockMs: 0 }, nodes }, inputs };
}

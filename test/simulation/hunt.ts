import type { Mutant } from "./mutants.ts";
import { simulateApart } from "./simulate-all.ts";

/** How far to look for planted bugs. */
export interface HuntOptions {
  readonly schedules: number;
  readonly jobs: number;
  readonly seed: number;
  /** A line a planted bug. */
  readonly tell: (line: string) => void;
  /** Called with all, in the order of the list. */
  readonly report?: (catches: readonly Catch[]) => void;
}

/** How a planted bug was found, or that it was not. */
export interface Catch {
  readonly mutant: Mutant;
  /** The schedule that found it, counted from 1; undefined where none did. */
  readonly foundAfter: number | undefined;
  readonly problem: string;
}

async function catchOne(mutant: Mutant, { schedules, seed }: HuntOptions): Promise<Catch> {
  const args = ["--seed", String(seed), "--schedules", String(schedules), ...(mutant.mode === undefined ? [] : ["--mode", mutant.mode]), ...(mutant.topology === undefined ? [] : ["--topology", mutant.topology])];
  const { schedules: done, failure } = await simulateApart(args, { mutant: mutant.name });
  return { mutant, foundAfter: failure === undefined ? undefined : done, problem: failure?.problems[0] ?? "" };
}

/** Plants each bug and looks for it. */
export async function catchAll(mutants: readonly Mutant[], options: HuntOptions): Promise<Catch[]> {
  const left = [...mutants];
  const catches: Catch[] = [];
  const work = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const found = await catchOne(mutant, options);
      catches.push(found);
      options.tell(`${found.foundAfter === undefined ? "NOT FOUND" : `found after ${String(found.foundAfter).padStart(4)}`}  ${mutant.name}: ${found.foundAfter === undefined ? mutant.what : found.problem.slice(0, 160)}`);
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, work));
  return catches.sort((a, b) => mutants.indexOf(a.mutant) - mutants.indexOf(b.mutant));
}

/** The same for the command line: true where each was found. */
export async function hunt(mutants: readonly Mutant[], options: HuntOptions): Promise<boolean> {
  const catches = await catchAll(mutants, options);
  options.report?.(catches);
  const found = catches.filter(({ foundAfter }) => foundAfter !== undefined).length;
  options.tell(`${found} of ${mutants.length} planted bugs were found`);
  return found === mutants.length;
}

import { readFileSync, writeFileSync } from "node:fs";
import type { Catch } from "./hunt.ts";

const FILE = new URL("../../docs/simulator.md", import.meta.url);
const [BEGIN, END] = ["<!-- mutants -->", "<!-- /mutants -->"];
const SHOWN = 90;

/** Writes the table of planted bugs into docs/simulator.md. */
export function writeReport(catches: readonly Catch[]): void {
  const rows = catches.map(({ mutant, foundAfter, problem }) => `| ${mutant.name} | ${mutant.what} | ${foundAfter ?? "not found"} | ${told(problem)} |`);
  const table = ["| planted bug | what it does | schedules until it was found | what was seen |", "|---|---|---|---|", ...rows].join("\n");
  const text = readFileSync(FILE, "utf8");
  const [before, after] = [text.slice(0, text.indexOf(BEGIN) + BEGIN.length), text.slice(text.indexOf(END))];
  writeFileSync(FILE, `${before}\n${table}\n${after}`);
}

/** The problem without its rows. */
function told(problem: string): string {
  const [line = ""] = problem.split("\n");
  return line.replace(/: [{[].*$/, "").replaceAll("|", "\\|").slice(0, SHOWN);
}

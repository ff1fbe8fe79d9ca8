import { TopologyError } from "@iot-topology/core";
import type { Context } from "../context.ts";

/** Asks before what cannot be undone: `--yes`, or an answer on a terminal. Without either it is refused. */
export async function confirm(context: Context, question: string, yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (context.stdin.isTTY !== true || context.stdout.isTTY !== true) {
    throw new TopologyError("USAGE", `${question} needs a yes`, { cure: "add --yes" });
  }
  const { confirm: ask, isCancel } = await import("@clack/prompts");
  const answer = await ask({ message: question, initialValue: false });
  return !isCancel(answer) && answer;
}

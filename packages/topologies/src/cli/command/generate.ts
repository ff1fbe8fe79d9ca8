import { createWriteStream } from "node:fs";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { TopologyError } from "@iot-topology/core";
import { generateRecords, replayLine } from "../../iot/generate.ts";
import { didYouMean } from "../config/nearest.ts";
import type { Context } from "../context.ts";

/** Flags of `generate`, as they were typed. */
export interface GenerateFlags {
  readonly count: number;
  readonly seed?: string;
  readonly devices?: string;
  readonly rate?: string;
  readonly duplicates?: string;
  readonly late?: string;
  readonly malformed?: string;
  readonly start: number;
  readonly out?: string;
}

const LINES_A_WRITE = 1_000;

/** Writes a simulated fleet's records in the replay format: the same bytes for the same flags. */
export async function generate(context: Context, system: string, flags: GenerateFlags): Promise<number> {
  if (system !== "iot") throw new TopologyError("USAGE", `there is no generator ${JSON.stringify(system)}${didYouMean(system, ["iot"])}`, { cure: "name one of iot" });
  const { config } = context.load({
    "generator.seed": flags.seed,
    "generator.devices": flags.devices,
    "generator.rate": flags.rate,
    "generator.duplicates": flags.duplicates,
    "generator.late": flags.late,
    "generator.malformed": flags.malformed,
  });
  const options = {
    seed: config["generator.seed"],
    devices: config["generator.devices"],
    duplicates: config["generator.duplicates"],
    late: config["generator.late"],
    malformed: config["generator.malformed"],
  };
  const out: Writable = flags.out === undefined ? context.stdout : createWriteStream(flags.out);
  let failure: Error | undefined;
  out.once("error", (error) => (failure = error));
  let text = "";
  let lines = 0;
  for (const record of generateRecords(options, { count: flags.count, startMs: flags.start, ratePerSecond: config["generator.rate"] })) {
    text += `${replayLine(record)}\n`;
    if (++lines % LINES_A_WRITE !== 0) continue;
    await write(out, text);
    if (failure !== undefined) break;
    text = "";
  }
  if (failure === undefined && text !== "") await write(out, text);
  if (flags.out !== undefined && failure === undefined) {
    out.end();
    await finished(out).catch((error: Error) => (failure = error));
  }
  if (failure === undefined) return 0;
  // Whoever reads standard output may have enough: `generate iot | head`.
  if ((failure as NodeJS.ErrnoException).code === "EPIPE") return 0;
  throw failure;
}

/** Waits while the stream is full. An error ends the wait too; the caller has noted it. */
async function write(out: Writable, text: string): Promise<void> {
  if (out.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      out.off("drain", done).off("error", done).off("close", done);
      resolve();
    };
    out.on("drain", done).on("error", done).on("close", done);
  });
}

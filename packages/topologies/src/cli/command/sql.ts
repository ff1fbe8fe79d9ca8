import { once } from "node:events";
import { attachClickHouse } from "../attach.ts";
import { brokenOff, type ClickHouseTarget, exceptionIn, openQuery, refused } from "../clickhouse-query.ts";
import type { Context } from "../context.ts";
import { dataFolder } from "../data-folder.ts";

const HELD_BYTES = 20_480;

/** Flags of `sql`. */
export interface SqlFlags {
  readonly format?: string;
  readonly clickhouse?: string;
}

/** Runs a statement and writes the answer as it comes. */
export async function sql(context: Context, statement: string, flags: SqlFlags): Promise<number> {
  const { config } = context.load({ "clickhouse.url": flags.clickhouse });
  const attached = await attachClickHouse(config, dataFolder(config.data));
  const format = flags.format ?? (context.json ? "JSONEachRow" : context.stdout.isTTY === true ? "PrettyCompact" : "TSV");
  try {
    await stream(attached.target, statement, format, context);
  } finally {
    await attached.close();
  }
  return 0;
}

async function stream(target: ClickHouseTarget, statement: string, format: string, { stdout, style }: Context): Promise<void> {
  const settings = { output_format_pretty_color: style.color ? "1" : "0" };
  const response = await openQuery(target, { sql: statement, format, settings });
  // The end is held back, since it may turn out to be an exception, which is no part of the answer.
  let held: Buffer = Buffer.alloc(0);
  let broken: unknown;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      held = Buffer.concat([held, chunk]);
      if (held.length <= HELD_BYTES) continue;
      const ready = held.length - HELD_BYTES;
      if (!stdout.write(held.subarray(0, ready))) await once(stdout, "drain");
      held = held.subarray(ready);
    }
  } catch (cause) {
    broken = cause;
  }
  // Latin-1 keeps a byte a character, so that the place of the mark is its place in the bytes.
  const exception = exceptionIn(held.toString("latin1"), response);
  stdout.write(held.subarray(0, exception?.start ?? held.length));
  if (exception !== undefined) throw refused(Buffer.from(exception.text, "latin1").toString("utf8"), 200, target);
  if (broken !== undefined) throw brokenOff(target, broken);
}

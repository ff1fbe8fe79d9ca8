import { once } from "node:events";
import { attachClickHouse } from "../attach.ts";
import { brokenOff, type ClickHouseTarget, exceptionIn, openQuery, refused } from "../clickhouse-query.ts";
import type { Context } from "../context.ts";
import { dataFolder } from "../data-folder.ts";

const TAIL_BYTES = 16_384;

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
  let tail: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      tail = Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES);
      if (!stdout.write(chunk)) await once(stdout, "drain");
    }
  } catch (cause) {
    throw brokenOff(target, cause);
  }
  const exception = exceptionIn(tail.toString("utf8"), response);
  if (exception !== undefined) throw refused(exception, 200, target);
}

import { silentLogger, TopologyError } from "@iot-topology/core";
import { type Attached, attachClickHouse } from "../attach.ts";
import { queryRows } from "../clickhouse-query.ts";
import type { Config } from "../config/keys.ts";
import type { Context } from "../context.ts";
import { type DataFolder, dataFolder } from "../data-folder.ts";
import { confirm } from "../output/confirm.ts";
import { columns } from "../output/style.ts";
import { openAppender } from "../run/appender.ts";
import type { ProducedRecord } from "../run/produced-record.ts";

/** Which dead letters. */
export interface DlqFilter {
  readonly code?: string;
  readonly step?: string;
  readonly topic?: string;
  readonly limit: number;
  readonly table: string;
  readonly clickhouse?: string;
  readonly kafka?: string;
}

const BATCH_BYTES_MAX = 4 << 20;
const BATCH_RECORDS_MAX = 500;
const PREVIEW_BYTES = 4_096;

interface Identity {
  readonly topic: string;
  readonly partition: string;
  readonly offset: string;
  readonly bytes: string;
}

async function attached<T>(context: Context, filter: DlqFilter, use: (attached: Attached, folder: DataFolder, config: Config) => Promise<T>): Promise<T> {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(filter.table)) throw new TopologyError("USAGE", `${JSON.stringify(filter.table)} is not a table's name`, { cure: "use letters, digits and _" });
  const { config } = context.load({ "clickhouse.url": filter.clickhouse, "kafka.brokers": filter.kafka });
  const folder = dataFolder(config.data);
  const opened = await attachClickHouse(config, folder);
  try {
    return await use(opened, folder, config);
  } finally {
    await opened.close();
  }
}

/** The conditions and their values, which go beside the statement and never into it. */
function where({ code, step, topic }: DlqFilter): { readonly condition: string; readonly parameters: Record<string, string> } {
  const given = Object.entries({ code, step, topic }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {
    condition: given.length === 0 ? "1" : given.map(([name]) => `\`${name}\` = {${name}:String}`).join(" AND "),
    parameters: Object.fromEntries(given),
  };
}

/** Counts dead letters by reason and step. */
export function dlqList(context: Context, filter: DlqFilter): Promise<number> {
  return attached(context, filter, async ({ target }) => {
    const { condition, parameters } = where(filter);
    const sql = `SELECT code, step, toString(count()) AS records, toString(min(\`timestamp\`)) AS first, toString(max(\`timestamp\`)) AS last, any(message) AS example
                 FROM \`${filter.table}\` WHERE ${condition} GROUP BY code, step ORDER BY count() DESC, code, step LIMIT 1000`;
    const rows = await queryRows<Record<string, string>>(target, { sql, parameters });
    if (context.json) for (const row of rows) context.stdout.write(`${JSON.stringify(row)}\n`);
    else if (rows.length === 0) context.stdout.write("no dead letters\n");
    else {
      const header = ["code", "step", "records", "first", "last", "example"];
      context.stdout.write(`${columns([header, ...rows.map((row) => header.map((name) => (row[name] ?? "").split("\n")[0]?.slice(0, 100) ?? ""))])}\n`);
    }
    return 0;
  });
}

/** Shows the newest dead letters whole: reason, place, key and value (long values cut, but not with --json). */
export function dlqShow(context: Context, filter: DlqFilter): Promise<number> {
  return attached(context, filter, async ({ target }) => {
    const { condition, parameters } = where(filter);
    const bytes = context.json ? "base64Encode(assumeNotNull(value))" : `base64Encode(substring(assumeNotNull(value), 1, ${PREVIEW_BYTES}))`;
    const sql = `SELECT code, message, field, step, topic, toString(\`partition\`) AS \`partition\`, toString(\`offset\`) AS \`offset\`, toString(\`timestamp\`) AS \`timestamp\`,
                        if(key IS NULL, NULL, base64Encode(assumeNotNull(key))) AS key_base64, if(value IS NULL, NULL, ${bytes}) AS value_base64
                 FROM \`${filter.table}\` WHERE ${condition} ORDER BY \`timestamp\` DESC, topic, \`partition\`, \`offset\` DESC LIMIT {limit:UInt32}`;
    const rows = await queryRows<Record<string, string | null>>(target, { sql, parameters: { ...parameters, limit: String(filter.limit) } });
    for (const row of rows) context.stdout.write(context.json ? `${JSON.stringify(row)}\n` : `${shown(row)}\n\n`);
    if (rows.length === 0 && !context.json) context.stdout.write("no dead letters\n");
    return 0;
  });
}

function shown(row: Record<string, string | null>): string {
  // Data from outside must not drive the terminal: control characters are escaped.
  const text = (base64: string | null | undefined) => (base64 === null || base64 === undefined ? "null" : JSON.stringify(Buffer.from(base64, "base64").toString("utf8")));
  return columns([
    ["code", row["code"] ?? ""],
    ["message", row["message"] ?? ""],
    ["field", row["field"] || "-"],
    ["step", row["step"] ?? ""],
    ["place", `${row["topic"]}-${row["partition"]} offset ${row["offset"]}, ${row["timestamp"]}`],
    ["key", text(row["key_base64"])],
    ["value", text(row["value_base64"])],
  ]);
}

/** Appends the original bytes and keys to their topics again, oldest first, as records loaded now. */
export function dlqReplay(context: Context, filter: DlqFilter, yes: boolean): Promise<number> {
  return attached(context, filter, async ({ target }, folder, config) => {
    const { condition, parameters } = where(filter);
    // First only which ones, so that the dead letters which a replay makes again are not replayed in turn.
    const sql = `SELECT topic, toString(\`partition\`) AS \`partition\`, toString(\`offset\`) AS \`offset\`, toString(coalesce(length(value), 0)) AS bytes
                 FROM \`${filter.table}\` WHERE ${condition} ORDER BY topic, \`partition\`, \`offset\` LIMIT 1 BY topic, \`partition\`, \`offset\` LIMIT {limit:UInt32}`;
    const identities = await queryRows<Identity>(target, { sql, parameters: { ...parameters, limit: String(filter.limit) } });
    if (identities.length > 0 && !(await confirm(context, `Append ${identities.length} dead letters to their topics again?`, yes))) return 1;
    const append = await openAppender(config, folder, silentLogger);
    let replayed = 0;
    try {
      for (const batch of batches(identities)) {
        const records = await fetchRecords(target, filter.table, batch);
        await append.records(batch[0]?.topic ?? "", records);
        replayed += records.length;
      }
    } finally {
      await append.close();
    }
    context.stdout.write(context.json ? `${JSON.stringify({ replayed })}\n` : `${replayed} records appended${append.kind === "folder" ? "; the next start processes them" : ""}\n`);
    return 0;
  });
}

/** Of one topic each, bounded in records and bytes. */
function* batches(identities: readonly Identity[]): Generator<Identity[]> {
  let batch: Identity[] = [];
  let bytes = 0;
  for (const identity of identities) {
    const size = Number(identity.bytes);
    if (batch.length > 0 && (batch[0]?.topic !== identity.topic || batch.length === BATCH_RECORDS_MAX || bytes + size > BATCH_BYTES_MAX)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(identity);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

async function fetchRecords(target: Attached["target"], table: string, batch: readonly Identity[]): Promise<ProducedRecord[]> {
  const places = batch.map(({ partition, offset }) => `(${Number(partition)}, ${BigInt(offset)})`).join(", ");
  const sql = `SELECT if(key IS NULL, NULL, base64Encode(assumeNotNull(key))) AS k, if(value IS NULL, NULL, base64Encode(assumeNotNull(value))) AS v
               FROM \`${table}\` WHERE topic = {topic:String} AND (\`partition\`, \`offset\`) IN (${places}) ORDER BY \`partition\`, \`offset\` LIMIT 1 BY topic, \`partition\`, \`offset\``;
  const rows = await queryRows<{ k: string | null; v: string | null }>(target, { sql, parameters: { topic: batch[0]?.topic ?? "" } });
  return rows.map(({ k, v }) => ({ key: k, value: v }));
}

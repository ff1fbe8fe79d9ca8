/** Apache's own command-line tools as the independent client: what they see owes nothing to our code. */
import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { KafkaDistribution } from "./distribution.ts";

const run = promisify(execFile);
const DEADLINE_MS = 60_000;
const QUIET_MS = 1_500;

/** A record as the console consumer prints it. Keys and values are text; a missing one is null. */
export interface ConsumedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** A row of a group's description. */
export interface GroupRow {
  readonly topic: string;
  readonly partition: number;
  readonly current: number | undefined;
  readonly end: number | undefined;
  readonly lag: number | undefined;
  /** Undefined where no member holds the partition. */
  readonly memberId: string | undefined;
  readonly clientId: string | undefined;
}

export interface ConsumeOptions {
  /** Records to wait for. Afterwards it is listened for a while longer, so that one too many is seen. */
  readonly count: number;
  /** How long it is quiet before what came is taken for all; 1.5 s when absent. */
  readonly quietMs?: number;
  readonly deadlineMs?: number;
  /** `read_committed` when absent. */
  readonly isolation?: "read_committed" | "read_uncommitted";
}

export interface ApacheTools {
  /** Runs a tool by its class and answers what it printed. */
  run(mainClass: string, args: readonly string[], input?: string): Promise<string>;
  /** Reads a topic from its beginning with the console consumer, until `count` records have come and then no more for a while. Fewer at the deadline are answered as they are. */
  consume(topic: string, options: ConsumeOptions): Promise<readonly ConsumedRecord[]>;
  /** Produces records with the console producer. */
  produce(topic: string, records: readonly (readonly [key: string, value: string])[]): Promise<void>;
  createTopic(topic: string, partitions: number, config?: Readonly<Record<string, string>>): Promise<void>;
  /** One past the last record of each partition (markers included), read_committed or not. */
  endOffsets(topic: string): Promise<ReadonlyMap<number, number>>;
  describeGroup(group: string): Promise<readonly GroupRow[]>;
  /** Transactional ids with their states, as the transaction coordinators list them. */
  transactions(): Promise<ReadonlyMap<string, string>>;
  /** Ids of producers whose transactions have been open for longer than this. */
  hangingTransactions(brokerId: number, longerThanMinutes: number): Promise<readonly string[]>;
}

const number = (text: string | undefined): number | undefined => (text === undefined || text === "-" ? undefined : Number(text));
const name = (text: string | undefined): string | undefined => (text === undefined || text === "-" ? undefined : text);
const nullable = (text: string | undefined): string | null => (text === undefined || text === "null" ? null : text);

/** A table of the tools: columns are parted by blanks. Lines before the head are warnings. */
function table(text: string, head: string): Readonly<Record<string, string>>[] {
  const lines = text.split("\n").map((line) => line.trim());
  const rows: Record<string, string>[] = [];
  let columns: string[] | undefined;
  for (const line of lines) {
    if (line.startsWith(head)) columns = line.split(/\s+/);
    else if (line !== "" && columns !== undefined) rows.push(Object.fromEntries(line.split(/\s+/).map((cell, index) => [columns?.[index] ?? "", cell])));
  }
  return rows;
}

function parseRecord(line: string): ConsumedRecord | undefined {
  const match = /^(?:CreateTime|LogAppendTime|NoTimestampType):(-?\d+)\tPartition:(\d+)\tOffset:(\d+)\t/.exec(line);
  if (match === null) return undefined;
  const rest = line.slice(match[0].length);
  const tab = rest.indexOf("\t");
  return { timestamp: Number(match[1]), partition: Number(match[2]), offset: Number(match[3]), key: nullable(rest.slice(0, tab)), value: nullable(rest.slice(tab + 1)) };
}

/** The tools against a cluster. */
export function apacheTools({ java, libs }: KafkaDistribution, brokers: readonly string[]): ApacheTools {
  const bootstrap = ["--bootstrap-server", brokers.join(",")];
  const command = (mainClass: string, args: readonly string[]): string[] => ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", join(libs, "*"), `org.apache.kafka.tools.${mainClass}`, ...bootstrap, ...args];

  async function tool(mainClass: string, args: readonly string[], input?: string): Promise<string> {
    const running = run(java, command(mainClass, args), { timeout: DEADLINE_MS, killSignal: "SIGKILL", maxBuffer: 256 << 20 });
    running.child.stdin?.on("error", () => {});
    running.child.stdin?.end(input ?? "");
    return (await running).stdout;
  }

  async function consume(topic: string, options: ConsumeOptions): Promise<readonly ConsumedRecord[]> {
    const { count, quietMs = QUIET_MS, deadlineMs = DEADLINE_MS, isolation = "read_committed" } = options;
    const shown = ["key", "timestamp", "partition", "offset"].flatMap((each) => ["--formatter-property", `print.${each}=true`]);
    const child = spawn(java, command("consumer.ConsoleConsumer", ["--topic", topic, "--from-beginning", "--isolation-level", isolation, "--command-property", "metadata.max.age.ms=1000", ...shown]), { stdio: ["ignore", "pipe", "pipe"] });
    const records: ConsumedRecord[] = [];
    let complaint = "";
    child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2_000)));
    let stop = (): void => {};
    const stopped = new Promise<void>((resolve) => (stop = resolve));
    const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const deadline = setTimeout(stop, deadlineMs);
    let quiet: NodeJS.Timeout | undefined;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const record = parseRecord(line);
      if (record === undefined) return;
      records.push(record);
      if (records.length < count) return;
      if (quiet === undefined) quiet = setTimeout(stop, quietMs);
      else quiet.refresh();
    });
    await Promise.race([stopped, exit]);
    const isFailed = child.exitCode !== null && child.exitCode !== 0;
    child.kill("SIGKILL");
    await exit;
    clearTimeout(deadline);
    clearTimeout(quiet);
    if (isFailed) throw new Error(`the console consumer ended: ${complaint}`);
    return records;
  }

  return {
    run: tool,
    consume,
    async produce(topic, records) {
      const lines = records.map(([key, value]) => `${key}\t${value}\n`).join("");
      await tool("ConsoleProducer", ["--topic", topic, "--reader-property", "parse.key=true", "--command-property", "acks=all"], lines);
    },
    async createTopic(topic, partitions, config = {}) {
      const settings = Object.entries(config).flatMap(([key, value]) => ["--config", `${key}=${value}`]);
      await tool("TopicCommand", ["--create", "--topic", topic, "--partitions", String(partitions), ...settings]);
    },
    async endOffsets(topic) {
      const text = await tool("GetOffsetShell", ["--topic", topic, "--time", "-1"]);
      const rows = text.trim().split("\n").map((line) => line.split(":"));
      return new Map(rows.map((row) => [Number(row.at(-2)), Number(row.at(-1))]));
    },
    async describeGroup(group) {
      const rows = table(await tool("consumer.group.ConsumerGroupCommand", ["--describe", "--group", group]), "GROUP ");
      return rows.map((row) => ({ topic: row["TOPIC"] ?? "", partition: Number(row["PARTITION"]), current: number(row["CURRENT-OFFSET"]), end: number(row["LOG-END-OFFSET"]), lag: number(row["LAG"]), memberId: name(row["CONSUMER-ID"]), clientId: name(row["CLIENT-ID"]) }));
    },
    async transactions() {
      const rows = table(await tool("TransactionsCommand", ["list"]), "TransactionalId");
      return new Map(rows.map((row) => [row["TransactionalId"] ?? "", row["TransactionState"] ?? ""]));
    },
    async hangingTransactions(brokerId, longerThanMinutes) {
      const rows = table(await tool("TransactionsCommand", ["find-hanging", "--broker-id", String(brokerId), "--max-transaction-timeout", String(longerThanMinutes)]), "Topic");
      return rows.map((row) => row["ProducerId"] ?? "");
    },
  };
}

/** Apache's own client in a process beside the run (see ApacheClient.java): it reads along, looks at groups and transactions, and produces transaction by transaction. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { KafkaDistribution } from "../kafka/distribution.ts";

const SOURCE = fileURLToPath(new URL("./ApacheClient.java", import.meta.url));
const ANSWER_DEADLINE_MS = 60_000;

/** A record as Apache's consumer gave it. */
export interface SeenRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/** A group's place in a partition, and the last stable offset there. */
export interface GroupPlace {
  readonly committed: number;
  readonly end: number;
}

/** A producer of Apache's whose transactions are told step by step. */
export interface ScriptedProducer {
  begin(): Promise<void>;
  send(topic: string, partition: number, record: { readonly key: Buffer | string | null; readonly value: string | null; readonly timestamp: number }): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
  /** Ends the producer and leaves its transaction open. */
  abandon(): Promise<void>;
}

export interface ApacheClient {
  /** Reads a topic from its beginning on, read_committed, until `unwatch`. */
  watch(topic: string, partitions: number): void;
  unwatch(topic: string): void;
  /** What was read of a topic, in order a partition. Throws where a record was seen twice with another content. */
  seen(topic: string): readonly SeenRecord[];
  groupPlaces(group: string, topics: readonly string[]): Promise<ReadonlyMap<string, GroupPlace>>;
  /** Transactions that are neither committed nor aborted, by id, whose id begins so. */
  openTransactions(prefix: string): Promise<ReadonlyMap<string, string>>;
  producer(transactionalId: string): ScriptedProducer;
  close(): Promise<void>;
}

const bytesOf = (text: string | undefined): Buffer | null => (text === undefined || text === "-" ? null : Buffer.from(text, "base64"));
const textOf = (bytes: Buffer | string | null): string => (bytes === null ? "-" : Buffer.from(bytes).toString("base64"));
const listOf = (text: string): string[] => (text === "" ? [] : text.split(","));

/** Records of one topic, by place. */
class Seen {
  readonly #records = new Map<string, SeenRecord>();
  #problem: string | undefined;

  add(record: SeenRecord): void {
    const place = `${record.partition}/${record.offset}`;
    const known = this.#records.get(place);
    if (known === undefined) this.#records.set(place, record);
    else if (textOf(known.value) !== textOf(record.value)) this.#problem = `a read_committed reader saw ${textOf(known.value)} and later ${textOf(record.value)} at ${record.topic} ${place}`;
  }

  list(): readonly SeenRecord[] {
    if (this.#problem !== undefined) throw new Error(this.#problem);
    return [...this.#records.values()].sort((a, b) => a.partition - b.partition || a.offset - b.offset);
  }
}

/** Starts the client. */
export function startApacheClient({ java, libs }: KafkaDistribution, brokers: readonly string[]): ApacheClient {
  const options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"];
  const child = spawn(java, [...options, "-cp", join(libs, "*"), SOURCE, brokers.join(",")], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {});
  const topics = new Map<string, Seen>();
  const waiting = new Map<string, (answer: string | Error) => void>();
  let questions = 0;
  let failure: Error | undefined;

  createInterface({ input: child.stdout }).on("line", (line) => {
    const [kind, ...rest] = line.split("\t");
    if (kind === "record") {
      const [topic = "", partition, offset, timestamp, key, value] = rest;
      topics.get(topic)?.add({ topic, partition: Number(partition), offset: Number(offset), timestamp: Number(timestamp), key: bytesOf(key), value: bytesOf(value) });
      return;
    }
    const [id = "", answer = ""] = rest;
    if (id === "consumer") failure = new Error(answer);
    waiting.get(id)?.(kind === "error" ? new Error(answer) : answer);
  });
  child.once("exit", () => {
    failure ??= new Error("Apache's client has ended");
    for (const answer of waiting.values()) answer(failure);
  });

  const say = (...parts: readonly (string | number)[]): void => {
    if (failure !== undefined) throw failure;
    child.stdin.write(`${parts.join("\t")}\n`);
  };
  const ask = async (what: string, ...parts: readonly (string | number)[]): Promise<string> => {
    const id = String(++questions);
    let late: NodeJS.Timeout | undefined;
    const answered = new Promise<string | Error>((resolve) => {
      waiting.set(id, resolve);
      late = setTimeout(() => resolve(new Error(`no answer to ${what}`)), ANSWER_DEADLINE_MS);
    });
    say(what, id, ...parts);
    const answer = await answered;
    clearTimeout(late);
    waiting.delete(id);
    if (answer instanceof Error) throw answer;
    return answer;
  };

  return {
    watch(topic, partitions) {
      topics.set(topic, new Seen());
      say("watch", topic, partitions);
    },
    unwatch(topic) {
      topics.delete(topic);
      say("unwatch", topic);
    },
    seen(topic) {
      if (failure !== undefined) throw failure;
      return topics.get(topic)?.list() ?? [];
    },
    async groupPlaces(group, of) {
      const rows = listOf(await ask("state", group, of.join(",")));
      return new Map(rows.map((row) => {
        const [, name = "", committed, end] = /^(.*)=(\d+)\/(\d+)$/.exec(row) ?? [];
        return [name, { committed: Number(committed), end: Number(end) }];
      }));
    },
    async openTransactions(prefix) {
      return new Map(listOf(await ask("open", prefix)).map((row) => {
        const at = row.lastIndexOf("=");
        return [row.slice(0, at), row.slice(at + 1)];
      }));
    },
    producer(id) {
      const tell = async (what: string, ...parts: readonly (string | number)[]): Promise<void> => void (await ask(what, id, ...parts));
      return {
        begin: () => tell("begin"),
        send: (topic, partition, { key, value, timestamp }) => tell("send", topic, partition, timestamp, textOf(key), textOf(value)),
        commit: () => tell("commit"),
        abort: () => tell("abort"),
        abandon: () => tell("abandon"),
      };
    },
    async close() {
      if (child.exitCode !== null) return;
      const exit = once(child, "exit");
      child.stdin.end();
      const late = setTimeout(() => child.kill("SIGKILL"), 3_000);
      await exit;
      clearTimeout(late);
    },
  };
}

import type { InstanceStatus, Logger } from "@iot-topology/core";
import type { Config } from "../config/keys.ts";
import type { Context } from "../context.ts";
import { jsonLogger, terminalLogger } from "../output/logger.ts";
import { columns, paint } from "../output/style.ts";
import type { Summary } from "./balance.ts";
import { type FileProgress, type LiveStatus, liveStatus } from "./live-status.ts";

const STATUS_LINE_MS = 10_000;

/** What `start` says once all is open. */
export interface ReadyNotice {
  readonly topology: string;
  readonly clickhouseUrl: string;
  readonly playUrl: string;
  readonly statusUrl: string;
  readonly data: string;
  /** The brokers, where the log is Kafka. */
  readonly kafka?: string;
  readonly query?: string;
  readonly command?: string;
}

/** Where `start` shows what happens: a redrawn status on a terminal, JSON lines otherwise. */
export interface View {
  readonly logger: Logger;
  /** Tells the person who watches something, whatever the level of the log. */
  note(text: string): void;
  ready(notice: ReadyNotice): void;
  follow(status: () => InstanceStatus): void;
  progress(progress: FileProgress | null): void;
  summary(summary: Summary): void;
  close(): void;
}

/** Chooses by where standard output goes and by `--json`. */
export function openView(context: Context, config: Config): View {
  return context.stdout.isTTY === true && !context.json ? terminalView(context, config) : jsonView(config);
}

function terminalView({ stdout, style, verbose }: Context, config: Config): View {
  let live: LiveStatus | undefined;
  const write = (line: string) => (live === undefined ? void stdout.write(`${line}\n`) : live.line(line));
  // The status tells what information lines would; --verbose and an explicit level bring them back.
  const level = verbose ? "debug" : config["log.level"] === "info" ? "warn" : config["log.level"];
  return {
    logger: terminalLogger(level, style, write),
    note: write,
    ready({ topology, clickhouseUrl, playUrl, statusUrl, data, kafka, command }) {
      const rows: [string, string][] = [
        ["topology", topology],
        ["data", data],
        ...(kafka === undefined ? [] : ([["Kafka", kafka]] satisfies [string, string][])),
        ["ClickHouse", clickhouseUrl],
        ["browser", playUrl],
        ["status", `${statusUrl}/status`],
        ...(command === undefined ? [] : ([["try", command]] satisfies [string, string][])),
      ];
      stdout.write(`${columns(rows.map(([name, text]) => [paint(style, "bold", name.padEnd(10)), text]))}\n\n`);
    },
    follow(status) {
      live = liveStatus(stdout, style, status);
    },
    progress: (progress) => live?.progress(progress),
    summary(summary) {
      const { deadLettersByCode, rows, balanced, ...counts } = summary;
      const list = (values: Readonly<Record<string, number>>) => Object.entries(values).map(([name, count]) => `${name} ${count}`).join(", ") || "none";
      const shown = [...Object.entries(counts).map(([name, count]) => [name, String(count)]), ["reasons", list(deadLettersByCode)], ["rows", list(rows)]];
      stdout.write(`\n${columns(shown)}\n${balanced === true ? "read = written + deduplicated + filtered + skipped + dead letters: yes\n" : ""}`);
    },
    close() {
      live?.stop();
      live = undefined;
    },
  };
}

function jsonView(config: Config): View {
  const logger = jsonLogger(config["log.level"], 1);
  // What a program waits for comes at every level.
  const results = jsonLogger("info", 1);
  let timer: NodeJS.Timeout | undefined;
  return {
    logger,
    note: (text) => results.info({}, text),
    ready: (notice) => results.info(notice, "ready"),
    follow(status) {
      timer = setInterval(() => {
        const { state, counters, outbox, windowsOpen, tasks, cluster } = status();
        const lag = tasks.reduce((sum, task) => sum + task.inputs.reduce((all, input) => all + input.lag, 0), 0);
        const group = cluster === undefined ? {} : { tasks: tasks.length, standby: cluster.standby.length, restoring: cluster.restoring };
        logger.info({ state, lag, ...group, windowsOpen, ...counters, outboxBatches: outbox.reduce((sum, lane) => sum + lane.batches, 0) }, "status");
      }, STATUS_LINE_MS);
    },
    progress() {},
    summary: (summary) => results.info(summary, "summary"),
    close: () => clearInterval(timer),
  };
}

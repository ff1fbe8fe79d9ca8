import { clearScreenDown, moveCursor } from "node:readline";
import type { InstanceStatus } from "@iot-topology/core";
import { SingleBar } from "cli-progress";
import { paint, type Style } from "../output/style.ts";

const REDRAW_MS = 1_000;

/** How far the reading of a file is, in bytes. */
export interface FileProgress {
  readonly bytesRead: number;
  readonly bytesTotal: number;
}

/** What is redrawn at the foot of a terminal. */
export interface LiveStatus {
  /** Writes a line above it. */
  line(text: string): void;
  /** Shows or moves the bar of a file; null takes it away. */
  progress(progress: FileProgress | null): void;
  stop(): void;
}

/** Redraws the status once a second until stopped. */
export function liveStatus(out: NodeJS.WriteStream, style: Style, read: () => InstanceStatus | undefined): LiveStatus {
  let drawn = 0;
  // What earlier runs read is no rate of this one, and what left with a task is none below zero.
  let last = { read: read()?.counters.read ?? 0, atMs: performance.now(), rate: 0 };
  let file: FileProgress | null = null;
  const erase = () => {
    if (drawn > 0) {
      moveCursor(out, -out.columns, -drawn);
      clearScreenDown(out);
    }
    drawn = 0;
  };
  const draw = () => {
    const status = read();
    if (status === undefined) return;
    const width = Math.max(20, out.columns || 80);
    const lines = statusLines(status, last.rate, style, width);
    if (file !== null) lines.unshift(progressLine(file, width));
    out.write(`${lines.join("\n")}\n`);
    drawn = lines.length;
  };
  const tick = () => {
    const now = performance.now();
    const count = read()?.counters.read ?? 0;
    last = { read: count, atMs: now, rate: (Math.max(0, count - last.read) * 1_000) / Math.max(1, now - last.atMs) };
    erase();
    draw();
  };
  const timer = setInterval(tick, REDRAW_MS);
  return {
    line(text) {
      erase();
      out.write(`${text}\n`);
      draw();
    },
    progress(progress) {
      file = progress;
    },
    stop() {
      clearInterval(timer);
      erase();
      draw();
      drawn = 0;
    },
  };
}

/** cli-progress draws the bar's text; where it stands is ours, among lines that are redrawn together. */
function progressLine({ bytesRead, bytesTotal }: FileProgress, width: number): string {
  let text = "";
  const sink = { write: (chunk: string) => void (text += chunk), isTTY: false, columns: width } as unknown as NodeJS.WritableStream;
  const bar = new SingleBar({ format: "file  {bar} {percentage}%  {value}/{total} MB", barsize: Math.max(10, width - 50), stream: sink, noTTYOutput: true, notTTYSchedule: 3_600_000, emptyOnZero: true, linewrap: true });
  const megabytes = (bytes: number) => Math.round(bytes / 100_000) / 10;
  bar.start(megabytes(bytesTotal), megabytes(bytesRead));
  bar.stop();
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== "");
  return (lines.at(-1) ?? "").slice(0, width);
}

/** The status in a few lines. */
export function statusLines(status: InstanceStatus, rate: number, style: Style, width: number): string[] {
  const { counters, outbox } = status;
  const lag = status.tasks.reduce((sum, task) => sum + task.inputs.reduce((all, input) => all + input.lag, 0), 0);
  const dead = Object.entries(counters.deadLetters).sort(([, a], [, b]) => b - a);
  const deadTotal = dead.reduce((sum, [, count]) => sum + count, 0);
  const waiting = outbox.reduce((sum, lane) => sum + lane.batches, 0);
  const troubled = outbox.find((lane) => lane.lastError !== null);
  const rebuilding = status.tasks.some((task) => task.rebuilding);
  const n = (value: number) => Math.round(value).toLocaleString("en-US");
  const rows: [string, string][] = [
    ...(status.cluster === undefined ? [] : ([["tasks", tasksText(status.tasks.length, status.cluster)]] satisfies [string, string][])),
    ["rate", `${n(rate)} records/s   read ${n(counters.read)}   lag ${n(lag)}${rebuilding ? "   rebuilding" : ""}`],
    ["rows", Object.entries(counters.written).map(([target, count]) => `${target} ${n(count)}`).join("   ") || "none yet"],
    ["windows", `${n(status.windowsOpen)} in memory   late ${n(counters.late)}   repeats ${n(counters.deduplicated)}`],
    ["dead letters", deadTotal === 0 ? "none" : `${n(deadTotal)}   ${dead.map(([code, count]) => `${code} ${n(count)}`).join("   ")}`],
    ["outbox", `${waiting} batches${troubled === undefined ? "" : `   ${troubled.target}: ${troubled.lastError?.split("\n")[0] ?? ""}`}`],
  ];
  const label = (name: string) => paint(style, "dim", name.padEnd(14));
  return rows.map(([name, text]) => `${label(name)}${text.slice(0, Math.max(0, width - 15))}`);
}

/** How this process stands in its group, and how far stores are that are being restored. */
function tasksText(own: number, { owners, standby, restoring, hangingTransactions }: NonNullable<InstanceStatus["cluster"]>): string {
  const progress = restoring.map(({ id, position, end }) => `${id} ${end === 0 ? 100 : Math.floor((100 * position) / end)} %`);
  return [
    `${own} of ${Object.keys(owners).length}`,
    ...(standby.length === 0 ? [] : [`standby ${standby.length}`]),
    ...(progress.length === 0 ? [] : [`restoring ${progress.join(", ")}`]),
    ...(hangingTransactions.length === 0 ? [] : [`HANGING: ${hangingTransactions.map(({ transactionalId }) => transactionalId).join(", ")}`]),
  ].join("   ");
}

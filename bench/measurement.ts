import { readFileSync } from "node:fs";

/** One measured run of a suite. */
export interface Measurement {
  readonly suite: string;
  readonly records: number;
  readonly recordsPerSecond: number;
  /** All threads of the process: LevelDB's, the collector's and the compiler's too. */
  readonly cpuMicrosecondsPerRecord: number;
  /** Those of the thread that runs the loop. */
  readonly mainMicrosecondsPerRecord: number;
  readonly peakMemoryMb: number;
  readonly note: string;
}

/** The most memory that this process ever had resident (Linux). */
export function peakMemoryMb(): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
  return Math.round(Number(line?.[1] ?? 0) / 1_024);
}

/** User and system time of another process, in seconds (Linux, 100 ticks a second). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Times work over so many records. `check` looks at the result behind the clock's back and says a word about it. */
export async function timed(suite: string, records: number, work: () => Promise<void>, check: () => Promise<string>): Promise<Measurement> {
  const cpuBefore = process.cpuUsage();
  const mainBefore = process.threadCpuUsage();
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  const main = process.threadCpuUsage(mainBefore);
  const peak = peakMemoryMb();
  const perRecord = (usage: NodeJS.CpuUsage): number => Number(((usage.user + usage.system) / records).toFixed(2));
  return { suite, records, recordsPerSecond: Math.round(records / seconds), cpuMicrosecondsPerRecord: perRecord(cpu), mainMicrosecondsPerRecord: perRecord(main), peakMemoryMb: peak, note: await check() };
}

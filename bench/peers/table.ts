/** The tables of the comparison, in Markdown. */
import type { Latency, Restart, Throughput } from "./stage.ts";

const PEER = "Kafka Streams";
const rows = (head: readonly string[], body: readonly (readonly string[])[]): string => [head, head.map(() => "---"), ...body].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
const whole = (value: number): string => Math.round(value).toLocaleString("en");

/** The least and the greatest of the runs. */
function range(values: readonly number[], show: (value: number) => string): string {
  const [least, most] = [show(Math.min(...values)), show(Math.max(...values))];
  return least === most ? least : `${least} - ${most}`;
}

const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;

/** A row a contender: all runs' range, and the ratios of the means to the peer's. */
export function throughputTable(results: readonly Throughput[]): string {
  const of = (name: string): readonly Throughput[] => results.filter((each) => each.contender === name);
  const names = [...new Set(results.map((each) => each.contender))];
  const peer = names.find((name) => name.startsWith(PEER));
  const ratio = (name: string, pick: (result: Throughput) => number): string => (peer === undefined || name === peer ? "" : `${(mean(of(name).map(pick)) / mean(of(peer).map(pick))).toFixed(2)} x`);
  return rows(
    ["", "records/s", "to the peer", "CPU a record", "to the peer", "peak memory", "broker's CPU a record"],
    names.map((name) => [
      name,
      range(of(name).map((each) => each.recordsPerSecond), whole),
      ratio(name, (each) => each.recordsPerSecond),
      `${range(of(name).map((each) => each.cpuMicrosecondsPerRecord), (value) => value.toFixed(1))} us`,
      ratio(name, (each) => each.cpuMicrosecondsPerRecord),
      `${range(of(name).map((each) => each.peakMemoryMb), whole)} MB`,
      `${range(of(name).map((each) => each.brokerCpuMicrosecondsPerRecord), (value) => value.toFixed(1))} us`,
    ]),
  );
}

/** From produce to read_committed output, at a steady rate. */
export function latencyTable(results: readonly Latency[]): string {
  return rows(
    ["5,000 records/s", "p50", "p99", "greatest", "CPU of a core"],
    results.map(({ contender, p50Ms, p99Ms, maxMs, cpuPercent }) => [contender, `${p50Ms} ms`, `${p99Ms} ms`, `${maxMs} ms`, `${cpuPercent.toFixed(0)} %`]),
  );
}

/** After a kill -9, with the state of the whole input. */
export function restartTable(results: readonly Restart[]): string {
  return rows(
    ["kill -9 and start again", "to the first new committed record"],
    results.map(({ contender, secondsToFirst }) => [contender, `${secondsToFirst.toFixed(1)} s`]),
  );
}

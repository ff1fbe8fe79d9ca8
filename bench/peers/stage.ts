/** The stages of the comparison: throughput, latency and restart, each the same for all contenders and seen from outside. */
import { readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Child, cpuSeconds, startChild } from "./child.ts";
import type { Contender, Job } from "./contender.ts";
import type { Outputs } from "./expected.ts";
import type { PeerBuild } from "./peer-build.ts";

const FIRST_DEADLINE_MS = 120_000;
const JOB_DEADLINE_MS = 400_000;

/** A broker, a place for state, and the means to measure. */
export interface Lab {
  readonly build: PeerBuild;
  readonly brokers: string;
  readonly brokerPid: number;
  readonly dir: string;
}

export interface Throughput {
  readonly contender: string;
  readonly recordsPerSecond: number;
  readonly cpuMicrosecondsPerRecord: number;
  readonly brokerCpuMicrosecondsPerRecord: number;
  readonly peakMemoryMb: number;
}

export interface Latency {
  readonly contender: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly cpuPercent: number;
}

export interface Restart {
  readonly contender: string;
  readonly secondsToFirst: number;
}

let jobs = 0;

/** Starts one of the meter's programs. */
export function meter({ build, brokers }: Lab, verb: string, args: readonly (string | number)[], input?: NodeJS.ReadableStream): Child {
  return startChild(build.java, ["-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", build.classPath, "peer.Meter", verb, brokers, ...args.map(String)], input);
}

/** Creates topics and waits for it. */
export async function createTopics(lab: Lab, partitions: number, names: readonly string[]): Promise<void> {
  const child = meter(lab, "topics", [partitions, ...names]);
  await child.end();
}

/** A job's names, with its output topics created. */
export async function newJob(lab: Lab, raw: string): Promise<Job> {
  const id = `sensor-${process.pid}-${++jobs}`;
  const job: Job = { brokers: lab.brokers, id, raw, clean: `${id}-clean`, minute: `${id}-1m`, stateDir: join(lab.dir, id) };
  await createTopics(lab, 4, [job.clean, job.minute]);
  return job;
}

/** Removes what a job left on the disk. */
export function removeState({ stateDir }: Job): void {
  for (const name of readdirSync(dirname(stateDir))) if (name === basename(stateDir) || name.startsWith(`${basename(stateDir)}-`)) rmSync(join(dirname(stateDir), name), { recursive: true, force: true });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);
const near = (left: number, right: number): boolean => Math.abs(left - right) <= Math.abs(right) * 1e-9 + 0.05;

/** Reads both outputs committed and compares them with the model's. */
async function checkOutputs(lab: Lab, name: string, job: Job, expected: Outputs): Promise<void> {
  const child = meter(lab, "check", [job.clean, job.minute]);
  const found = JSON.parse(await child.line("CHECK", JOB_DEADLINE_MS)) as Outputs & { readonly repeats: number };
  await child.end();
  const wrong = (Object.keys(expected) as (keyof Outputs)[]).filter((each) => !near(found[each], expected[each]));
  if (wrong.length > 0 || found.repeats !== 0) throw new Error(`${name}: wrong outputs: ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
}

/** From the first record processed to the last one's offset committed. Answers the job too, whose state and outputs are still there. */
export async function measureThroughput(lab: Lab, contender: Contender, raw: string, records: number, expected: Outputs): Promise<{ readonly result: Throughput; readonly job: Job }> {
  const job = await newJob(lab, raw);
  const watch = meter(lab, "watch", [contender.group(job), raw]);
  await watch.line("COMMITTED", FIRST_DEADLINE_MS);
  const children = Array.from({ length: contender.processes }, (_, index) => contender.start(job, index));
  try {
    const first = await Promise.any(children.map((child) => child.line("FIRST", FIRST_DEADLINE_MS)));
    const brokerBefore = cpuSeconds(lab.brokerPid);
    const before = children.map((child) => child.cpuSeconds());
    const last = await watch.line("COMMITTED", JOB_DEADLINE_MS, (rest) => Number(rest.split(" ")[1]) >= records);
    const cpu = sum(children.map((child, index) => child.cpuSeconds() - (before[index] as number)));
    const broker = cpuSeconds(lab.brokerPid) - brokerBefore;
    const peakMemoryMb = sum(children.map((child) => child.peakMemoryMb()));
    await Promise.all(children.map((child) => child.end()));
    await checkOutputs(lab, contender.name, job, expected);
    const seconds = (Number(last.split(" ")[0]) - Number(first)) / 1_000;
    return { job, result: { contender: contender.name, recordsPerSecond: records / seconds, cpuMicrosecondsPerRecord: (cpu / records) * 1e6, brokerCpuMicrosecondsPerRecord: (broker / records) * 1e6, peakMemoryMb } };
  } finally {
    await Promise.all([watch, ...children].map((child) => child.kill()));
  }
}

interface LatencyLine {
  readonly sent: number;
  readonly received: number;
  readonly doubled: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** From just before a record is handed to the producer to the moment at which a read_committed consumer of the clean topic has it. */
export async function measureLatency(lab: Lab, contender: Contender, options: { readonly rate: number; readonly seconds: number; readonly warmupSeconds: number }): Promise<Latency> {
  const raw = `sensor-live-${process.pid}-${jobs + 1}`;
  await createTopics(lab, 4, [raw]);
  const job = await newJob(lab, raw);
  const child = contender.start(job, 0);
  const load = meter(lab, "load", [raw, job.clean, options.rate, options.seconds, options.warmupSeconds, 1]);
  try {
    await child.line("FIRST", FIRST_DEADLINE_MS);
    await sleep(options.warmupSeconds * 1_000);
    const [cpuBefore, before] = [child.cpuSeconds(), performance.now()];
    await sleep(options.seconds * 800);
    const cpuPercent = ((child.cpuSeconds() - cpuBefore) / (performance.now() - before)) * 1e5;
    const line = JSON.parse(await load.line("LATENCY", (options.seconds + options.warmupSeconds + 130) * 1_000)) as LatencyLine;
    if (line.received !== line.sent || line.doubled !== 0) throw new Error(`${contender.name}: ${line.sent} sent, ${line.received} received, ${line.doubled} doubled`);
    await child.end();
    return { contender: contender.name, p50Ms: line.p50Ms, p99Ms: line.p99Ms, maxMs: line.maxMs, cpuPercent };
  } finally {
    await Promise.all([child, load].map((each) => each.kill()));
    removeState(job);
  }
}

let loads = 0;

/**
 * Kill -9 in mid-load of an instance that holds the state of a whole throughput run, then its start again on what it left: from the start of the process
 * to the first new record that a read_committed consumer sees. What was committed before the kill has arrived by then.
 */
export async function measureRestart(lab: Lab, contender: Contender, job: Job): Promise<Restart> {
  const seconds = 100;
  const before = contender.start(job, 0);
  // Sequences of its own each time: all contenders read the same topic, and what one was given already would be a repeat for the next.
  loads++;
  const load = meter(lab, "load", [job.raw, job.clean, 2_000, seconds, 0, 1_000_000 * (jobs + 1) + 1_000 * loads]);
  let after: Child | undefined;
  try {
    await before.line("FIRST", FIRST_DEADLINE_MS);
    await load.line("R", FIRST_DEADLINE_MS);
    await sleep(8_000);
    await before.kill();
    await sleep(500);
    const started = Date.now();
    after = contender.start(job, 0);
    const first = await load.line("R", FIRST_DEADLINE_MS, (rest) => Number(rest.split(" ")[0]) > started);
    return { contender: contender.name, secondsToFirst: (Number(first.split(" ")[0]) - started) / 1_000 };
  } finally {
    await Promise.all([before, load, ...(after === undefined ? [] : [after])].map((each) => each.kill()));
  }
}

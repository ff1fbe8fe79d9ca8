/** A process under measurement, whatever it is written in: its CPU and memory are read from /proc, its progress from the lines it prints. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const TICKS_PER_SECOND = 100; // USER_HZ, fixed in Linux's interface

export interface Line {
  readonly word: string;
  readonly rest: string;
}

export interface Child {
  readonly pid: number;
  /** Every line that was printed so far. */
  readonly lines: readonly Line[];
  /** The first line that begins with the word and holds, printed already or still to come. */
  line(word: string, deadlineMs: number, holds?: (rest: string) => boolean): Promise<string>;
  /** User and system time since the process began. */
  cpuSeconds(): number;
  peakMemoryMb(): number;
  /** Closes standard input, which every program here takes as the wish to end, and waits. */
  end(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** User and system time of a process, in seconds. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const END_DEADLINE_MS = 30_000;
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const each of running) each.kill("SIGKILL");
});

/** Starts a program. `input` is written to its standard input, which then ends. */
export function startChild(program: string, args: readonly string[], input?: NodeJS.ReadableStream): Child {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  running.add(child);
  const lines: Line[] = [];
  const waiting = new Set<() => void>();
  let isEnded = false;
  let failure = "";
  const exit = new Promise<void>((resolve) => {
    const end = (): void => {
      isEnded = true;
      running.delete(child);
      for (const each of waiting) each();
      resolve();
    };
    child.once("exit", end).once("error", (error) => {
      failure = `: ${error.message}`;
      end();
    });
  });
  child.stdin.on("error", () => {});
  if (input !== undefined) input.pipe(child.stdin);
  createInterface({ input: child.stdout }).on("line", (text) => {
    const blank = text.indexOf(" ");
    lines.push(blank < 0 ? { word: text, rest: "" } : { word: text.slice(0, blank), rest: text.slice(blank + 1) });
    for (const each of waiting) each();
  });

  async function end(): Promise<void> {
    child.stdin.end();
    const late = setTimeout(() => child.kill("SIGKILL"), END_DEADLINE_MS);
    await exit;
    clearTimeout(late);
  }

  return {
    get pid() {
      return child.pid ?? 0;
    },
    lines,
    line(word, deadlineMs, holds = () => true) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find((each) => each.word === word && holds(each.rest));
          if (found === undefined && !isEnded) return;
          clearTimeout(late);
          waiting.delete(look);
          if (found === undefined) reject(new Error(`${program} ended without ${word}${failure}`));
          else resolve(found.rest);
        };
        const late = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`${program} did not say ${word} within ${deadlineMs / 1_000} s`));
        }, deadlineMs);
        waiting.add(look);
        look();
      });
    },
    cpuSeconds: () => cpuSeconds(child.pid ?? 0),
    peakMemoryMb: () => Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? 0) / 1_024),
    end,
    async kill() {
      child.kill("SIGKILL");
      await exit;
    },
  };
}

import type { Logger } from "@iot-topology/core";
import { pino } from "pino";
import { paint, type Style } from "./style.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

/** JSON lines, written at once so that none is lost when the process ends. Secrets are no plain texts here (see Secret); names are masked all the same. */
export function jsonLogger(level: Level, fd: 1 | 2): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: ["password", "*.password", "token", "*.token", "authorization", "*.authorization"], censor: "[hidden]" },
    },
    pino.destination({ fd, sync: true }),
  );
}

/** Lines for people: warnings and errors, and information where `level` asks for it. `write` puts a line above what is redrawn. */
export function terminalLogger(level: Level, style: Style, write: (line: string) => void): Logger {
  const least = LEVELS.indexOf(level);
  const log = (at: Level, colour: "dim" | "yellow" | "red") => (fields: object, message: string) => {
    if (LEVELS.indexOf(at) < least) return;
    const details = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${typeof value === "string" ? value : JSON.stringify(value)}`]));
    write(`${paint(style, colour, `${at}:`)} ${message}${details.length === 0 ? "" : ` ${paint(style, "dim", details.join(" "))}`}`);
  };
  return { debug: log("debug", "dim"), info: log("info", "dim"), warn: log("warn", "yellow"), error: log("error", "red") };
}

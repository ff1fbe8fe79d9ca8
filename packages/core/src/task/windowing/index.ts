import type { HoppingWindow, SessionWindow, SlidingWindow, TumblingWindow } from "../../topology/index.ts";
import { sessionWindows } from "./session-windows.ts";
import { slidingWindows } from "./sliding-windows.ts";
import { timeWindows } from "./time-windows.ts";
import type { Windowing, WindowingOptions } from "./windowing.ts";

export type { SessionFold } from "./session-windows.ts";
export { serdeCodec } from "./windowing.ts";
export { storedTotals, type StoredWindow, type StoredWindows, storedWindows, type WindowedStep } from "./stored-windows.ts";
export type { Windowing, WindowChange, WindowResult } from "./windowing.ts";

/** The windows of a step. */
export function openWindowing<A>(options: WindowingOptions<A>): Windowing<A> {
  switch (options.window.kind) {
    case "sliding":
      return slidingWindows(options as WindowingOptions<A, SlidingWindow>);
    case "session":
      return sessionWindows(options as WindowingOptions<A, SessionWindow>);
    default:
      return timeWindows(options as WindowingOptions<A, TumblingWindow | HoppingWindow>);
  }
}
